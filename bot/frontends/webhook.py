"""The HTTP side of the Telegram bot: an update is written down, then Telegram is told 200."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

log = logging.getLogger(__name__)

BIGGEST = 1_000_000  # bytes; real updates are a few kilobytes
Receive = Callable[[Sequence[dict[str, Any]]], Awaitable[None]]


def webhook(path: str, secret: str, receive: Receive) -> Route:
    """The webhook as a route. Wrong secret: 403. Not JSON: 400. Not stored: 503, so that Telegram comes again."""

    async def update(request: Request) -> Response:
        given = request.headers.get("x-telegram-bot-api-secret-token", "")
        if not hmac.compare_digest(given.encode(), secret.encode()):
            return Response(status_code=403)
        if (body := await _body(request)) is None:
            return Response(status_code=413)
        try:
            raw = json.loads(body)
        except (ValueError, RecursionError):
            return Response(status_code=400)
        if not isinstance(raw, dict) or not isinstance(raw.get("update_id"), int):
            return Response(status_code=400)
        try:
            await receive([raw])
        except Exception:
            log.exception("an update could not be stored; Telegram will send it again")
            return Response(status_code=503)
        return Response()

    return Route(path, update, methods=["POST"])


async def _body(request: Request) -> bytes | None:
    """The body, or None if it is too big, whatever its header says."""
    if int(request.headers.get("content-length") or 0) > BIGGEST:
        return None
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BIGGEST:
            return None
    return body
