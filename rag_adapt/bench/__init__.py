"""The benchmark: plan, prepare, prove, run, keep, report."""
