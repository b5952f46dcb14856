"""A long siege of the real service: what tests do a few times, some thousand times.

It does not judge speed: it prints what was done and everything that went wrong, and ends with 1
if anything did. The service runs as a process of its own, in a home of its own, in front of a
model's server that is a stub.

    python -m benchmarks.soak
    python -m benchmarks.soak --minutes 5 --only leavers floods
"""

import argparse
import asyncio
import itertools
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.besieged import Held, Running, modelling, serving
from benchmarks.gateway import STUB

CHECKS: Final = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,negative_data_rejection,"
    "unsupported_method,use_after_free"
)
PHASES: Final = ("examples,fuzzing", "stateful")
"""Single requests in one sweep, in the next one sequences along the links of the document."""
REFUSALS: Final = ("400", "401", "403", "404", "405", "406", "409", "413", "415", "422")
"""Answers to requests against the schema; 413 because the length of a body is looked at before
what it says."""
CONFIGURATION: Final = f"""[checks.negative_data_rejection]
expected-statuses = {json.dumps(REFUSALS)}

[[operations]]
include-name = "GET /v1/jobs/{{id}}/events"
phases.stateful.enabled = false

[[operations]]
include-name = "GET /v1/collections/{{name}}/documents/{{document}}"
checks.use_after_free.enabled = false
"""
"""A job's events end with the job, which is longer than a request may take; a document that was
deleted is there until its job has run."""
CASES: Final = 10_000
LEAVERS: Final = 2_000
GROWTH: Final = 50 * 1024 * 1024
"""Bytes by which a service may have grown after thousands of clients left: caches, no leak."""
SPARE: Final = 8
"""Files and tasks more than at first that are no leak: pools open some when they like."""
SOON: Final = 5.0
"""Seconds within which a good client is answered, and a job is found again."""
SETTLED: Final = 60.0
"""Seconds within which what was left behind has ended, on a busy machine too."""
HUGE: Final = 50_000_000


@dataclass(kw_only=True)
class Siege:
    """How much shall be done, and what went wrong."""

    seconds: float
    """Of all stages together, about."""
    cases: int
    """Generated requests."""
    wrong: list[str] = field(default_factory=list)

    def did(self, what: str) -> None:
        """Say what was done."""
        print(f"  {what}", flush=True)

    def violated(self, what: str) -> None:
        """Say what went wrong, and remember it."""
        self.wrong.append(what)
        print(f"  VIOLATION {what}", flush=True)

    def check(self, true: bool, what: str) -> None:
        """A violation unless it holds."""
        if not true:
            self.violated(what)

    def end(self, share: float) -> float:
        """When a stage with this share of the time ends, if it begins now."""
        return time.monotonic() + max(5.0, share * self.seconds)


def generated(siege: Siege) -> None:
    """Generated requests, single ones and sequences, break neither the service nor its schema."""
    done, seed = Counter[str](), 1
    with serving("--engine", "scripted") as service:
        end = siege.end(0.6)
        while done.total() < siege.cases and (left := int(end - time.monotonic())) > 1:
            phases = PHASES[seed % len(PHASES)]
            report = _schemathesis(service, phases=phases, seed=seed, seconds=min(left, 300))
            done[phases] += report["test_cases"]["generated"]
            seed += 1
            for failure in report["failures"]:
                where = ", ".join(failure["operations"])
                siege.violated(f"{failure['title']}: {where} (seed {seed - 1})")
            for error in report["errors"]:
                siege.violated(f"schemathesis could not go on: {error}")
        siege.check(service.process.poll() is None, "the service ended")
        sweeps = f"{seed - 1} sweeps, {dict(done)}"
        siege.did(f"{done.total()} of {siege.cases} generated cases in {sweeps}")


def _schemathesis(service: Running, *, phases: str, seed: int, seconds: int) -> dict[str, Any]:
    """One sweep over all operations; what its report says."""
    path = service.home / "schemathesis.json"
    path.unlink(missing_ok=True)
    arguments = {
        "--phases": phases,
        "--checks": CHECKS,
        "--max-examples": "20" if phases != "stateful" else "200",
        "--max-time": str(seconds),
        "--seed": str(seed),
        "--suppress-health-check": "all",
        "--report-json-path": str(path),
    }
    configuration = service.home / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    program = [str(Path(sys.executable).with_name("schemathesis")), "--config-file"]
    flat = itertools.chain.from_iterable(arguments.items())
    asked = ["run", f"{service.url}/openapi.json", *flat, "--continue-on-failure"]
    command = [*program, str(configuration), *asked]
    done = subprocess.run(command, cwd=service.home, capture_output=True, check=False)
    if not path.exists():
        raise SystemExit((done.stdout + done.stderr)[-2000:].decode(errors="replace"))
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def leavers(siege: Siege) -> None:
    """Clients that leave in the middle leave nothing behind: no task, file, memory, upstream."""
    with ExitStack() as stack:
        model = stack.enter_context(modelling())
        engine = ("--engine", "remote", "--model", f"hosted_vllm/{STUB}", "--api-base")
        service = stack.enter_context(serving(*engine, f"{model}/v1"))
        end, half = siege.end(0.25), siege.end(0.125)
        _leave_until(service, half, LEAVERS // 2, least=800)  # pools and caches fill up once
        before = _settled(service, model)
        left = _leave_until(service, end, LEAVERS)
        after = _settled(service, model)
        under_way = int(httpx.get(f"{model}/under-way", timeout=5).text)
        siege.check(under_way == 0, f"{under_way} answers go on upstream that nobody reads")
        siege.check(after.files - before.files <= SPARE, f"files: {before.files}, {after.files}")
        siege.check(after.tasks - before.tasks <= SPARE, f"tasks: {before.tasks}, {after.tasks}")
        grown = after.memory - before.memory
        siege.check(grown <= GROWTH, f"{left} leavers took {grown >> 20} MB")
        siege.did(f"{left} clients left; before {before}, after {after}")


def _leave_until(service: Running, end: float, most: int, *, least: int = 100) -> int:
    """Clients leave until the time is over; how many did."""
    left = 0
    while left < least or (left < most and time.monotonic() < end):
        _leave(service, 100)
        left += 100
    return left


def _leave(service: Running, count: int) -> None:
    """So many clients ask, ten at a time, and go; every other one reads along."""
    for _ in range(count // 10):
        asked = [_asked(service.port, stream=bool(number % 2)) for number in range(10)]
        time.sleep(0.3)
        for connection in asked:
            connection.close()


def _asked(port: int, *, stream: bool) -> socket.socket:
    message = {"role": "user", "content": "How bright is it?"}
    asked = {"model": f"hosted_vllm/{STUB}", "messages": [message], "stream": stream}
    body = json.dumps(asked).encode()
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(_head(port, f"Content-Length: {len(body)}") + body)
    return connection


def _head(port: int, *lines: str) -> bytes:
    first = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    return "\r\n".join([f"{first}Content-Type: application/json", *lines, "", ""]).encode()


def _settled(service: Running, model: str) -> Held:
    """What is held once all that was asked has ended, and kept connections are closed."""
    end = time.monotonic() + SETTLED
    while time.monotonic() < end and int(httpx.get(f"{model}/under-way", timeout=30).text):
        time.sleep(0.2)
    time.sleep(6)
    while (held := service.held()).tasks > SPARE and time.monotonic() < end:
        time.sleep(1)
    return held


def floods(siege: Siege) -> None:
    """Floods and long bodies are refused, while a client with a key is served soon."""
    with serving("--engine", "scripted") as service:
        good, bad = _key(service, "good"), f"Authorization: Bearer {_key(service, 'bad')}"
        over, got = threading.Event(), Counter[str]()
        heads = ((), (bad,), (f"Authorization: Bearer ra_0123456789ab_{'a' * 43}",))
        threads = [
            threading.Thread(target=_flood, args=(one, service.port, head, over, got))
            for head in heads
            for one in (_long, _announced, _in_chunks)
        ]
        before = service.held()
        for thread in threads:
            thread.start()
        asked = _good_client(siege, service, good, until=siege.end(0.1))
        over.set()
        for thread in threads:
            thread.join()
        odd = {answer: n for answer, n in got.items() if answer[:1] != "4" and answer != "closed"}
        siege.check(not odd, f"floods were answered {odd}")
        grown = service.held().memory - before.memory
        siege.check(grown < 2 * GROWTH, f"floods took {grown >> 20} MB")
        siege.did(f"a good client was served {asked} times beside {dict(got)}")


def _key(service: Running, name: str) -> str:
    """A new key with the scope chat."""
    home = ["--home", str(service.home)]
    made = subprocess.run(
        [sys.executable, "-m", "rag_adapt", *home, "keys", "create", name, "--scope", "chat"],
        capture_output=True,
        check=True,
        text=True,
    )
    return next(word for word in made.stdout.split() if word.startswith("ra_"))


def _good_client(siege: Siege, service: Running, token: str, *, until: float) -> int:
    """Ask until the time is over; how often it was answered."""
    message = {"role": "user", "content": "How bright is it?"}
    body = {"model": "scripted", "messages": [message]}
    asked, slowest = 0, 0.0
    with httpx.Client(base_url=service.url, timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        while time.monotonic() < until:
            begun = time.monotonic()
            status = client.post("/v1/chat/completions", json=body).status_code
            asked, slowest = asked + 1, max(slowest, time.monotonic() - begun)
            siege.check(status == 200, f"the good client was answered {status}")
            time.sleep(0.05)
    siege.check(slowest < SOON, f"the good client waited {slowest:.1f} s")
    return asked


Flood = Callable[[int, Sequence[str]], str]
"""Sends one bad request to a port with some headers; the status of the answer."""


def _flood(
    one: Flood, port: int, headers: Sequence[str], over: threading.Event, got: Counter[str]
) -> None:
    while not over.is_set():
        try:
            got[one(port, headers)] += 1
        except OSError:
            got["closed"] += 1


def _long(port: int, headers: Sequence[str]) -> str:
    """As much as is allowed, and no JSON."""
    head = _head(port, *headers, "Content-Length: 1000000")
    return _first_status(port, head, b"x" * 100_000, 10)


def _announced(port: int, headers: Sequence[str]) -> str:
    return _first_status(port, _head(port, *headers, f"Content-Length: {HUGE}"))


def _in_chunks(port: int, headers: Sequence[str]) -> str:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = _head(port, *headers, "Transfer-Encoding: chunked")
    return _first_status(port, head, chunk, HUGE // 0x10000)


def _first_status(port: int, sent: bytes, more: bytes = b"", times: int = 0) -> str:
    """The status of what comes back; `closed` where nothing does."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        with suppress(ConnectionError):
            for _ in range(times):
                connection.sendall(more)
        line = connection.recv(4096).split(b"\r\n", 1)[0].decode()
        return line.split(" ")[1] if line else "closed"


def jobs(siege: Siege) -> None:
    """One key makes one job however often it is sent; a killed service finds its job again."""
    with serving("--engine", "scripted") as service:
        body = {"skills": ["orders"], "arms": ["prompt", "rag"], "repeats": 20, "choice": False}
        made = asyncio.run(_many(service.url, body))
        names = {answer.json()["id"] for answer in made if answer.status_code == 202}
        siege.check(len(names) == 1, f"100 requests of one key made {len(names)} jobs")
        statuses = Counter(answer.status_code for answer in made)
        siege.check(set(statuses) == {202}, f"100 requests of one key were answered {statuses}")
        (job, *_) = names
        kills = 0
        while kills < 5 and _state(service, job, until={"running"}) == "running":
            service.kill()
            state = _state(service, job, until={"running", "interrupted"})
            siege.check(state in ("running", "interrupted", "done"), f"the job is {state}")
            kills += 1
        listed = httpx.get(f"{service.url}/v1/jobs", timeout=10).json()["data"]
        siege.check(len(listed) == 1, f"there are {len(listed)} jobs")
        siege.did(f"100 requests with one key: {dict(statuses)}; killed {kills} times")


async def _many(url: str, body: dict[str, Any]) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        headers = {"Idempotency-Key": "soak"}
        asked = [client.post("/v1/runs", json=body, headers=headers) for _ in range(90)]
        first = await asyncio.gather(*asked)
        return [
            *first,
            *[await client.post("/v1/runs", json=body, headers=headers) for _ in range(10)],
        ]


def _state(service: Running, job: str, *, until: set[str]) -> str:
    """The job's state, once it is one of these or has ended; what it is after 5 s otherwise."""
    end = time.monotonic() + SOON
    while True:
        state = str(httpx.get(f"{service.url}/v1/jobs/{job}", timeout=10).json()["state"])
        if state in until or state not in ("queued", "running") or time.monotonic() > end:
            return state
        time.sleep(0.1)


STAGES: Final = {"leavers": leavers, "floods": floods, "jobs": jobs, "generated": generated}


def main(arguments: Sequence[str] | None = None) -> int:
    """Besiege, and say what went wrong; 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="at most, about")
    parser.add_argument("--cases", type=int, default=CASES, help="generated requests")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    given = parser.parse_args(arguments)
    siege = Siege(seconds=60 * given.minutes, cases=given.cases)
    for name in given.only:
        print(f"{name}: {STAGES[name].__doc__}", flush=True)
        STAGES[name](siege)
    print(f"{len(siege.wrong)} violations", *siege.wrong, sep="\n  ")
    return 1 if siege.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
