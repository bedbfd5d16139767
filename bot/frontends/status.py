"""What an operator's machines ask: are you alive, are you ready, how are you doing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.errors import SetupProblem
from bot.ports import App
from bot.store.mail import Mail
from bot.vitals import Counters

PATIENCE = 2.0  # seconds in which the database must answer


class Status:
    """`/healthz`: the process answers. `/readyz`: it can serve people, else 503 and what is missing. `/metrics`."""

    def __init__(self, app: App, mail: Mail, stopping: asyncio.Event) -> None:
        self.app, self.mail, self.stopping = app, mail, stopping

    def routes(self) -> list[Route]:
        return [Route("/healthz", self.health), Route("/readyz", self.ready), Route("/metrics", self.metrics)]

    async def health(self, request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def ready(self, request: Request) -> Response:
        missing = await self.missing()
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    async def missing(self) -> list[str]:
        """What keeps us from serving people: views, database, or that we are about to end."""
        found = ["stopping"] if self.stopping.is_set() else []
        found += [] if self.app.retriever is not None and self.app.retriever.version else ["views"]
        return found + ([] if await self._waiting() is not None else ["database"])

    async def metrics(self, request: Request) -> Response:
        vitals = self.app.vitals
        if not isinstance(vitals, Counters):
            return Response(status_code=404)
        gauges = {"coach_ready": 0.0 if await self.missing() else 1.0}
        if self.app.retriever is not None:
            gauges["coach_playbook_version"] = self.app.retriever.version
            gauges["coach_index_serving"] = float(self.app.retriever.indexed)
        if (waiting := await self._waiting()) is not None:
            gauges |= waiting
        return Response(vitals.text(gauges), media_type=vitals.content_type)

    async def _waiting(self) -> dict[str, float] | None:
        """Lengths and ages of inbox and outbox; None if the database does not answer in time."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.mail.waits(self.app.clock())
        except Exception:
            return None


@contextlib.asynccontextmanager
async def serving(listen: str, routes: list[Route]) -> AsyncIterator[None]:
    """Serve HTTP on `host:port` until the block ends. The port in use is a `SetupProblem`."""
    import uvicorn

    host, _, port = listen.rpartition(":")
    config = uvicorn.Config(
        Starlette(routes=routes), host=host, port=int(port), log_config=None, access_log=False, lifespan="off",
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign] # signals are ours
    task = asyncio.create_task(_until_told(server, listen))
    while not server.started:
        if task.done():
            task.result()
        await asyncio.sleep(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        await task


async def _until_told(server: object, listen: str) -> None:
    """uvicorn ends the program when it cannot listen; ours says what to do."""
    import uvicorn

    assert isinstance(server, uvicorn.Server)
    try:
        await server.serve()
    except SystemExit:
        raise SetupProblem(f"{listen} cannot be listened on. Is the port in use? (COACH_LISTEN, COACH_STATUS_LISTEN)") from None
    if not server.started:
        raise SetupProblem(f"{listen} cannot be listened on. Is the port in use? (COACH_LISTEN, COACH_STATUS_LISTEN)")
