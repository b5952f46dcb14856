"""A small OpenAI-compatible server on the loopback, in a thread: for tests of the remote engine.

It does not know LiteLLM. Each test hands in what the server does with a request.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(kw_only=True)
class Exchange:
    """One request and the means to answer it."""

    handler: BaseHTTPRequestHandler
    body: Body
    closed: threading.Event
    """Set when the client was found to have gone away."""

    def fail(self, status: int, message: str, code: str | None = None) -> None:
        error = {"error": {"message": message, "type": "error", "code": code}}
        content = json.dumps(error).encode()
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", "application/json")
        self.handler.send_header("Content-Length", str(len(content)))
        self.handler.end_headers()
        self.handler.wfile.write(content)

    def whole(self, text: str | None, *, model: str, reason: str = "stop") -> None:
        """The answer to a request without a stream."""
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        answer = {"id": "c-1", "object": "chat.completion", "created": 1, "model": model}
        content = json.dumps({**answer, "choices": [choice], "usage": usage}).encode()
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "application/json")
        self.handler.send_header("Content-Length", str(len(content)))
        self.handler.end_headers()
        self.handler.wfile.write(content)

    def refuse(self, message: str, code: int) -> None:
        """An error in the middle of a stream, as vLLM sends it."""
        self._event({"error": {"message": message, "type": "error", "code": code}})

    def open(self) -> None:
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "text/event-stream")
        self.handler.send_header("Connection", "close")
        self.handler.end_headers()

    def send(self, text: str = "", *, model: str, reason: str | None = None) -> None:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
        self._event({"model": model, "choices": [choice]})

    def end(self, *, model: str, tokens_in: int = 7, tokens_out: int = 3) -> None:
        usage = {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        }
        self._event({"model": model, "choices": [], "usage": usage})
        self._write("data: [DONE]\n\n")

    def _event(self, data: Body) -> None:
        whole = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, **data}
        self._write(f"data: {json.dumps(whole)}\n\n")

    def _write(self, text: str) -> None:
        try:
            self.handler.wfile.write(text.encode())
            self.handler.wfile.flush()
        except OSError:
            self.closed.set()
            raise


Behaviour = Callable[[Exchange], None]


@dataclass(kw_only=True)
class Server:
    """Where it listens and what it was sent."""

    url: str
    bodies: list[Body] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve(behave: Behaviour) -> Iterator[Server]:
    """Answer requests with `behave` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.bodies.append(body)
            server.keys.append(self.headers["Authorization"])
            try:
                behave(Exchange(handler=self, body=body, closed=server.closed))
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = Server(url=f"http://127.0.0.1:{http.server_address[1]}/v1")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
