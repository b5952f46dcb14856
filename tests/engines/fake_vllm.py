"""A vLLM server on the loopback, in a thread, whose weights are a hash: for tests of the engine.

It does not know the engine. Its wire is that of vLLM 0.32 and 0.33, and each switch is one thing
that goes wrong with real servers.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.engines.hashed_weights import (
    BASE_WEIGHTS,
    LONGEST,
    continued,
    distribution,
    spoken,
    weights_of,
)

Body = dict[str, Any]
Rows = Sequence[Mapping[str, str]]
MOST: Final = 20
"""Candidates for a token that vLLM gives at most."""


def letters(rows: Rows) -> tuple[int, ...]:
    """A chat template: one token per character, and one per turn."""
    return tuple(token for row in rows for token in (*map(ord, row["content"]), 1))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request that came in."""

    path: str
    body: Body
    key: str | None


@dataclass(kw_only=True)
class FakeVllm:
    """The server's state and its switches."""

    release: str = "0.33.0"
    key: str | None = None
    slots: int = 4
    max_rank: int = 16
    render: Callable[[Rows], Sequence[int]] = letters
    adapters: dict[str, str] = field(default_factory=dict)
    """Folders by name."""
    asked: list[Asked] = field(default_factory=list)
    inside: Counter[str] = field(default_factory=Counter)
    """Requests that it computes now, by model."""
    busiest: int = 0
    """Most different adapters computed at once."""
    used: bool = False
    """Whether an adapter was computed: only then do metrics say how many slots there are."""
    waiting: int = 0
    """Requests that it says it keeps waiting."""
    seconds: float = 0.0
    """Seconds that one answer takes."""
    runtime_loading: bool = True
    deaf: bool = False
    """Whether adapters load and do nothing, as where their tensors' names match none."""
    candidates: int = MOST
    refuse_once: set[str] = field(default_factory=set)
    """Loaded adapters that the next chat does not find."""
    refuse_always: set[str] = field(default_factory=set)
    cut_after: int | None = None
    """Pieces of a stream after which its connection is closed."""
    hang_after: int | None = None
    """Pieces of a stream after which the whole server hangs."""
    broken: tuple[int, str] | None = None
    """Status and text that every path under /v1 answers with."""
    port: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._awake.set()
        self._http: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def api_base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def listen(self) -> None:
        """Take connections; at the same address as before."""
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._http.daemon_threads = True
        self.port = int(self._http.server_address[1])
        serve = self._http.serve_forever
        self._thread = threading.Thread(target=serve, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def refuse_connections(self) -> None:
        """Stop listening."""
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()
            self._http = None

    def restart(self) -> None:
        """Come back at once, without any adapter."""
        self.adapters.clear()
        self.used = False

    def hang(self) -> None:
        """Take connections and say nothing."""
        self._awake.clear()

    def wake(self) -> None:
        self._awake.set()

    def wait(self) -> None:
        self._awake.wait()

    def sent(self, path: str) -> list[Body]:
        """What was sent to one path."""
        return [one.body for one in self.asked if one.path == path]

    def weights(self, model: str) -> str:
        """What a request is computed with: before 0.33 the base took a neighbour's weights."""
        if self.deaf:
            return BASE_WEIGHTS
        if model != "base":
            return weights_of(self.adapters[model])
        mixed = [weights_of(folder) for folder in self.adapters.values()]
        wrong = [weights for weights in mixed if weights != BASE_WEIGHTS]
        return wrong[-1] if self.release < "0.33" and wrong else BASE_WEIGHTS

    @contextmanager
    def computing(self, model: str) -> Iterator[None]:
        """Count a request while it is computed."""
        with self._lock:
            self.inside[model] += 1
            self.busiest = max(self.busiest, len(self.inside.keys() - {"base"}))
            self.used |= model != "base"
        try:
            time.sleep(self.seconds)
            yield
        finally:
            with self._lock:
                self.inside[model] -= 1
                self.inside += Counter()  # drops those that are at zero

    def metrics(self) -> str:
        running = sum(self.inside.values())
        lines = [
            "# TYPE vllm:num_requests_running gauge",
            f'vllm:num_requests_running{{engine="0",model_name="base"}} {float(running)}',
            f'vllm:num_requests_waiting{{engine="0",model_name="base"}} {float(self.waiting)}',
        ]
        if self.used:
            lines.append(
                f'vllm:lora_requests_info{{max_lora="{self.slots}",running_lora_adapters="",'
                'waiting_lora_adapters=""} 1.764e+09'
            )
        return "\n".join(lines) + "\n"


@contextmanager
def serving(**state: Any) -> Iterator[FakeVllm]:
    """A server until the block ends."""
    server = FakeVllm(**state)
    server.listen()
    try:
        yield server
    finally:
        server.wake()
        server.refuse_connections()


def _handler(server: FakeVllm) -> type[BaseHTTPRequestHandler]:
    class Handler(_Exchange):
        fake = server

    return Handler


class _Exchange(BaseHTTPRequestHandler):
    """One request."""

    fake: FakeVllm
    body: Body

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def _serve(self, body: Body) -> None:
        self.body = body
        key = self.headers["Authorization"]
        self.fake.asked.append(Asked(path=self.path, body=body, key=key))
        self.fake.wait()
        guarded = self.path.startswith("/v1/")
        try:
            if guarded and self.fake.key is not None and key != f"Bearer {self.fake.key}":
                self._json({"error": "Unauthorized"}, status=401)
            elif guarded and self.fake.broken is not None:
                self._text(self.fake.broken[1], status=self.fake.broken[0])
            else:
                PATHS.get(self.path, _Exchange.absent)(self)
        except OSError:
            self.close_connection = True

    def absent(self) -> None:
        self._json({"detail": "Not Found"}, status=404)

    def health(self) -> None:
        self._text("")

    def version(self) -> None:
        self._json({"version": self.fake.release})

    def metrics(self) -> None:
        self._text(self.fake.metrics())

    def models(self) -> None:
        rows = [{"id": "base", "root": "/models/base"}]
        rows += [{"id": name, "root": path} for name, path in self.fake.adapters.items()]
        self._json({"object": "list", "data": rows})

    def load(self) -> None:
        name, path = self.body["lora_name"], self.body["lora_path"]
        config = Path(path) / "adapter_config.json"
        if not self.fake.runtime_loading:
            self.absent()
        elif name in self.fake.adapters:
            self._fail(
                400,
                f"The lora adapter '{name}' has already been loaded. If you want to load the "
                "adapter in place, set 'load_inplace' to True.",
            )
        elif not config.is_file():
            self._fail(404, f"Loading lora {name} failed: No adapter found for {path}")
        elif (rank := json.loads(config.read_text())["r"]) > self.fake.max_rank:
            self._fail(400, f"LoRA rank {rank} is greater than max_lora_rank {self.fake.max_rank}.")
        else:
            self.fake.adapters[name] = path
            self._text(f"Success: LoRA adapter '{name}' added successfully.")

    def unload(self) -> None:
        name = self.body["lora_name"]
        if not self.fake.runtime_loading:
            self.absent()
        elif self.fake.adapters.pop(name, None) is None:
            self._fail(404, f"The lora adapter '{name}' cannot be found.")
        else:
            self._text(f"Success: LoRA adapter '{name}' removed successfully.")

    def tokenize(self) -> None:
        tokens = list(self.fake.render(self.body["messages"]))
        self._json({"count": len(tokens), "max_model_len": 2048, "tokens": tokens})

    def complete(self) -> None:
        model = self.body["model"]
        if not self._found(model):
            return
        with self.fake.computing(model):
            weights, ids = self.fake.weights(model), list(self.body["prompt"])
            chosen = continued(weights, ids, self.body["max_tokens"])
        limit = min(self.body["logprobs"], self.fake.candidates)
        rows = []
        for at in range(len(chosen)):
            found = distribution(weights, [*ids, *chosen[:at]])
            rows.append({f"token_id:{t}": found[t] for t in list(found)[:limit]})
        names = [f"token_id:{token}" for token in chosen]
        logprobs = {
            "tokens": names,
            "token_logprobs": [row[name] for row, name in zip(rows, names, strict=True)],
            "top_logprobs": rows,
        }
        self._json({"model": model, "choices": [{"text": "", "logprobs": logprobs}]})

    def chat(self) -> None:
        model = self.body["model"]
        if model in self.fake.refuse_once | self.fake.refuse_always:
            self.fake.refuse_once.discard(model)
            self._unknown(model)
        elif self._found(model):
            with self.fake.computing(model):
                prompt = self.fake.render(self.body["messages"])
                count = min(LONGEST, self.body["max_tokens"])
                weights = self.fake.weights(model)
                pieces = spoken(weights, prompt, count).split(" ")[:-1]
                self._answer([f"{piece} " for piece in pieces], len(prompt))

    def _answer(self, pieces: Sequence[str], tokens_in: int) -> None:
        counted = {"prompt_tokens": tokens_in, "completion_tokens": len(pieces)}
        usage = {**counted, "total_tokens": sum(counted.values())}
        whole = {"id": "c-1", "created": 1, "model": self.body["model"]}
        if not self.body.get("stream"):
            message = {"role": "assistant", "content": "".join(pieces)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            kind = {"object": "chat.completion"}
            self._json({**whole, **kind, "choices": [choice], "usage": usage})
            return
        self._open(200, "text/event-stream")
        for place, piece in enumerate(pieces):
            if place == self.fake.cut_after:
                return
            if place == self.fake.hang_after:
                self.fake.hang()
                self.fake.wait()
                return
            choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
            self._event({**whole, "choices": [choice]})
        last = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}
        self._event({**whole, "choices": [last]})
        self._event({**whole, "choices": [], "usage": usage})
        self._write("data: [DONE]\n\n")

    def _found(self, model: str) -> bool:
        if {"echo", "prompt_logprobs"} & self.body.keys():
            raise ConnectionAbortedError("either of these can end a server with LoRA enabled")
        if model == "base" or model in self.fake.adapters:
            return True
        self._unknown(model)
        return False

    def _unknown(self, model: str) -> None:
        self._fail(404, f"The model `{model}` does not exist.")

    def _fail(self, status: int, message: str) -> None:
        error = {"message": message, "type": "Error", "param": None, "code": status}
        self._json({"error": error}, status=status)

    def _event(self, data: Body) -> None:
        self._write(f"data: {json.dumps({'object': 'chat.completion.chunk', **data})}\n\n")

    def _json(self, document: Any, *, status: int = 200) -> None:
        self._open(status, "application/json")
        self._write(json.dumps(document))

    def _text(self, text: str, *, status: int = 200) -> None:
        self._open(status, "text/plain")
        self._write(text)

    def _open(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _write(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()


PATHS: Final[Mapping[str, Callable[[_Exchange], None]]] = {
    "/health": _Exchange.health,
    "/version": _Exchange.version,
    "/metrics": _Exchange.metrics,
    "/tokenize": _Exchange.tokenize,
    "/v1/models": _Exchange.models,
    "/v1/load_lora_adapter": _Exchange.load,
    "/v1/unload_lora_adapter": _Exchange.unload,
    "/v1/completions": _Exchange.complete,
    "/v1/chat/completions": _Exchange.chat,
}
