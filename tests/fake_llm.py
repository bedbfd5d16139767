"""A language model server that misbehaves on request: OpenAI's chat protocol, streamed or not, on this machine.

`FakeLLM(says)`: `says(request) -> str | Fault` decides each answer; requests are kept in `.requests`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What goes wrong: a status, a pause before the first word, a stream that dribbles, or a connection that ends after some words."""

    status: int = 200
    message: str = ""
    pause: float = 0.0
    text: str = ""
    cut: bool = False
    slow: float = 0.0  # seconds between two pieces of a stream


@dataclass
class FakeLLM:
    says: Callable[[dict[str, Any]], str | Fault]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def prompts(self) -> list[str]:
        return ["\n".join(str(message["content"]) for message in request["messages"]) for request in self.requests]


@contextmanager
def serving(says: Callable[[dict[str, Any]], str | Fault] | str | Fault) -> Iterator[FakeLLM]:
    """A server in a thread. A plain text or `Fault` is said to every request."""
    fake = FakeLLM(says if callable(says) else lambda _: says)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()


def _handler(fake: FakeLLM) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.requests.append(request)
            fake.headers.append(dict(self.headers))
            said = fake.says(request)
            fault = Fault(text=said) if isinstance(said, str) else said
            time.sleep(fault.pause)
            try:
                self._answer(request, fault)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the caller has gone

        def _answer(self, request: dict[str, Any], fault: Fault) -> None:
            if fault.status != 200:
                self._send(fault.status, {"error": {"message": fault.message, "type": "error"}})
            elif request.get("stream"):
                self._stream(fault)
            else:
                choice = {"index": 0, "message": {"role": "assistant", "content": fault.text}, "finish_reason": "stop"}
                self._send(200, {"id": "x", "object": "chat.completion", "model": "fake", "created": 0, "choices": [choice], "usage": USAGE})

        def _send(self, status: int, body: dict[str, Any]) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def _stream(self, fault: Fault) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
            step = max(20, len(fault.text) // 40)
            for start in range(0, len(fault.text), step):
                self._event({"choices": [{"index": 0, "delta": {"content": fault.text[start : start + step]}}]})
                time.sleep(fault.slow)
            if fault.cut:
                self.close_connection = True
                self.connection.close()
                return
            self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self._event({"choices": [], "usage": USAGE})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")

        def _event(self, body: dict[str, Any]) -> None:
            event = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "fake", **body}
            self._chunk(f"data: {json.dumps(event)}\n\n".encode())

        def _chunk(self, raw: bytes) -> None:
            self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")
            self.wfile.flush()

    return Handler


USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
