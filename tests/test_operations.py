"""What operators rely on: logs that name the turn and no words, health, readiness, numbers."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession
from bot_api import TOKEN, BotApi
from telegram_house import empty_house, free_port, running, with_webhook

from bot.app import open_app
from bot.commands.telegram import mail_of, watched
from bot.errors import ModelFailed, SetupProblem
from bot.frontends.status import Status
from bot.logbook import open_logbook, turn
from bot.people import Person, Role
from bot.phrases import say
from bot.ports import App, ModelAnswer
from bot.privacy import sweep
from bot.settings import Settings, read_settings
from bot.spending import metered
from bot.store import SqlStore
from bot.vitals import Counters, Timed

REP = 22
log = logging.getLogger("bot.test")


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi().serving() as api:
        yield api


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[App]:
    async with empty_house(tmp_path / "house") as app:
        await app.store.welcome(Person(f"tg:{REP}", frozenset({Role.REP}), "P", chat=f"tg:{REP}", language="en"), app.clock())
        yield app


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


async def fetch(url: str) -> tuple[int, str]:
    async with ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


def value(text: str, name: str) -> float:
    """The value of a sample, by its name with labels as Prometheus writes it."""
    return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[-1])


# -- logs ------------------------------------------------------------------------------------------------


async def test_a_turn_is_followed_through_all_rooms_by_its_id(house: App, api: BotApi, restored_logging: None) -> None:
    lines = io.StringIO()
    open_logbook("INFO", "json", stream=lines)
    someone = api.person(REP, "Geheimrat", "en")
    async with running(house, api):
        someone.says("/feedback Zebra-Klausel 4711")
        someone.says("/settings")
        await someone.messages(2)
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    turns = {row["turn"] for row in found if row["event"] == "a turn was kept"}
    delivered = {row["turn"] for row in found if row["event"] == "a message was delivered"}
    assert len(turns) == 2 and turns == delivered
    assert all({"at", "level", "logger", "turn", "event"} <= row.keys() for row in found)
    for secret in ("Zebra", "4711", "Geheimrat", TOKEN.split(":")[1], "tg:22"):
        assert secret not in lines.getvalue()


async def test_threads_and_tasks_of_a_turn_bear_its_id_and_others_do_not(restored_logging: None) -> None:
    lines = io.StringIO()
    open_logbook("INFO", "json", stream=lines)

    async def work(name: str) -> None:
        with turn(name):
            await asyncio.sleep(0)
            await asyncio.to_thread(log.info, "%s", name)

    await asyncio.gather(work("a"), work("b"))
    log.info("-")
    assert all(row["turn"] == row["event"] for row in map(json.loads, lines.getvalue().splitlines()))


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_event_is_one_line_and_an_error_is_told_without_its_text(form: str, restored_logging: None) -> None:
    lines = io.StringIO()
    open_logbook("INFO", form, stream=lines)
    words = "Zebra clause of Anna"
    try:
        raise ValueError(words)
    except ValueError:
        log.exception("failed")
    log.info("file %s", "a\n22:00:00 ERROR bot forged", extra={"facts": {"ms": 3}})
    text = lines.getvalue()
    assert "Zebra" not in text and "ValueError" in text and __file__.rpartition("/")[2] in text
    assert not any(line.startswith("22:00:00 ERROR") for line in text.splitlines())
    assert '"ms": 3' in text if form == "json" else " ms=3" in text


@pytest.mark.parametrize(("key", "wrong"), [("log_level", "LOUD"), ("log_format", "xml"), ("status_listen", "9090")])
def test_wrong_settings_of_logs_and_status_are_named(key: str, wrong: str) -> None:
    with pytest.raises(SetupProblem, match=f"COACH_{key.upper()}"):
        read_settings(**{key: wrong})


# -- health, readiness, numbers ----------------------------------------------------------------------------


async def test_polling_opens_no_port_unless_one_is_set(house: App, api: BotApi) -> None:
    assert watched(house) is house
    port = free_port()
    async with running(house, api):
        with pytest.raises(OSError):
            await fetch(f"http://127.0.0.1:{port}/healthz")


async def test_the_status_port_tells_health_readiness_and_numbers(house: App, api: BotApi) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    settings = house.settings.model_copy(update={"status_listen": f"127.0.0.1:{port}"})
    house = watched(replace(house, settings=settings, retriever=SimpleNamespace(version=3, indexed=True)))  # type: ignore[arg-type]
    someone = api.person(REP, "P", "en")
    async with running(house, api) as chat:
        assert await fetch(f"{base}/healthz") == (200, '{"alive":true}')
        assert (await fetch(f"{base}/readyz"))[0] == 200
        someone.says("/settings")
        await someone.messages(1)
        await chat.mailbox.idle()
        _, text = await fetch(f"{base}/metrics")
        assert value(text, 'coach_turns_total{action="chat",activity="idle"}') == 1
        for stage in ("queue", "load", "respond", "keep", "deliver"):
            assert value(text, f'coach_stage_seconds_count{{stage="{stage}"}}') == 1
        assert value(text, 'coach_events_total{event="delivered"}') == 1
        assert (value(text, "coach_inbox_waiting"), value(text, "coach_outbox_waiting"), value(text, "coach_ready")) == (0, 0, 1)
        assert value(text, "coach_playbook_version") == 3
        chat.stopping.set()
        assert json.loads((await fetch(f"{base}/readyz"))[1])["missing"] == ["stopping"]
    assert "tg:" not in text and "P\"" not in text


async def test_beside_the_webhook_only_if_no_other_port_is_set(house: App, api: BotApi) -> None:
    hook, port = with_webhook(), free_port()
    async with running(house, api, **hook):
        assert (await fetch(f"http://{hook['listen']}/healthz"))[0] == 200
        assert (await fetch(f"http://{hook['listen']}/metrics"))[0] == 404  # nothing was counted
    hook = with_webhook()
    async with running(house, api, status_listen=f"127.0.0.1:{port}", **hook):
        assert (await fetch(f"http://{hook['listen']}/healthz"))[0] == 404
        assert (await fetch(f"http://127.0.0.1:{port}/healthz"))[0] == 200


async def test_not_ready_without_views_or_database(house: App) -> None:
    status = Status(house, mail_of(house), asyncio.Event())
    assert await status.missing() == ["views"]

    class Gone:
        async def waits(self, now: Any) -> dict[str, float]:
            raise ConnectionError

    assert await Status(house, Gone(), asyncio.Event()).missing() == ["views", "database"]  # type: ignore[arg-type]


async def test_a_port_in_use_is_said_clearly(house: App, api: BotApi) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(SetupProblem, match="cannot be listened on"):
        async with running(house, api, status_listen=f"127.0.0.1:{port}"):
            pass
    server.close()


async def test_waiting_letters_and_replies_are_measured(house: App) -> None:
    from datetime import timedelta

    from bot.store.mail import Letter
    from bot.turns import Aside, Reply, Say

    mail, now = mail_of(house), house.clock()
    await mail.receive([Letter("tg-9-1", 1, "tg:1", "tg:1", "{}", now - timedelta(seconds=40)), Letter("tg-9-2", 2, "tg:2", "tg:2", "{}", now)])
    await mail.settle("tg-9-2", [Aside("tg:2", Reply((Say("x"),), "en"))], now - timedelta(seconds=9))
    found = await mail.waits(now)
    assert {key: round(number) for key, number in found.items()} == {
        "coach_inbox_waiting": 1, "coach_inbox_age_seconds": 40, "coach_outbox_waiting": 1, "coach_outbox_lag_seconds": 9,
    }  # fmt: skip


async def test_model_calls_tokens_cost_and_failures_are_counted(house: App) -> None:
    class Model:
        name, broken = "test:m", False

        async def answer(self, prompt: str, **_: Any) -> ModelAnswer:
            if self.broken:
                raise ModelFailed("slow", "no answer")
            return ModelAnswer("x", None, self.name, 1000, 500, 0.2)

    vitals, model = Counters(), Model()
    settings = house.settings.model_copy(update={"llm_price_input": 2.0, "llm_price_output": 4.0})
    app, meter = await metered(replace(house, model=model, vitals=vitals, settings=settings), Person("t:1", frozenset({Role.REP})))
    assert meter is not None and app.model is meter
    await meter.answer("?")
    model.broken = True
    with pytest.raises(ModelFailed):
        await meter.answer("?")
    text = vitals.text({}).decode()
    assert value(text, 'coach_model_calls_total{model="test:m",outcome="answered"}') == 1
    assert value(text, 'coach_model_calls_total{model="test:m",outcome="slow"}') == 1
    assert value(text, 'coach_model_tokens_total{direction="input",model="test:m"}') == 1000
    assert value(text, 'coach_model_cost_total{model="test:m"}') == pytest.approx(0.004)


def test_searches_are_timed_and_the_rest_is_the_retrievers(playbook: App) -> None:
    vitals = Counters()
    timed = Timed(playbook.retriever, vitals)
    assert timed.search("价格太高").hits == playbook.retriever.search("价格太高").hits
    timed.read("价格太高")
    assert timed.version == playbook.retriever.version
    text = vitals.text({}).decode()
    assert value(text, 'coach_stage_seconds_count{stage="search"}') == value(text, 'coach_stage_seconds_count{stage="read"}') == 1


# -- too many at once ------------------------------------------------------------------------------------


async def test_when_many_ask_at_once_members_are_told_once_and_answered_all_the_same(house: App, api: BotApi) -> None:
    member, stranger = api.person(REP, "P", "en"), api.person(99, "S", "en")
    async with running(house, api) as chat:
        chat.mailbox.workers = 0  # as if more chats waited than are worked on
        chat.mailbox.lag = 60.0
        member.says("/settings")
        told = await member.messages(2)
        chat.mailbox.lag = 60.0
        member.says("/settings")
        stranger.says("hello")
        await member.messages(1)
        await stranger.messages(1)
    assert [item["text"] for item in told].count(say("en", "telegram.busy")) == 1
    assert say("en", "telegram.busy") not in [item["text"] for item in (*member.sees()[2:], *stranger.sees())]
    assert len(member.sees()) == 3


# -- forgotten -------------------------------------------------------------------------------------------


async def test_nothing_of_a_forgotten_person_is_left_in_any_file(settings: Settings, api: BotApi, tmp_path: Path, restored_logging: None) -> None:
    """Byte for byte: database, write-ahead log, views, exports, uploads, our log, a backup made afterwards, and one made before."""
    from bot.backups import forgotten_in_backup, restore_backup, write_backup
    from bot.store.database import open_engine

    data = settings.data_dir
    with (data / "bot.log").open("w") as logged:
        open_logbook("INFO", "json", stream=logged)
        async with open_app(settings, seed=1) as app:
            await app.store.welcome(Person("tg:778899", frozenset({Role.REP}), "Unverwechselbar", chat="tg:778899", language="zh"), app.clock())
            someone = api.person(778899, "Unverwechselbar", "zh-hans")
            async with running(app, api) as chat:
                someone.says("蓝鲸港口的采购把我推给设备部,设备部又推回来,没人牵头")
                someone.says("/feedback Zebraklausel fehlt")
                await someone.messages(2)
                assert {"蓝鲸", "Zebraklausel", "778899"} <= {word for word in TRACES if word in everything_under(data)}, "the search itself is blind"
                assert isinstance(app.store, SqlStore)
                await write_backup(app.store.engine, tmp_path / "before.zip", app.clock())
                assert {"蓝鲸", "Zebraklausel", "778899"} <= {word for word in TRACES if word in inside(tmp_path / "before.zip")}
                someone.says("/privacy")
                await someone.answer()
                someone.presses(say("zh", "privacy.export"))
                await someone.messages(2)
                someone.presses(say("zh", "privacy.forget"))
                await someone.answer()
                someone.presses(say("zh", "privacy.forget_all"))
                assert await someone.answer() == say("zh", "privacy.forgotten_all")
                await chat.mailbox.idle()
            for path in (data / "exports").iterdir():
                os.utime(path, (0, 0))  # a day later
            await sweep(app)
            await write_backup(app.store.engine, tmp_path / "backup.zip", app.clock())
            when = app.clock()
    left = everything_under(data) + inside(tmp_path / "backup.zip")
    assert "coach" in left and [word for word in TRACES if word in left] == []
    (tmp_path / "restored").mkdir()
    engine = await open_engine(None, tmp_path / "restored")
    await restore_backup(engine, tmp_path / "before.zip", forgotten_in_backup(tmp_path / "backup.zip"), when)
    await engine.dispose()
    left = everything_under(tmp_path / "restored")
    assert "coach" in left and [word for word in TRACES if word in left] == []


TRACES = ("蓝鲸", "Zebraklausel", "Unverwechselbar", "778899")


def inside(backup: Path) -> str:
    with zipfile.ZipFile(backup) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist())


def everything_under(folder: Path) -> str:
    """The bytes of all files as text, with JSON's escapes undone."""
    raw = b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    text = raw.decode("utf-8", "ignore")
    return text + re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)


async def test_what_is_older_than_the_company_keeps_goes_and_the_audit_stays(house: App) -> None:
    from datetime import timedelta

    from bot.conversation import serve
    from bot.turns import Incoming, Record, Reply

    person, now = Person(f"tg:{REP}", frozenset({Role.REP}), "P", chat=f"tg:{REP}", language="en"), house.clock()
    for age in (400, 10):
        await serve(house, person, Incoming(f"x{age}", f"tg:{REP}", person.id, now - timedelta(days=age), command="settings"))
    session = await house.store.session("c", "admin")
    old = Incoming("a1", "c", "admin", now - timedelta(days=400))
    await house.store.keep(old, session, Reply((), "en"), [Record("audit", {"what": "changed"})])
    await sweep(house)
    assert [row["incoming"] for row in await house.store.rows("SELECT incoming FROM turns")] == ["x10"]
    assert len(await house.store.rows("SELECT * FROM audit")) == 1
