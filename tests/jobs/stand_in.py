"""A stand-in for our command line: does what its arguments say, in a process of its own.

`python stand_in.py bench [beats=N] [every=S] [exit=N] [ignore=interrupt|terminate] [child]`
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Write progress, then end."""
    given = dict(part.split("=", 1) for part in arguments if "=" in part)
    if given.get("ignore") in ("interrupt", "terminate"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if given.get("ignore") == "terminate":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "count" in given:  # appended to a file: how often the command really ran
        with Path(given["count"]).open("a") as file:
            file.write("x")
    child = (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        if ("child" in arguments)
        else None
    )
    try:
        beat(int(given.get("beats", "1")), float(given.get("every", "0.05")))
        code = int(given.get("exit", "0"))
    except KeyboardInterrupt:
        code = 130
    if child is not None:
        child.wait()
    print(json.dumps({"exit": code}), file=sys.stderr, flush=True)
    return code


def beat(count: int, every: float) -> None:
    """One line of progress, then a pause, again and again."""
    print("a result", flush=True)
    for done in range(1, count + 1):
        line = {"stage": "beat", "done": done, "total": count, "note": ""}
        print(json.dumps(line), file=sys.stderr, flush=True)
        time.sleep(every)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
