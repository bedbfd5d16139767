"""`make demo`: the Telegram bot on the test double, with a small local chat page – no token, no network.

Open the address that is printed: switch between a rep and the admin, write, tap buttons, answer quizzes, send files.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from aiohttp import web
from bot_api import TOKEN, BotApi, Person

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("demo.html")
PEOPLE = {1: ("Admin 管理员", "zh-hans"), 2: ("Rep 销售", "zh-hans"), 3: ("New hire (English)", "en")}
TAGS = {
    "bold": ("<b>", "</b>"), "italic": ("<i>", "</i>"), "blockquote": ("<blockquote>", "</blockquote>"),
    "expandable_blockquote": ('<details><summary>···</summary>', "</details>"),
}  # fmt: skip


def page_of(api: BotApi, person: Person) -> list[dict[str, Any]]:
    """A person's chat as the page shows it."""
    return [bubble(message) for message in list(person.chat.messages.values())[-80:]]


def bubble(message: dict[str, Any]) -> dict[str, Any]:
    text = message.get("text") or message.get("caption") or ""
    shown: dict[str, Any] = {
        "id": message["message_id"],
        "mine": not message["from"]["is_bot"],
        "html": marked(text, message.get("entities") or message.get("caption_entities") or []),
        "buttons": message.get("reply_markup", {}).get("inline_keyboard", []),
    }
    if "poll" in message:
        shown |= {"html": marked(message["poll"]["question"], []), "poll": message["poll"]}
    if "document" in message:
        shown["file"] = {"id": message["document"]["file_id"], "name": message["document"].get("file_name", "file")}
    if "photo" in message:
        shown["photo"] = message["photo"][-1]["file_id"]
    return shown


def marked(text: str, entities: list[dict[str, Any]]) -> str:
    """Text with its entities as HTML; offsets count UTF-16 units, everything else is escaped."""
    units = text.encode("utf-16-le")
    opens: dict[int, str] = {}
    closes: dict[int, str] = {}
    for entity in sorted(entities, key=lambda item: -item["length"]):
        if entity["type"] in TAGS:
            start, end = entity["offset"], entity["offset"] + entity["length"]
            opens[start] = opens.get(start, "") + TAGS[entity["type"]][0]
            closes[end] = TAGS[entity["type"]][1] + closes.get(end, "")
    marks = sorted({0, len(units) // 2, *opens, *closes})
    pieces = []
    for here, there in zip(marks, [*marks[1:], len(units) // 2], strict=True):
        pieces += [closes.get(here, ""), opens.get(here, ""), html.escape(units[2 * here : 2 * there].decode("utf-16-le"))]
    return re.sub(r"(https?://\S+)", r'<a href="\1">\1</a>', "".join(pieces)).replace("\n", "<br>")


def application(api: BotApi) -> web.Application:
    """The page, what it shows, and what the person does on it."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE.read_text("utf-8"), content_type="text/html")

    async def state(request: web.Request) -> web.Response:
        person = api.people[int(request.query["person"])]
        menu = api.menus.get(f"chat:{person.id}:", [])
        data = {"people": {key: name for key, (name, _) in PEOPLE.items()}, "messages": page_of(api, person), "menu": menu}
        return web.json_response(data, dumps=lambda value: json.dumps(value, ensure_ascii=False))

    async def act(request: web.Request) -> web.Response:
        asked = await request.json()
        person = api.people[int(asked["person"])]
        message = person.chat.messages.get(asked.get("message", 0))
        match asked["do"]:
            case "say" if asked["text"].strip():
                person.says(asked["text"][:4096])
            case "tap" if message:
                person.taps(message, asked["data"])
            case "vote" if message and "poll" in message:
                person.votes(int(asked["option"]), message=message)
        return web.Response(status=204)

    async def upload(request: web.Request) -> web.Response:
        person = api.people[int(request.query["person"])]
        person.uploads(request.query["name"], await request.read())
        return web.Response(status=204)

    async def file(request: web.Request) -> web.Response:
        name, data = api.files[request.match_info["id"]]
        return web.Response(body=data, headers={"Content-Disposition": f'inline; filename="{name}"'})

    app = web.Application(client_max_size=30_000_000)
    app.add_routes(
        [
            web.get("/", page), web.get("/state", state), web.post("/act", act), web.post("/upload", upload),
            web.get("/file/{id}", file),
        ]
    )  # fmt: skip
    return app


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / ".demo")
    parser.add_argument("--port", type=int, default=8765)
    options = parser.parse_args()
    async with BotApi(username="demo_coach_bot").serving() as api:
        for person_id, (name, language) in PEOPLE.items():
            api.person(person_id, name, language)
        env = os.environ | {
            "COACH_TELEGRAM_TOKEN": TOKEN, "COACH_TELEGRAM_BASE_URL": api.base_url, "COACH_TELEGRAM_BASE_FILE_URL": api.file_url,
            "COACH_ADMINS": "1", "COACH_TELEGRAM_WEBHOOK_URL": "", "COACH_TELEGRAM_PROXY": "",
        }  # fmt: skip
        runner = web.AppRunner(application(api), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", options.port).start()
        print(f"Chat page: http://127.0.0.1:{options.port}/   (Ctrl+C ends the demo; the first start takes a minute or two)", flush=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "telegram", "--data", str(options.data), env=env, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, process.terminate)
        assert process.stdout is not None
        if (await process.stdout.readline()).strip() == b"ready":
            await seat(api, options.data)
            print("The bot is ready.", flush=True)
        code = await process.wait()
        await runner.cleanup()
    return code


async def seat(api: BotApi, data: Path) -> None:
    """The admin invites the rep and the new hire, as in real life."""
    admin = api.people[1]
    admin.says("/start")
    await admin.answer(patience=60)
    for person_id, role in ((2, "rep"), (3, "newhire")):
        person = api.people[person_id]
        if (data / "seated").exists():
            person.says("/start")
            continue
        admin.says(f"/invite {role}")
        code = (await admin.answer(patience=60)).split("start=")[1].split()[0]
        person.says(f"/start {code}")
        await person.answer(patience=60)
    (data / "seated").touch()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
