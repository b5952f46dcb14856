"""Prints what every simulated check measured: `python -m tests.stats.simulations`.

It does not know the checks; they stand in the three lists that it joins.
"""

import time
from typing import Final

from tests.stats import simulated_choices, simulated_errors, simulated_intervals
from tests.stats.simulated import RUNS, Case

CASES: Final[tuple[Case, ...]] = (
    *simulated_errors.CASES,
    *simulated_intervals.CASES,
    *simulated_choices.CASES,
)


def main() -> None:
    """One line of a Markdown table a case, and its seconds of CPU."""
    print(
        f"{RUNS} simulated runs each\n\n| check | measured | accepted | CPU s |\n|---|---|---|---|"
    )
    for case in CASES:
        start = time.process_time()
        found = case.measure()
        seconds = time.process_time() - start
        mark = "" if case.low <= found <= case.high else " (!)"
        accepted = f"{case.low:g} to {case.high:g}"
        print(f"| {case.name} | {found:.4f}{mark} | {accepted} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
