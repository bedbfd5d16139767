"""What is under deploy/ and what ships with it: valid, complete, not root, and under licences that bind nobody."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from telegram_house import free_port

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / ".ci"))

import audit
import deploy_check

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def test_the_compose_file_is_valid_by_the_published_schema_and_holds_no_secret() -> None:
    assert deploy_check.compose() == (True, "valid against the published Compose schema")
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    for name in ("DATABASE_URL", "TOKEN", "WEBHOOK_SECRET"):
        assert re.search(rf"COACH_\w*{name}: \$\{{", text), f"{name} must come from the environment"


def test_the_image_is_not_root_says_its_health_and_takes_what_its_steps_copy() -> None:
    assert re.search(r"^USER coach$", DOCKERFILE, re.M) and re.search(r"^HEALTHCHECK .*deploy/health.py", DOCKERFILE, re.M)
    steps = (ROOT / "deploy" / "build.sh").read_text(encoding="utf-8")
    parts = re.search(r"for part in (.*); do", steps)
    assert parts
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")}
    assert set(parts[1].split()) == let_in and all((ROOT / part).exists() for part in let_in)


async def test_the_health_check_is_0_only_when_the_coach_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    async def checked(port: int) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", str(ROOT / "deploy" / "health.py"), env={"COACH_STATUS_LISTEN": f"0.0.0.0:{port}"}, stderr=subprocess.DEVNULL
        )
        return await process.wait()

    port = free_port()
    assert await checked(port) == 1
    async with await asyncio.start_server(says, "127.0.0.1", port):
        assert await checked(port) == 0


def test_everything_that_ships_is_under_a_licence_that_binds_nobody() -> None:
    rows = audit.licences()
    assert len(rows) > 100 and [row for row in rows if row[3]] == []


@pytest.mark.parametrize(
    ("name", "licence", "accepted"),
    [
        ("x", "MIT", True), ("x", "BSD-3-Clause AND Apache-2.0", True), ("x", "GPL-3.0-or-later OR MIT", True), ("x", "MPL-2.0", True),
        ("x", "GPL-3.0-only", False), ("x", "GNU Affero General Public License v3", False), ("x", "AGPL-3.0", False), ("x", "LGPL-3.0", False),
        ("x", "CC-BY-NC-4.0", False), ("x", "MIT AND GPL-2.0", False), ("x", "", False), ("x", "Proprietary", False),
        ("python-telegram-bot", "LGPL-3.0-only", True), ("psycopg", "GPL-3.0", False),
    ],
)  # fmt: skip
def test_a_licence_is_judged_by_its_words(name: str, licence: str, accepted: bool) -> None:
    assert (audit.judged(name, licence) == "") == accepted
