"""A strict Bot API server for tests and the demo: what the bot is told, what people see, what goes wrong in between.

`async with BotApi().serving() as api:` listens on a local port (`api.base_url`, `api.file_url` as
python-telegram-bot wants them). People act through `api.person(...)`; every outgoing call of the bot is checked
against the Bot API's schema (`api.violations`) and answered with the real server's errors. `api.fail(...)` breaks
things on purpose. Rules and error texts were read in the official server's source; the real service was not
reachable when this was written.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, ClientTimeout, web
from bot_api_markup import BadMarkup, parse, utf16
from bot_api_schema import schema, violations

TOKEN = "7000000001:AAtestdoubletokentestdoubletokentest"
UNSEEN_BY_DEFAULT = {"chat_member", "message_reaction", "message_reaction_count"}
ACTIONS = {
    "typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
    "choose_sticker", "find_location", "record_video_note", "upload_video_note",
}  # fmt: skip
BIG_FILE = 20_971_520
BIG_UPLOAD = 50 * 1024 * 1024
IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")


class Refused(Exception):
    """An error answer of the server: HTTP status, description without the prefix, extra parameters."""

    def __init__(self, description: str, status: int = 400, **parameters: Any) -> None:
        prefix = {400: "Bad Request", 403: "Forbidden", 409: "Conflict", 429: "Too Many Requests"}.get(status)
        super().__init__(f"{prefix}: {description}" if prefix else description)
        self.status, self.parameters = status, parameters


@dataclass
class Fault:
    """What goes wrong: with which method, how often, before or after the work was done."""

    method: str
    times: int = 1
    status: int | None = None  # answer with this HTTP code instead of doing the work
    drop: str | None = None  # "before" or "after" doing: the connection is cut without an answer
    delay: float = 0.0  # seconds before the (normal) answer
    contains: str = ""  # only calls whose parameters contain this
    html: bool = False  # a proxy's HTML page instead of JSON
    retry_after: int | None = None


@dataclass
class Chat:
    """A private chat or a group, with the messages in it."""

    id: int
    kind: str = "private"
    title: str = ""
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    blocked: bool = False
    deactivated: bool = False
    upgraded_to: int | None = None  # the supergroup that this group has become
    sends: deque[float] = field(default_factory=deque)

    def json(self) -> dict[str, Any]:
        name = {"title": self.title} if self.kind != "private" else {"first_name": self.title}
        return {"id": self.id, "type": self.kind, **name}


class Person:
    """Somebody with a phone: writes, taps, votes, uploads, edits, blocks; reads what the bot sent."""

    def __init__(self, api: BotApi, person_id: int, name: str, language: str | None) -> None:
        self.api, self.id, self.name, self.language = api, person_id, name, language
        self.chat = api.chats.setdefault(person_id, Chat(person_id, title=name))
        self.read = 0  # the last message id seen with `answer`

    def json(self) -> dict[str, Any]:
        code = {"language_code": self.language} if self.language else {}
        return {"id": self.id, "is_bot": False, "first_name": self.name, **code}

    def says(self, text: str, chat: Chat | None = None, **extra: Any) -> dict[str, Any]:
        """A text message; a leading /command and @mentions become entities, as clients do."""
        entities = []
        if text.startswith("/"):
            entities.append({"type": "bot_command", "offset": 0, "length": utf16(text.split()[0])})
        for word in text.split():
            if word.startswith("@"):
                at = utf16(text[: text.index(word)])
                entities.append({"type": "mention", "offset": at, "length": utf16(word)})
        content = {"text": text, **({"entities": entities} if entities else {}), **extra}
        return self._posts(content, chat)

    def sends(self, chat: Chat | None = None, **content: Any) -> dict[str, Any]:
        """Any other message: `voice={...}`, `sticker={...}`, `photo=[...]`."""
        return self._posts(content, chat)

    def uploads(self, name: str, data: bytes, media_type: str = "application/octet-stream", caption: str = "") -> dict[str, Any]:
        file_id = self.api.keep_file(name, data)
        document = {
            "file_id": file_id, "file_unique_id": f"u{file_id}", "file_name": name, "mime_type": media_type,
            "file_size": len(data),
        }  # fmt: skip
        return self._posts({"document": document, **({"caption": caption} if caption else {})}, None)

    def _posts(self, content: dict[str, Any], chat: Chat | None) -> dict[str, Any]:
        chat = chat or self.chat
        message = {"message_id": self.api.next_message(), "date": int(time.time()), "chat": chat.json(), "from": self.json(), **content}
        chat.messages[message["message_id"]] = message
        self.api.push("message", message)
        return message

    def edits(self, message: dict[str, Any], text: str) -> None:
        message |= {"text": text, "edit_date": int(time.time())}
        self.api.push("edited_message", message)

    def presses(self, label: str, message: dict[str, Any] | None = None) -> str:
        """Tap the newest button that bears the label, or whose numbered line in the text does. Returns the query id."""
        for candidate in [message] if message else reversed(self.sees()):
            for row in candidate.get("reply_markup", {}).get("inline_keyboard", []):
                for button in row:
                    numbered = re.search(rf"^{re.escape(button['text'])}\. .*{re.escape(label)}", _text(candidate), re.M)
                    if label in button["text"] or numbered:
                        return self.taps(candidate, button["callback_data"])
        raise AssertionError(f"no button {label!r}; there are {self.buttons()}")

    def taps(self, message: dict[str, Any], data: str) -> str:
        query = str(self.api.next_message() + 4_000_000_000)
        self.api.queries[query] = time.monotonic()
        self.api.push(
            "callback_query",
            {"id": query, "from": self.json(), "message": message, "chat_instance": str(message["chat"]["id"]), "data": data},
        )
        return query

    def votes(self, *options: int, message: dict[str, Any] | None = None) -> None:
        """Answer the newest quiz or poll."""
        message = message or next(item for item in reversed(self.sees()) if "poll" in item)
        poll = message["poll"]
        for option in options:
            poll["options"][option]["voter_count"] += 1
        poll["total_voter_count"] += 1
        kept = [poll["options"][option]["persistent_id"] for option in options]
        self.api.push("poll", poll)
        if not poll["is_anonymous"]:
            answer = {"poll_id": poll["id"], "user": self.json(), "option_ids": list(options), "option_persistent_ids": kept}
            self.api.push("poll_answer", answer)

    def reacts(self, message: dict[str, Any], emoji: str) -> None:
        self.api.push(
            "message_reaction",
            {
                "chat": message["chat"], "message_id": message["message_id"], "user": self.json(), "date": int(time.time()),
                "old_reaction": [], "new_reaction": [{"type": "emoji", "emoji": emoji}],
            },
        )  # fmt: skip

    def blocks(self, blocked: bool = True) -> None:
        self.chat.blocked = blocked
        member = {"user": self.api.me, "status": "member"}
        banned = {"user": self.api.me, "status": "kicked", "until_date": 0}
        old, new = (member, banned) if blocked else (banned, member)
        self.api.push(
            "my_chat_member",
            {
                "chat": self.chat.json(), "from": self.json(), "date": int(time.time()), "old_chat_member": old,
                "new_chat_member": new,
            },
        )  # fmt: skip

    def sees(self, chat: Chat | None = None) -> list[dict[str, Any]]:
        """The bot's messages in the chat, oldest first."""
        return [item for item in (chat or self.chat).messages.values() if item["from"]["is_bot"]]

    def buttons(self) -> list[str]:
        rows = [row for item in self.sees()[-3:] for row in item.get("reply_markup", {}).get("inline_keyboard", [])]
        return [button["text"] for row in rows for button in row]

    async def answer(self, count: int = 1, patience: float = 20.0, chat: Chat | None = None) -> str:
        """Wait for the bot's next `count` messages and return their text, joined."""
        found = await self.messages(count, patience, chat)
        return "\n".join(_text(item) for item in found)

    async def messages(self, count: int = 1, patience: float = 20.0, chat: Chat | None = None) -> list[dict[str, Any]]:
        deadline = time.monotonic() + patience
        while True:
            new = [item for item in self.sees(chat) if item["message_id"] > self.read]
            if len(new) >= count:
                self.read = new[-1]["message_id"]
                return new
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} waited for {count} answers, got {[_text(item) for item in new]}")
            await asyncio.sleep(0.02)


def _text(message: dict[str, Any]) -> str:
    poll = message.get("poll")
    return str(message.get("text") or message.get("caption") or (poll["question"] if poll else ""))


class BotApi:
    """The server: one bot, its updates, its chats."""

    def __init__(self, token: str = TOKEN, *, flood: bool = False, username: str = "coach_test_bot") -> None:
        self.token, self.flood = token, flood
        self.me = {
            "id": int(token.split(":")[0]), "is_bot": True, "first_name": "Coach", "username": username,
            "can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False,
            "can_connect_to_business": False, "has_main_web_app": False,
        }  # fmt: skip
        self.chats: dict[int, Chat] = {}
        self.people: dict[int, Person] = {}
        self.updates: deque[dict[str, Any]] = deque()
        self.arrived = asyncio.Event()
        self.update_id = 812_345_000
        self.message_id = 0
        self.allowed: list[str] | None = None
        self.webhook: dict[str, Any] = {"url": ""}
        self.poller: asyncio.Future[None] | None = None
        self.last_poll = (0, 0.0)
        self.queries: dict[str, float] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.menus: dict[str, list[dict[str, Any]]] = {}
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[tuple[float, int, str]] = []  # when, chat, text of every delivered message
        self.log_calls = True
        self.bot_sends: deque[float] = deque()
        self.drafts: dict[int, str] = {}  # what stands in a chat until the next message
        self.drafted: list[tuple[float, int, str]] = []
        self._push_task: asyncio.Task[None] | None = None

    # -- the world ---------------------------------------------------------------------------------

    def person(self, person_id: int, name: str = "Li Wei", language: str | None = "zh-hans") -> Person:
        if person_id not in self.people:
            self.people[person_id] = Person(self, person_id, name, language)
        return self.people[person_id]

    def group(self, chat_id: int = -100_200_300, title: str = "KA team", kind: str = "supergroup") -> Chat:
        return self.chats.setdefault(chat_id, Chat(chat_id, kind, title))

    def upgrades(self, group: Chat, person: Person, *, told: bool = True) -> Chat:
        """A group becomes a supergroup: a new chat id, message numbers of its own, a service message in both.

        Not `told`, as when the bot was down for longer than updates are kept: only a refused message says so.
        """
        new = self.group(-1_000_000_000_000 + group.id, group.title)
        group.upgraded_to = new.id
        if told:
            person._posts({"migrate_to_chat_id": new.id}, group)
            anonymous = {"id": 1_087_968_824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
            sent = {"from": anonymous, "sender_chat": new.json(), "chat": new.json()}
            message = {"message_id": self.next_message(), "date": int(time.time()), **sent}
            self.push("message", message | {"migrate_from_chat_id": group.id})
        return new

    def next_message(self) -> int:
        self.message_id += 1
        return self.message_id

    def keep_file(self, name: str, data: bytes) -> str:
        file_id = f"file{len(self.files) + 1}"
        self.files[file_id] = (name, data)
        return file_id

    def push(self, kind: str, content: dict[str, Any]) -> None:
        """An update for the bot, if it asked for this kind."""
        wanted = kind not in UNSEEN_BY_DEFAULT if not self.allowed else kind in self.allowed
        if wanted:
            self.push_raw({kind: json.loads(json.dumps(content))})

    def push_raw(self, update: dict[str, Any]) -> int:
        """An update as it is (for poison)."""
        self.update_id += 1
        self.updates.append({"update_id": self.update_id, **update})
        self.arrived.set()
        return self.update_id

    def fail(self, method: str, **how: Any) -> Fault:
        fault = Fault(method.lower(), **how)
        self.faults.append(fault)
        return fault

    # -- transport ---------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/bot"

    @property
    def file_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/file/bot"

    def application(self) -> web.Application:
        app = web.Application(client_max_size=BIG_UPLOAD + 1_000_000)
        app.router.add_route("*", "/bot{token}/{method}", self._http)
        app.router.add_get("/file/bot{token}/{path:.+}", self._download)
        return app

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[BotApi]:
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            if self._push_task:
                self._push_task.cancel()
            await runner.cleanup()

    async def _http(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != self.token:
            known = ":" in request.match_info["token"]
            return _answer_error(401 if known else 404, "Unauthorized" if known else "Not Found")
        names = {name.lower(): name for name in schema()["methods"]}
        method = names.get(request.match_info["method"].lower())
        if method is None:
            return _answer_error(404, "Not Found")
        if (request.content_length or 0) > BIG_UPLOAD:
            return _answer_error(413, "Request Entity Too Large")
        given, files = await _parameters(request)
        return await self._faulty(request, method, given, files)

    async def _faulty(self, request: web.Request, method: str, given: dict[str, Any], files: dict[str, Any]) -> web.StreamResponse:
        fault = self._fault(method, given)
        if fault and fault.drop == "before":
            return _cut(request)
        if fault and (fault.status or fault.html):
            status = fault.status or 502
            if fault.html:
                return web.Response(status=status, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
            extra = {"retry_after": fault.retry_after} if fault.retry_after is not None else {}
            return _answer_error(status, f"Too Many Requests: retry after {fault.retry_after}" if extra else "Bad Gateway", **extra)
        answer = await self._call(method, given, files)
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        return _cut(request) if fault and fault.drop == "after" else answer

    def _fault(self, method: str, given: dict[str, Any]) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.method == method.lower() and fault.contains in json.dumps(given, ensure_ascii=False):
                fault.times -= 1
                return fault
        return None

    async def _call(self, method: str, given: dict[str, Any], files: dict[str, Any]) -> web.Response:
        self.violations += violations(method, given, files)
        if self.log_calls and method != "getUpdates":
            self.calls.append((method, given))
        handler: Callable[..., Any] | None = getattr(self, f"_{method}", None)
        try:
            if handler is None:
                raise Refused("method is not part of this test double", 501)
            result = handler(given, files)
            if asyncio.iscoroutine(result):
                result = await result
        except Refused as error:
            return _answer_error(error.status, str(error), **error.parameters)
        return web.json_response({"ok": True, "result": result}, dumps=lambda value: json.dumps(value, ensure_ascii=False))

    async def _download(self, request: web.Request) -> web.Response:
        name = request.match_info["path"].split("/")[-1]
        if request.match_info["token"] != self.token or name not in self.files:
            return _answer_error(404, "Not Found")
        return web.Response(body=self.files[name][1])

    # -- updates -----------------------------------------------------------------------------------

    async def _getUpdates(self, given: dict[str, Any], files: Any) -> list[dict[str, Any]]:
        if self.webhook["url"]:
            raise Refused("can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first", 409)
        if "allowed_updates" in given:
            self.allowed = _json(given["allowed_updates"]) or None
        offset, limit = int(given.get("offset", 0)), int(given.get("limit", 100))
        timeout = min(50.0, float(given.get("timeout", 0)))
        limit, timeout = self._repeated(offset, limit, timeout)
        self._forget(offset)
        self._end_other_poll("terminated by other getUpdates request; make sure that only one bot instance is running")
        if not self.updates and timeout:
            await self._hold(timeout)
        return list(self.updates)[: min(100, max(1, limit))]

    def _repeated(self, offset: int, limit: int, timeout: float) -> tuple[int, float]:
        """The server's brakes for a client that asks for the same offset again and again."""
        last, when = self.last_poll
        since = time.monotonic() - when
        self.last_poll = (offset, time.monotonic())
        if offset and offset == last and since < 0.5:
            limit = 1
        if offset and offset == last and since < 3 and timeout < 3:
            timeout = 3
        return limit, timeout

    def _forget(self, offset: int) -> None:
        if offset < 0:
            while len(self.updates) > -offset:
                self.updates.popleft()
        while offset > 0 and self.updates and self.updates[0]["update_id"] < offset:
            self.updates.popleft()

    def _end_other_poll(self, why: str) -> None:
        if self.poller and not self.poller.done():
            self.poller.set_exception(Refused(why, 409))

    async def _hold(self, seconds: float) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.poller = waiting
        self.arrived.clear()
        arrival = asyncio.ensure_future(self.arrived.wait())
        try:
            await asyncio.wait({waiting, arrival}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
        finally:
            arrival.cancel()
            waiting.cancel()
            if self.poller is waiting:
                self.poller = None

    def _setWebhook(self, given: dict[str, Any], files: Any) -> bool:
        self._end_other_poll("terminated by setWebhook request")
        if "allowed_updates" in given:
            self.allowed = _json(given["allowed_updates"]) or None
        self.webhook = {"url": given.get("url", ""), "secret": given.get("secret_token", "")}
        if self._push_task:
            self._push_task.cancel()
        if self.webhook["url"]:
            self._push_task = asyncio.get_running_loop().create_task(self._deliver())
        return True

    def _deleteWebhook(self, given: dict[str, Any], files: Any) -> bool:
        self.webhook = {"url": ""}
        if str(given.get("drop_pending_updates", "")).lower() == "true":
            self.updates.clear()
        return True

    def _getWebhookInfo(self, given: dict[str, Any], files: Any) -> dict[str, Any]:
        return {"url": self.webhook["url"], "has_custom_certificate": False, "pending_update_count": len(self.updates)}

    async def _deliver(self) -> None:
        """Post updates to the webhook, one by one, until it says 2xx."""
        async with ClientSession(timeout=ClientTimeout(total=10)) as session:
            wait = 0.05
            while self.webhook["url"]:
                if not self.updates:
                    self.arrived.clear()
                    await self.arrived.wait()
                    continue
                headers = {"X-Telegram-Bot-Api-Secret-Token": self.webhook["secret"]}
                try:
                    async with session.post(self.webhook["url"], json=self.updates[0], headers=headers) as response:
                        delivered = response.status < 300
                except OSError:
                    delivered = False
                if delivered:
                    self.updates.popleft()
                    wait = 0.05
                else:
                    await asyncio.sleep(wait)
                    wait = min(2.0, wait * 2)

    # -- the bot and its chats ---------------------------------------------------------------------

    def _getMe(self, given: dict[str, Any], files: Any) -> dict[str, Any]:
        return self.me

    def _getChat(self, given: dict[str, Any], files: Any) -> dict[str, Any]:
        return {**self._chat(given).json(), "accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": {
            "unlimited_gifts": False, "limited_gifts": False, "unique_gifts": False, "premium_subscription": False,
            "gifts_from_channels": False}}  # fmt: skip

    def _chat(self, given: dict[str, Any]) -> Chat:
        chat = self.chats.get(int(given.get("chat_id", 0)))
        if chat is None or (chat.kind == "private" and not chat.messages):
            raise Refused("chat not found")
        if chat.upgraded_to:
            raise Refused("group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.upgraded_to)
        if chat.blocked:
            raise Refused("bot was blocked by the user", 403)
        if chat.deactivated:
            raise Refused("user is deactivated", 403)
        return chat

    def _brake(self, chat: Chat) -> None:
        """Flood control, roughly: 1 a second in a chat with bursts of 5, 20 a minute in a group, 30 a second in all."""
        if not self.flood:
            return
        now = time.monotonic()
        for sends, span in ((chat.sends, 60.0), (self.bot_sends, 1.0)):
            while sends and sends[0] < now - span:
                sends.popleft()
        recent = sum(1 for moment in chat.sends if moment > now - 5)
        if recent >= 9 or len(self.bot_sends) >= 30 or (chat.kind != "private" and len(chat.sends) >= 20):
            raise Refused("retry after 1", 429, retry_after=1)
        chat.sends.append(now)
        self.bot_sends.append(now)

    def _sendMessage(self, given: dict[str, Any], files: Any) -> dict[str, Any]:
        chat = self._chat(given)
        content = self._content(given, "text", 4096, empty="message text is empty")
        return self._posted(chat, given, content)

    def _content(self, given: dict[str, Any], name: str, limit: int, empty: str | None = None) -> dict[str, Any]:
        """Parsed text or caption with its entities."""
        raw = str(given.get(name, ""))
        if len(raw.encode()) > 32_768:
            raise Refused("text is too long")
        try:
            text, entities = parse(raw, given.get("parse_mode"))
        except BadMarkup as error:
            raise Refused(f"can't parse entities: {error}") from None
        if empty and not raw:
            raise Refused(empty)
        if empty and not text.strip():
            raise Refused("text must be non-empty")
        if len(text) > limit:
            raise Refused("message is too long" if name == "text" else "message caption is too long")
        if "entities" in given:
            entities = _json(given["entities"])
        return {name: text, **({"entities" if name == "text" else "caption_entities": entities} if entities else {})} if text else {}

    def _posted(self, chat: Chat, given: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
        content |= self._keyboard(given)
        if "reply_parameters" in given:
            asked = _json(given["reply_parameters"])
            if asked.get("message_id") not in chat.messages and not asked.get("allow_sending_without_reply"):
                raise Refused("message to be replied not found")
        self._brake(chat)
        message = {"message_id": self.next_message(), "date": int(time.time()), "chat": chat.json(), "from": self.me, **content}
        chat.messages[message["message_id"]] = message
        self.drafts.pop(chat.id, None)
        self.sent.append((time.monotonic(), chat.id, _text(message)))
        return message

    def _keyboard(self, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("reply_markup"):
            return {}
        try:
            markup = _json(given["reply_markup"])
        except ValueError:
            raise Refused("can't parse reply keyboard markup JSON object") from None
        for button in (item for row in markup.get("inline_keyboard", []) for item in row):
            if not set(button) - {"text", "style", "icon_custom_emoji_id"}:
                raise Refused("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
            if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= 64:
                raise Refused("BUTTON_DATA_INVALID")
        return {"reply_markup": markup} if "inline_keyboard" in markup else {}

    def _editMessageText(self, given: dict[str, Any], files: Any) -> dict[str, Any]:
        message = self._mine(given)
        content = self._content(given, "text", 4096, empty="message text is empty") | self._keyboard(given)
        return self._edited(message, content, ("text", "entities", "reply_markup"))

    def _editMessageCaption(self, given: dict[str, Any], files: Any) -> dict[str, Any]:
        content = self._content(given, "caption", 1024) | self._keyboard(given)
        return self._edited(self._mine(given), content, ("caption", "caption_entities", "reply_markup"))

    def _editMessageReplyMarkup(self, given: dict[str, Any], files: Any) -> dict[str, Any]:
        return self._edited(self._mine(given), self._keyboard(given), ("reply_markup",))

    def _mine(self, given: dict[str, Any]) -> dict[str, Any]:
        message = self._chat(given).messages.get(int(given.get("message_id", 0)))
        if message is None:
            raise Refused("message to edit not found")
        if not message["from"]["is_bot"]:
            raise Refused("message can't be edited")
        return message

    def _edited(self, message: dict[str, Any], content: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
        if {name: message.get(name) for name in fields} == {name: content.get(name) for name in fields}:
            raise Refused(
                "message is not modified: specified new message content and reply markup are exactly the same as a "
                "current content and reply markup of the message"
            )
        for name in fields:
            message.pop(name, None)
        message |= content | {"edit_date": int(time.time())}
        return message

    def _deleteMessage(self, given: dict[str, Any], files: Any) -> bool:
        if self._chat(given).messages.pop(int(given["message_id"]), None) is None:
            raise Refused("message to delete not found")
        return True

    def _answerCallbackQuery(self, given: dict[str, Any], files: Any) -> bool:
        asked = self.queries.pop(given.get("callback_query_id", ""), None)
        if asked is None or time.monotonic() - asked > 150:
            raise Refused("query is too old and response timeout expired or query ID is invalid")
        if len(given.get("text", "")) > 200:
            raise Refused("MESSAGE_TOO_LONG")
        return True

    def _sendChatAction(self, given: dict[str, Any], files: Any) -> bool:
        self._chat(given)
        if given.get("action") not in ACTIONS:
            raise Refused("wrong parameter action in request")
        return True

    def _sendMessageDraft(self, given: dict[str, Any], files: Any) -> bool:
        chat = self._chat(given)
        if chat.kind != "private":
            raise Refused("drafts can be sent to private chats only")
        self.drafts[chat.id] = self._content(given, "text", 4096).get("text", "")
        self.drafted.append((time.monotonic(), chat.id, self.drafts[chat.id]))
        return True

    def _setMessageReaction(self, given: dict[str, Any], files: Any) -> bool:
        if int(given["message_id"]) not in self._chat(given).messages:
            raise Refused("message to react not found")
        if any(not item.get("emoji") for item in _json(given.get("reaction", "[]"))):
            raise Refused("REACTION_INVALID")
        return True

    def _setMyCommands(self, given: dict[str, Any], files: Any) -> bool:
        self.menus[_menu(given)] = _json(given["commands"])
        return True

    def _getMyCommands(self, given: dict[str, Any], files: Any) -> list[dict[str, Any]]:
        return self.menus.get(_menu(given), [])

    def _deleteMyCommands(self, given: dict[str, Any], files: Any) -> bool:
        self.menus.pop(_menu(given), None)
        return True

    # -- files and polls ---------------------------------------------------------------------------

    def _sendPhoto(self, given: dict[str, Any], files: dict[str, Any]) -> dict[str, Any]:
        chat, content = self._chat(given), self._content(given, "caption", 1024)
        name, data = self._file("photo", given, files)
        if not data.startswith(IMAGES):
            raise Refused("IMAGE_PROCESS_FAILED")
        size = {"file_id": self.keep_file(name, data), "file_unique_id": name, "width": 800, "height": 600, "file_size": len(data)}
        return self._posted(chat, given, {"photo": [size], **content})

    def _sendDocument(self, given: dict[str, Any], files: dict[str, Any]) -> dict[str, Any]:
        chat, content = self._chat(given), self._content(given, "caption", 1024)
        name, data = self._file("document", given, files)
        document = {"file_id": self.keep_file(name, data), "file_unique_id": name, "file_name": name, "file_size": len(data)}
        return self._posted(chat, given, {"document": document, **content})

    def _sendMediaGroup(self, given: dict[str, Any], files: dict[str, Any]) -> list[dict[str, Any]]:
        media = _json(given["media"])
        if not 2 <= len(media) <= 10:
            raise Refused("there must be 2-10 messages to send as an album")
        return [self._posted(self._chat(given), {}, {item["type"]: [], "caption": item.get("caption", "")}) for item in media]

    def _file(self, kind: str, given: dict[str, Any], files: dict[str, Any]) -> tuple[str, bytes]:
        reference = str(given.get(kind, ""))
        part = kind if kind in files else reference.removeprefix("attach://")
        if part in files:
            return files[part]
        if not reference:
            raise Refused(f"there is no {kind} in the request")
        if reference not in self.files:
            raise Refused("wrong file identifier/HTTP URL specified")
        return self.files[reference]

    def _getFile(self, given: dict[str, Any], files: Any) -> dict[str, Any]:
        if given.get("file_id") not in self.files:
            raise Refused("invalid file_id")
        name, data = self.files[given["file_id"]]
        if len(data) > BIG_FILE:
            raise Refused("file is too big")
        return {"file_id": given["file_id"], "file_unique_id": name, "file_size": len(data), "file_path": f"documents/{given['file_id']}"}

    def _sendPoll(self, given: dict[str, Any], files: Any) -> dict[str, Any]:
        chat, options = self._chat(given), [item["text"] for item in _json(given.get("options", "[]"))]
        if not options:
            raise Refused("poll must have at least one answer option")
        if len(options) > 12:
            raise Refused("poll can't have more than 12 options")
        if any(len(option) > 100 for option in options):
            raise Refused("poll options length must not exceed 100")
        if len(given.get("question", "")) > 300:
            raise Refused("poll question length must not exceed 300")
        if given.get("type", "regular") not in ("quiz", "regular"):
            raise Refused("unsupported poll type specified")
        explanation = given.get("explanation", "")
        if len(explanation) > 200 or explanation.count("\n") > 2:
            raise Refused("poll explanation is too long")
        poll = {
            "id": str(5_000_000_000 + self.next_message()), "question": given["question"],
            "options": [{"text": text, "voter_count": 0, "persistent_id": f"o{i}"} for i, text in enumerate(options)],
            "total_voter_count": 0, "is_closed": False, "type": given.get("type", "regular"),
            "is_anonymous": str(given.get("is_anonymous", "true")).lower() == "true",
            "allows_multiple_answers": False, "allows_revoting": False, "members_only": False,
        }  # fmt: skip
        if poll["type"] == "quiz":
            poll |= {"correct_option_ids": _json(given["correct_option_ids"]), "explanation": explanation}
        return self._posted(chat, given, {"poll": poll})

    def _stopPoll(self, given: dict[str, Any], files: Any) -> dict[str, Any]:
        message = self._mine(given)
        if "poll" not in message:
            raise Refused("message with poll to stop not found")
        message["poll"]["is_closed"] = True
        return message["poll"]  # type: ignore[no-any-return]


def _menu(given: dict[str, Any]) -> str:
    scope = _json(given.get("scope", '{"type":"default"}'))
    return f"{scope['type']}:{scope.get('chat_id', '')}:{given.get('language_code', '')}"


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _answer_error(status: int, description: str, **parameters: Any) -> web.Response:
    extra = {"parameters": parameters} if parameters else {}
    return web.json_response({"ok": False, "error_code": status, "description": description, **extra}, status=status)


def _cut(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _parameters(request: web.Request) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters from query, form, JSON or multipart; uploaded files by part name."""
    given: dict[str, Any] = dict(request.query)
    files: dict[str, Any] = {}
    if request.content_type == "application/json":
        given |= await request.json()
    elif request.can_read_body:
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                files[name] = (value.filename, _whole(value.file))
            else:
                given[name] = value
    return given, files


def _whole(file: Any) -> bytes:
    assert isinstance(file, io.IOBase) or hasattr(file, "read")
    return bytes(file.read())


def by_chat(sent: list[tuple[float, int, str]]) -> dict[int, list[str]]:
    """Delivered texts by chat, in order."""
    found: dict[int, list[str]] = defaultdict(list)
    for _, chat, text in sent:
        found[chat].append(text)
    return found
