"""Routes and their steps: the ways to answer that a benchmark compares."""
