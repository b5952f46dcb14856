"""What a child may be asked to do in tests."""

import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rag_adapt.core.errors import SkillError


def echo(asked: dict[str, Any]) -> dict[str, Any]:
    return {"asked": asked, "modules": sorted(sys.modules), "environment": dict(os.environ)}


def refuse(asked: dict[str, Any]) -> dict[str, Any]:
    raise SkillError("no " + "x" * asked["length"], hint="mend it")


def compute(asked: dict[str, Any]) -> dict[str, Any]:
    while True:
        pass


def sleep(asked: dict[str, Any]) -> dict[str, Any]:
    time.sleep(asked["seconds"])
    return {}


def hoard(asked: dict[str, Any]) -> dict[str, Any]:
    return {"bytes": len(bytearray(asked["bytes"]))}


def dig(asked: dict[str, Any]) -> dict[str, Any]:
    return dig(asked)


def write(asked: dict[str, Any]) -> dict[str, Any]:
    Path(asked["file"]).write_bytes(bytes(asked["bytes"]))
    return {}


def talk(asked: dict[str, Any]) -> dict[str, Any]:
    return {"text": "x" * asked["bytes"]}


def crash(asked: dict[str, Any]) -> dict[str, Any]:
    os.abort()


def stumble(asked: dict[str, Any]) -> dict[str, Any]:
    raise KeyError("nobody foresaw it")


def full(asked: dict[str, Any]) -> dict[str, Any]:
    raise OSError(errno.ENOSPC, "no space left")


def reach(asked: dict[str, Any]) -> dict[str, Any]:
    try:
        if asked["what"] == "network":
            socket.create_connection(("127.0.0.1", asked["port"]))
        else:
            subprocess.run(["true"], check=True)
    except PermissionError as error:
        return {"refused": str(error)}
    return {"refused": None}


def open_files(asked: dict[str, Any]) -> dict[str, Any]:
    kept = []
    try:
        for _ in range(asked["count"]):
            kept.append(Path(asked["file"]).open("rb"))  # noqa: SIM115
    except OSError as error:
        return {"errno": error.errno, "opened": len(kept)}
    return {"errno": None, "opened": len(kept)}


def whoami(asked: dict[str, Any]) -> dict[str, Any]:
    """Which process this is; it prints, computes, talks or dies as it is asked."""
    print("not an answer")
    wanted = asked.get("then")
    if wanted == "compute":
        begun = time.process_time()
        while time.process_time() - begun < asked["seconds"]:
            pass
    elif wanted is not None:
        found: dict[str, Any] = globals()[wanted](asked)
        return found
    return {"process": os.getpid()}
