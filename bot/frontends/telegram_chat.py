"""The bot in Telegram: what people do there becomes turns, replies become messages. Nothing else is decided here."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

os.environ.setdefault("PTB_TIMEDELTA", "true")  # before telegram is imported: retry_after as a timedelta

from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeChat,
    BotCommandScopeDefault,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    Message,
    ReplyParameters,
    Update,
)  # fmt: skip
from telegram.constants import ChatAction, ParseMode
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)  # fmt: skip
from telegram.request import HTTPXRequest

from bot.admission import Admission
from bot.conversation import COMMANDS, reply_language
from bot.errors import CannotHelp, SetupProblem
from bot.frontends.telegram_progress import Ongoing, work_of
from bot.frontends.telegram_screen import Document, Keyboard, Parcel, Photo, Quiz, Text, parcels, token_behind
from bot.mailbox import Later, Mailbox, Moved, Receipt, Undeliverable
from bot.people import Person
from bot.phrases import phrases, say
from bot.ports import App, Typing
from bot.settings import Settings
from bot.store.mail import Letter, Mail, Note, Post
from bot.turns import LANGUAGES, Aside, Attachment, Incoming, Language

log = logging.getLogger(__name__)

T = TypeVar("T")
PREFIX = "tg:"
UPDATES = ("message", "edited_message", "callback_query", "my_chat_member", "poll_answer")
PROXIES = ("http", "https", "socks5", "socks5h")
POLL_SECONDS = 25
BASIC = "g"  # before the number of a message in a plain group: as a supergroup it counts anew
SUPERGROUPS = -1_000_000_000_000  # their ids are below this
PATIENCE_EVERY = 600.0  # seconds between two words to a chat that many ask at once
TIDY_EVERY = 60.0  # seconds between two looks for notes that somebody who was killed has left
TYPING_AFTER, NOTE_EVERY = 0.5, 4.0  # "typing…" lasts five seconds
UNREAD = ("voice", "video_note", "audio", "video", "sticker", "animation", "photo", "location", "contact", "poll", "dice", "story")


# -- what comes in -------------------------------------------------------------------------------------


def letter_of(raw: object, bot_id: int, received: datetime) -> Letter:
    """An update as a letter, whatever is in it: nothing here fails on a shape that we don't know."""
    raw = _dict(raw)
    number = update_number(raw)
    content = next((value for key, value in raw.items() if key != "update_id" and isinstance(value, dict)), {})
    message = _dict(content.get("message")) or content
    sender = _dict(content.get("from")) or _dict(content.get("user"))
    chat = _dict(message.get("chat")) or sender
    kind = str(chat.get("type", "private"))
    reply_to = "" if kind == "private" else f"-{BASIC if kind == 'group' else ''}{_id(message.get('message_id'))}"
    return Letter(
        id=f"tg-{bot_id}-{number}{reply_to}", ordinal=number, chat=_chat_key(_id(chat.get("id")), message),
        person=f"{PREFIX}{_id(sender.get('id'))}", raw=_storable(raw), received=received,
    )  # fmt: skip


def update_number(raw: object) -> int:
    """The number of an update; 0 for what has none."""
    number = _id(_dict(raw).get("update_id"))
    return number if isinstance(number, int) else 0


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: object) -> int | str:
    """A number as the platform gives them; "?" for anything else, which no database need take."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else "?"


def _storable(raw: dict[str, Any]) -> str:
    """An update as JSON; halves of characters and zeros, which not every database takes, become question marks."""
    text = re.sub(r"(?<!\\)((?:\\\\)*)\\u0000", r"\1?", json.dumps(raw, ensure_ascii=False))
    return text.encode(errors="replace").decode()


def _chat_key(chat_id: int | str, message: dict[str, Any]) -> str:
    """`tg:<chat>`; a topic of a forum is a chat of its own: `tg:<chat>#<topic>`."""
    topic = _id(message.get("message_thread_id")) if message.get("is_topic_message") else None
    return f"{PREFIX}{chat_id}#{topic}" if topic and topic != "?" else f"{PREFIX}{chat_id}"


def address(chat: str) -> tuple[int, int | None]:
    """The platform's chat id and topic of a chat key."""
    number, _, topic = chat.removeprefix(PREFIX).partition("#")
    return int(number), int(topic) if topic else None


@dataclass(frozen=True, slots=True)
class Heard:
    """A turn, or (`remark`) the phrase that answers something which is not one."""

    incoming: Incoming
    remark: str | None = None


def heard(update: Update, letter: Letter, me: Bot) -> Heard | None:
    """What a person did, or None if it is not meant for us."""
    if update.callback_query:
        query = update.callback_query
        private = bool(query.message and query.message.chat.type == "private")
        turn = _turn(letter, letter.received, query.from_user, private=private)
        return Heard(replace(turn, choice=query.data or ""))
    message = update.message or update.edited_message
    if message is None or message.from_user is None or message.from_user.is_bot:
        return None
    private = message.chat.type == "private"
    if not private and not _addressed(message, me):
        return None
    turn = _turn(letter, message.date, message.from_user, private=private)
    if update.edited_message:
        return Heard(turn, "telegram.edited") if private else None
    hangs_on = str(message.reply_to_message.message_id) if message.reply_to_message else None
    return _message(message, replace(turn, forwarded=message.forward_origin is not None, reply_to=hangs_on), me)


def _turn(letter: Letter, at: datetime, user: Any, *, private: bool) -> Incoming:
    return Incoming(
        id=letter.id, chat=letter.chat, person=f"{PREFIX}{user.id}", at=at.astimezone(UTC), private=private,
        language_hint=user.language_code, display_name=(user.full_name or "")[:100],
    )  # fmt: skip


def _message(message: Message, turn: Incoming, me: Bot) -> Heard | None:
    text = message.text or message.caption or ""
    if message.document:
        file = message.document
        attachment = Attachment(Path(file.file_name or "file").name, file.file_size or 0, file.file_id, media_type=file.mime_type)
        return Heard(replace(turn, text=text.strip(), attachment=attachment))
    if not text:
        kinds = [kind for kind in UNREAD if getattr(message, kind, None)]
        return Heard(turn, "telegram.voice" if "voice" in kinds else "telegram.unread") if kinds else None
    if not turn.private:
        text = re.sub(rf"@{re.escape(me.username)}\b", "", text, flags=re.IGNORECASE)
    if found := re.match(r"\s*[/／](\w+)(?:@(\w+))?(?:\s+|$)(.*)", text, re.DOTALL):
        if found[2] and found[2].lower() != me.username.lower():
            return None
        return Heard(replace(turn, command=found[1].lower(), text=found[3].strip()))
    return Heard(replace(turn, text=text.strip()))


def _move(message: Message) -> tuple[str, str] | None:
    """(old, new) chat when a group has become a supergroup: both of them are told."""
    here = f"{PREFIX}{message.chat.id}"
    if message.migrate_to_chat_id:
        return here, f"{PREFIX}{message.migrate_to_chat_id}"
    return (f"{PREFIX}{message.migrate_from_chat_id}", here) if message.migrate_from_chat_id else None


def _addressed(message: Message, me: Bot) -> bool:
    """In a group: a command (ours or bare), a mention, or a reply to the bot."""
    text = message.text or message.caption or ""
    if f"@{me.username}".lower() in text.lower():
        return True
    if message.reply_to_message and message.reply_to_message.from_user:
        return message.reply_to_message.from_user.id == me.id
    return re.match(r"[/／]\w+(\s|$)", text) is not None


# -- the bot -------------------------------------------------------------------------------------------


class RawBot(Bot):
    """A bot that hands out updates as they came: parsed one by one later, one that we don't understand stops nobody."""

    async def raw_updates(self, offset: int, seconds: int) -> list[dict[str, Any]]:
        asked = {"offset": offset, "timeout": seconds, "allowed_updates": list(UPDATES)}
        found: list[dict[str, Any]] = await self._post("getUpdates", asked, read_timeout=seconds + 10.0)
        return found


class TelegramChat:
    """Receives updates (polling or webhook), answers them through the mailbox, delivers replies."""

    def __init__(self, app: App, mail: Mail, bot: RawBot) -> None:
        self.app, self.mail, self.bot = app, mail, bot
        self.admission = Admission(app)
        self.mailbox = Mailbox(mail, self, self.answer, self.admission.apologise, app.clock, vitals=app.vitals)
        self.pace = Pace(time.monotonic)
        self.stopping = asyncio.Event()
        self.trouble: SetupProblem | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._busy_told: dict[str, float] = {}
        self._menus: dict[str, tuple[object, ...]] = {}
        self.note_every = NOTE_EVERY
        self.drafts = True  # until the server refuses one
        app.extras["fetch"] = self.fetch

    async def answer(self, letter: Letter) -> Sequence[Aside] | None:
        """One update: None if a turn was kept, else what to say about it."""
        update = Update.de_json(json.loads(letter.raw), self.bot)
        if update.my_chat_member:
            await self._membership(update)
            return []
        if update.message and (move := _move(update.message)):
            await self.mailbox.move(*move)
            return []
        if update.callback_query:
            self._errand(self.bot.answer_callback_query(update.callback_query.id))
        found = await self._poll_answer(update, letter) if update.poll_answer else heard(update, letter, self.bot)
        if found is None:
            return []
        incoming = await self._with_token(found.incoming)
        person = await self.admission.who(incoming)
        async with self._typing(incoming, person, letter) as typing:
            posts = await self.admission.attend(incoming, person, found.remark, typing)
        if incoming.private and posts is None:
            await self._menu(incoming, person)
        return posts

    async def _membership(self, update: Update) -> None:
        """Somebody blocked or unblocked us."""
        assert update.my_chat_member is not None
        chat = f"{PREFIX}{update.my_chat_member.chat.id}"
        if update.my_chat_member.new_chat_member.status in ("kicked", "left"):
            await self.mail.unreachable(chat, "blocked")
        else:
            await self.mail.reachable(chat)

    async def _poll_answer(self, update: Update, letter: Letter) -> Heard | None:
        """A vote in a quiz: the platform names the poll, we know the question."""
        assert update.poll_answer is not None
        known = await self.mail.poll(update.poll_answer.poll_id)
        if known is None or update.poll_answer.user is None or not update.poll_answer.option_ids:
            return None
        token, chat, _ = known
        turn = _turn(letter, letter.received, update.poll_answer.user, private=not chat.startswith(f"{PREFIX}-"))
        return Heard(replace(turn, chat=chat, poll=token, poll_options=tuple(update.poll_answer.option_ids)))

    async def _with_token(self, incoming: Incoming) -> Incoming:
        """Resolve shortened tokens, and buttons that stand in for a poll."""
        choice = incoming.choice
        if choice and choice.startswith("~"):
            choice = token_behind(choice, await self.mail.offered(incoming.chat)) or choice
        if choice and choice.startswith("poll:"):
            token, _, option = choice.removeprefix("poll:").rpartition(":")
            return replace(incoming, choice=None, poll=token, poll_options=(int(option),))
        return replace(incoming, choice=choice)

    @contextlib.asynccontextmanager
    async def _typing(self, incoming: Incoming, person: Person | None, letter: Letter) -> AsyncIterator[Typing]:
        """Show "typing…" while a turn takes longer than a moment, then a note of what takes so long, or the draft."""

        async def language() -> Language:
            assert person is not None
            return reply_language(self.app, person, await self.app.store.session(incoming.chat, incoming.person), incoming)

        ongoing = Ongoing(_Board(self, incoming, letter), language)
        task = asyncio.create_task(self._company(incoming, ongoing if person else None))
        try:
            yield ongoing
        finally:
            task.cancel()
            await ongoing.close()

    async def _company(self, incoming: Incoming, ongoing: Ongoing | None) -> None:
        """Until cancelled: the typing action every few seconds, and a note with all but the first."""
        await asyncio.sleep(TYPING_AFTER)
        (chat, topic), began, work = address(incoming.chat), time.monotonic(), work_of(incoming)
        while True:
            with contextlib.suppress(TelegramError):
                await self.bot.send_chat_action(chat, ChatAction.TYPING, message_thread_id=topic)
            await asyncio.sleep(self.note_every)
            if ongoing:
                await ongoing.note(work, time.monotonic() - began + TYPING_AFTER)

    async def tidying(self) -> None:
        """Until cancelled: take away the notes of letters that nobody works on any more."""
        while True:
            with contextlib.suppress(Exception):  # the database or Telegram is away: the next look will do
                for note in await self.mail.notes_left():
                    await self.take_away(note)
            await asyncio.sleep(TIDY_EVERY)

    async def take_away(self, note: Note) -> None:
        """Delete a note in a chat; if Telegram cannot be reached, it is done later."""
        try:
            await self.bot.delete_message(address(note.chat)[0], int(note.message))
        except (BadRequest, Forbidden, ChatMigrated) as error:  # it is gone, or out of our reach
            log.info("a note need not be taken away: %s", error)
        except TelegramError as error:
            log.info("a note is taken away later: %s", type(error).__name__)
            return
        await self.mail.taken_away(note)

    def _errand(self, call: Coroutine[Any, Any, Any]) -> None:
        """A call that nobody waits for, and whose failure costs nothing."""

        async def run() -> None:
            try:
                await call
            except Exception as error:  # whatever it is: the next one is tried again
                log.debug("an errand failed: %s", type(error).__name__)

        task = asyncio.create_task(run())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _menu(self, incoming: Incoming, person: Person | None) -> None:
        """Each person sees the commands of their roles, in their language; a command or a tap may just have changed both."""
        if incoming.command is not None or incoming.choice is not None:
            person = await self.app.store.person(incoming.person)
        if person is None or not person.active:
            return
        hint = person.language or incoming.language_hint or self.app.settings.language or "zh"
        language: Language = "zh" if hint.lower().startswith("zh") else "en"
        menu = (language, *commands_of(person))
        if self._menus.get(incoming.chat) == menu:
            return
        self._menus[incoming.chat] = menu
        known = phrases(language)
        commands = [BotCommand(name, known[f"core.help_{name}"][:256]) for name in commands_of(person)]
        self._errand(self.bot.set_my_commands(commands, BotCommandScopeChat(address(incoming.chat)[0])))

    async def fetch(self, attachment: Attachment) -> Attachment:
        """The attachment with its bytes on disk (`path`), or CannotHelp: too big, gone, not reachable."""
        limit = min(self.app.settings.upload_megabytes, 20)
        if attachment.size > limit * 1024 * 1024:
            raise CannotHelp("telegram.file_too_big", limit=limit)
        folder = self.app.data_dir / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(attachment.handle.encode()).hexdigest()[:24] + _suffix(attachment.name)
        try:
            file = await self.bot.get_file(attachment.handle)
            await file.download_to_drive(folder / name)
        except BadRequest as error:
            phrase = "telegram.file_too_big" if "too big" in str(error).lower() else "telegram.file_gone"
            raise CannotHelp(phrase, **({"limit": 20} if "too_big" in phrase else {})) from error
        except TelegramError as error:
            raise CannotHelp("telegram.file_gone") from error
        return replace(attachment, path=str(folder / name))

    # -- delivering ------------------------------------------------------------------------------------

    def pack(self, post: Post) -> Sequence[Parcel]:
        return parcels(post.reply, post.incoming, votes=post.part == 0 and post.incoming.startswith("tg-"))

    async def carry(self, post: Post, parcel: Parcel) -> Receipt:
        """Send one message. Raises `Later`, `Undeliverable` or `Moved`; never anything about the message's own content."""
        chat, topic = address(post.chat)
        if wait := self.pace.wait(post.chat):
            raise Later(wait, "pacing", failed=False)
        try:
            return await self._send(chat, topic, post, parcel)
        except RetryAfter as error:
            raise Later(_seconds(error), "flood control") from error
        except ChatMigrated as error:
            raise Moved(f"{PREFIX}{error.new_chat_id}") from error
        except Forbidden as error:
            raise Undeliverable(str(error), gone=True) from error
        except BadRequest as error:
            gone = any(word in str(error).lower() for word in ("chat not found", "deactivated", "not enough rights", "chat_write_forbidden"))
            raise Undeliverable(str(error), gone=gone) from error
        except (NetworkError, InvalidToken, Conflict) as error:
            raise Later(min(60.0, 1.0 * 2 ** min(post.attempts, 6)), type(error).__name__) from error
        except FileNotFoundError as error:
            raise Undeliverable(f"{error.filename} is not there any more") from error

    async def _send(self, chat: int, topic: int | None, post: Post, parcel: Parcel) -> Receipt:
        to: dict[str, Any] = {"chat_id": chat, "message_thread_id": topic, "reply_parameters": _reply_to(post)}
        match parcel:
            case Text(markup, keyboard):
                return await self._text(to, markup, keyboard)
            case Quiz(token, question, options, key, explanation):
                sent = await self.bot.send_poll(
                    **to, question=question, options=list(options), type="quiz", correct_option_ids=[key],  # type: ignore[list-item]
                    is_anonymous=False, explanation=explanation or None,
                )  # fmt: skip
                return Receipt(str(sent.message_id), sent.poll.id if sent.poll else None, token)
            case Photo(path, caption):
                sent = await self.bot.send_photo(**to, photo=await _read(path), caption=caption)
            case Document(path, name, caption):
                sent = await self.bot.send_document(**to, document=await _read(path), filename=name, caption=caption)
        return Receipt(str(sent.message_id))

    async def _text(self, to: dict[str, Any], markup: str, keyboard: Keyboard) -> Receipt:
        """A text; if Telegram does not accept our markup (a bug of ours), its words are sent plainly all the same."""
        import html

        no_preview = LinkPreviewOptions(is_disabled=True)
        try:
            sent = await self.bot.send_message(
                **to, text=markup, parse_mode=ParseMode.HTML, link_preview_options=no_preview, reply_markup=_buttons(keyboard)
            )
        except BadRequest as error:
            if not any(word in str(error).lower() for word in ("parse", "button", "keyboard", "entities")):
                raise
            log.exception("a message was refused as it was; sending its words plainly")
            words = html.unescape(re.sub(r"<[^>]*>", "", markup))
            sent = await self.bot.send_message(**to, text=words, link_preview_options=no_preview)
        return Receipt(str(sent.message_id))

    # -- receiving -------------------------------------------------------------------------------------

    async def receive(self, raws: Sequence[object]) -> None:
        """Write updates down. When this returns, Telegram may forget them."""
        now = self.app.clock()
        letters = [letter_of(raw, self.bot.id, now) for raw in raws]
        await self.mailbox.receive(letters)
        if self.mailbox.crowded:
            for letter in letters:
                self._errand(self._ask_for_patience(letter))

    async def _ask_for_patience(self, letter: Letter) -> None:
        """Too many questions at once: tell a member, in private and once in a while, that theirs is written down."""
        last = self._busy_told.get(letter.chat, -PATIENCE_EVERY)
        if letter.chat.startswith(f"{PREFIX}-") or time.monotonic() - last < PATIENCE_EVERY:
            return
        person = await self.app.store.person(letter.person)
        if person is None or not person.active:
            return
        if len(self._busy_told) > 10_000:
            self._busy_told.clear()
        self._busy_told[letter.chat] = time.monotonic()
        language: Language = "en" if (person.language or self.app.settings.language) == "en" else "zh"
        self.app.vitals.happened("asked for patience")
        await self.bot.send_message(address(letter.chat)[0], say(language, "telegram.busy"))

    async def connect(self) -> None:
        """Reach Telegram, waiting for a network that is not there yet; a wrong token is told at once."""
        wait = 1.0
        while not self.stopping.is_set():
            try:
                await self.bot.initialize()
                break
            except InvalidToken:
                raise SetupProblem(
                    "Telegram refused the token (COACH_TELEGRAM_TOKEN). Copy it again from @BotFather (/mybots → API Token)."
                ) from None
            except NetworkError as error:
                log.warning("Telegram cannot be reached (%s); trying again in %.0f s. %s", type(error).__name__, wait, _way(self.app.settings.telegram_proxy))
                await self._pause(wait)
                wait = min(30.0, wait * 2)
        self.app.extras["username"] = self.bot.username if not self.stopping.is_set() else ""

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    async def introduce(self) -> None:
        """What strangers see in the menu: nothing but /start."""
        for language in (None, *LANGUAGES):
            known = phrases(language or "en")
            commands = [BotCommand("start", known["core.help_start"])]
            self._errand(self.bot.set_my_commands(commands, BotCommandScopeDefault(), language_code=language))

    async def poll(self, ready: Callable[[], None]) -> None:
        """Long polling until stopped. The offset moves only after the updates are in our database."""
        await self.bot.delete_webhook(drop_pending_updates=False)
        offset, wait, seconds = 0, 1.0, 0
        while not self.stopping.is_set():
            try:
                raws = await self._until_stopped(self.bot.raw_updates(offset, seconds))
                if raws is None:
                    return
                await self.receive(raws)
                offset = max([offset, *(update_number(raw) + 1 for raw in raws)])
                wait = 1.0
                if not seconds:
                    ready()
                seconds = POLL_SECONDS
            except Conflict as error:
                raise SetupProblem(_conflict(str(error))) from None
            except InvalidToken:
                raise SetupProblem("Telegram no longer accepts the token (COACH_TELEGRAM_TOKEN): was it revoked?") from None
            except RetryAfter as error:
                await self._pause(_seconds(error))
            except Exception as error:  # no network, a broken proxy, a database that is away: come back later
                log.warning("updates could not be fetched (%s); trying again in %.0f s", type(error).__name__, wait)
                await self._pause(wait)
                wait = min(30.0, wait * 2)

    async def _until_stopped(self, call: Coroutine[Any, Any, T]) -> T | None:
        """The call's result, or None (and the call cancelled) when we are asked to stop."""
        task, stop = asyncio.ensure_future(call), asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def hook(self, url: str, secret: str) -> None:
        """Tell Telegram where our webhook is."""
        await self.bot.set_webhook(url, secret_token=secret, allowed_updates=list(UPDATES), drop_pending_updates=False)

    async def close(self) -> None:
        """Finish what is in hand; the rest waits in the database."""
        self.stopping.set()
        await self.mailbox.stop()
        for task in list(self._errands):
            task.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self.bot.shutdown()


class _Board:
    """Where an answer in the making stands: a draft in a private chat, which is no message and leaves nothing behind;
    in a group, or with a server that knows no drafts, one message that is edited and deleted at the end."""

    def __init__(self, chat: TelegramChat, incoming: Incoming, letter: Letter) -> None:
        self._chat, self._bot = chat, chat.bot
        self._id, self._topic = address(incoming.chat)
        self._key, self._private, self._letter = incoming.chat, incoming.private, letter
        self._again = letter.attempts > 1  # somebody may have been killed and have left a note
        self._note: Note | None = None

    async def put(self, text: str) -> None:
        if self._private and self._chat.drafts:
            try:
                await self._bot.send_message_draft(self._id, self._letter.ordinal or 1, text, self._topic)
                return
            except (BadRequest, InvalidToken) as error:  # 404 for a method that the server doesn't know
                log.info("no drafts here (%s); a message is edited instead", error)
                self._chat.drafts = False
        if note := await self._standing():
            await self._edit(text, int(note.message))
        elif not self._chat.pace.wait(self._key):
            await self._post(text)

    async def _standing(self) -> Note | None:
        """The note that stands there: ours, or that of an earlier try."""
        if self._note is None and self._again:
            self._note, self._again = await self._chat.mail.note(self._letter.id, self._key), False
        return self._note

    async def _edit(self, text: str, message: int) -> None:
        try:
            await self._bot.edit_message_text(text, self._id, message)
        except BadRequest as error:
            if "not modified" not in str(error).lower():
                raise

    async def _post(self, text: str) -> None:
        sent = await self._bot.send_message(self._id, text, message_thread_id=self._topic, disable_notification=True)
        self._note = Note(self._letter.id, self._key, str(sent.message_id))
        await self._chat.mail.stands(self._note, self._chat.app.clock())

    async def clear(self) -> None:
        try:
            if note := await self._standing():
                await self._chat.take_away(note)
        except Exception as error:  # the answer is kept and must not fail: who tidies up takes the note away
            log.info("a note is taken away later: %s", type(error).__name__)


class Pace:
    """Telegram's rhythm: about one message a second in a chat (20 a minute in a group), short bursts allowed."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._next: dict[str, float] = {}

    def wait(self, chat: str) -> float:
        """Seconds until the next message to the chat may go; 0 takes the slot."""
        now, group = self._now(), chat.startswith(f"{PREFIX}-")
        step, burst = (3.0, 5) if group else (1.0, 4)
        due = max(self._next.get(chat, 0.0), now - step * burst)
        if due > now:
            return due - now
        self._next[chat] = due + step
        if len(self._next) > 20_000:
            self._next = {key: value for key, value in self._next.items() if value > now - 60}
        return 0.0


def commands_of(person: Person) -> list[str]:
    """The commands that a person may give, in the order of the table, those with a help text."""
    known = phrases("en")
    return [name for name in COMMANDS if person.may(name) and f"core.help_{name}" in known]


def _buttons(keyboard: Keyboard) -> InlineKeyboardMarkup | None:
    if not keyboard:
        return None
    return InlineKeyboardMarkup([[InlineKeyboardButton(item.label, callback_data=item.token) for item in row] for row in keyboard])


def _reply_to(post: Post) -> ReplyParameters | None:
    """In a group the answer hangs on the question, whose number stands in the letter's id."""
    parts = post.incoming.split("-")
    number = parts[3].removeprefix(BASIC) if len(parts) == 4 else ""
    if post.part or post.sent or not number.isdigit():
        return None
    if parts[3].startswith(BASIC) and address(post.chat)[0] < SUPERGROUPS:
        return None  # asked before the group became a supergroup: the number is another message's now
    return ReplyParameters(int(number), allow_sending_without_reply=True)


def _suffix(name: str) -> str:
    """The ending of a sent file's name if it is one that we read: nothing else of the name becomes a path."""
    from knowledge.readers import SUFFIXES

    suffix = Path(name).suffix.lower()
    return suffix if suffix in SUFFIXES else ""


async def _read(path: str) -> bytes:
    return await asyncio.to_thread(Path(path).read_bytes)


def _seconds(error: RetryAfter) -> float:
    after = error.retry_after
    return float(after) if isinstance(after, int) else after.total_seconds()


def _conflict(why: str) -> str:
    if "webhook" in why.lower():
        return "A webhook was set for this bot while it was polling. Use either COACH_TELEGRAM_WEBHOOK_URL everywhere, or polling in one place."
    return "Another program is receiving this bot's updates with the same token. Stop that one; nothing was lost. (Two bots need two tokens.)"


def open_bot(settings: Settings) -> RawBot:
    """The connection to Telegram, or what is missing for it."""
    if settings.telegram_token is None or not settings.telegram_token.get_secret_value():
        raise SetupProblem(
            "COACH_TELEGRAM_TOKEN is not set. Ask @BotFather for a bot (/newbot) and put its token into .env; "
            "`make demo` shows the bot without one."
        )
    proxy = _proxy(settings.telegram_proxy or "")
    return RawBot(
        settings.telegram_token.get_secret_value(),
        request=HTTPXRequest(connection_pool_size=64, proxy=proxy, read_timeout=20, pool_timeout=30),
        get_updates_request=HTTPXRequest(connection_pool_size=2, proxy=proxy),
        base_url=settings.telegram_base_url or "https://api.telegram.org/bot",
        base_file_url=settings.telegram_base_file_url or "https://api.telegram.org/file/bot",
    )


def _proxy(url: str) -> str | None:
    """The proxy as it was set, or what is wrong with it; its password is told to nobody."""
    try:
        parts = urlsplit(url)
        if not url or (parts.scheme in PROXIES and parts.hostname and parts.port != 0):
            return url or None
    except ValueError:  # a port that is no number
        pass
    raise SetupProblem(
        f"COACH_TELEGRAM_PROXY={url.rpartition('@')[2]} is no proxy that can be used. "
        "Write it like http://host:3128 or socks5://user:password@host:1080, or leave it empty."
    )


def _way(proxy: str | None) -> str:
    """What to look at when Telegram cannot be reached."""
    if not proxy:
        return "Behind a firewall? Set COACH_TELEGRAM_PROXY."
    return f"All goes through COACH_TELEGRAM_PROXY ({proxy.rpartition('@')[2]}): is it running, does it let api.telegram.org through, is its password right?"


def webhook_secret(settings: Settings) -> str:
    """The configured secret, else one derived from the token: the same on every replica, known to nobody."""
    if settings.telegram_webhook_secret and settings.telegram_webhook_secret.get_secret_value():
        return settings.telegram_webhook_secret.get_secret_value()
    assert settings.telegram_token is not None
    return hmac.new(settings.telegram_token.get_secret_value().encode(), b"webhook", "sha256").hexdigest()
