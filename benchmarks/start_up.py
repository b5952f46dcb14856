"""How long `rag-adapt --help` takes beside a Python process that does nothing.

It does not judge: it prints medians and their ratio, because absolute seconds depend on the
machine. Run it from the repository: `python -m benchmarks.start_up`.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

COMMANDS: Final[dict[str, Sequence[str]]] = {
    "python -c pass": ("-c", "pass"),
    "rag-adapt --help": ("-m", "rag_adapt", "--help"),
}


def seconds_of(arguments: Sequence[str]) -> float:
    """Wall seconds of one Python process; its output is thrown away.

    Raises:
        subprocess.CalledProcessError: the process failed.
    """
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(runs: int) -> dict[str, list[float]]:
    """Wall seconds by command, the commands in turn so that a drift of the machine hits both."""
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for arguments in COMMANDS.values():
        seconds_of(arguments)  # fills the file cache and writes the byte code
    for _ in range(runs):
        for name, arguments in COMMANDS.items():
            found[name].append(seconds_of(arguments))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="counted runs of each command")
    found = measure(parser.parse_args().runs)
    for name, seconds in found.items():
        low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
        print(f"{name:<18} median {middle:.3f} s   min {low:.3f}   max {high:.3f}")
    base, ours = (statistics.median(seconds) for seconds in found.values())
    print(f"ratio              {ours / base:.1f}")


if __name__ == "__main__":
    main()
