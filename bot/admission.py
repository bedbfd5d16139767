"""Who comes in: closed by default, by invitation or list; everybody else gets one polite line and learns nothing."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bot.conversation import reply_language, serve
from bot.errors import CannotHelp
from bot.membership import listed
from bot.people import Person, Role
from bot.phrases import say
from bot.ports import UNSEEN, App, Typing
from bot.store.mail import Letter
from bot.store.people import sha256
from bot.turns import Aside, Incoming, Language, Record, Reply, Say

TELL_STRANGERS_EVERY = timedelta(hours=24)
TELL_HURRIED_EVERY = timedelta(seconds=60)
SECOND_TAP = timedelta(seconds=2)
REMEMBERED = 10_000  # people whose last moments are remembered; the oldest are dropped


@dataclass
class Admission:
    """The door: looks at who speaks before the conversation does."""

    app: App
    _told: dict[str, datetime] = field(default_factory=dict)
    _recent: dict[str, deque[datetime]] = field(default_factory=dict)
    _taps: dict[tuple[str, str], datetime] = field(default_factory=dict)

    async def attend(self, incoming: Incoming, person: Person | None, remark: str | None = None, typing: Typing = UNSEEN) -> Sequence[Aside] | None:
        """One turn of a person (`who`). None: it was kept. Otherwise it is no turn, and this is to be said (often nothing)."""
        if invited := await self._invited(incoming):
            return await self._join(person, incoming, invited)
        if person is None:
            return self._turn_away(incoming)
        if self._tapped_twice(incoming):
            return []
        hurried = self._hurried(person, incoming)
        if hurried is not None:
            return hurried if incoming.private else []
        if remark:
            session = await self.app.store.session(incoming.chat, incoming.person)
            return [_line(incoming, reply_language(self.app, person, session, incoming), remark)]
        await serve(replace(self.app, typing=typing), person, incoming)
        return None

    async def who(self, incoming: Incoming) -> Person | None:
        """The person, with the roles of this moment; None for a stranger or somebody who has left."""
        person = await self.app.store.person(incoming.person)
        listed = incoming.person.rpartition(":")[2] in self.app.settings.admin_ids
        if listed and (person is None or not person.active or Role.ADMIN not in person.roles):
            roles = (person.roles if person else frozenset()) | {Role.ADMIN, Role.TRAINER, Role.REP}
            person = Person(incoming.person, roles, incoming.display_name or "", chat=incoming.chat if incoming.private else "")
            await self.app.store.welcome(person, self.app.clock())
        return person if person and person.active else None

    async def _invited(self, incoming: Incoming) -> dict[str, Any] | None:
        """The invitation that `/start <code>` names, valid or over."""
        if incoming.command != "start" or not re.fullmatch(r"[\w-]{8,64}", incoming.text) or not incoming.private:
            return None
        rows = await self.app.store.rows(
            "SELECT id, roles, team FROM invitations WHERE code_sha256 = :code", code=sha256(incoming.text)
        )
        return dict(rows[0]) if rows else None

    async def _join(self, person: Person | None, incoming: Incoming, invitation: dict[str, Any]) -> Sequence[Aside] | None:
        roles = listed(invitation["roles"])
        language = _hinted(self.app, incoming)
        names = "、".join(say(language, f"people.role_{role}") for role in roles)
        blocks = (Say(say(language, "people.welcome", roles=names)), Say(say(language, "advice.greeting")), Say(say(language, "people.privacy_hint")))
        record = Record("join", {"id": invitation["id"], "roles": roles, "team": invitation["team"]})
        quiet = replace(incoming, text="")  # the code is nobody's business any more
        session = await self.app.store.session(incoming.chat, incoming.person)
        try:
            await self.app.store.keep(quiet, session, Reply(blocks, language), (record,))
        except CannotHelp as error:
            return [_line(incoming, language, error.phrase)]
        return None

    def _turn_away(self, incoming: Incoming) -> Sequence[Aside]:
        """One polite line a day for a stranger in a private chat; nothing in groups."""
        last = self._told.get(incoming.person)
        if not incoming.private or (last and self.app.clock() - last < TELL_STRANGERS_EVERY):
            return []
        _remember(self._told, incoming.person, self.app.clock())
        return [_line(incoming, _hinted(self.app, incoming), "people.closed")]

    def _tapped_twice(self, incoming: Incoming) -> bool:
        """The same button again within a moment: a nervous thumb, answered once."""
        if incoming.choice is None:
            return False
        key = (f"{incoming.chat} {incoming.person}", incoming.choice)
        last = self._taps.get(key)
        _remember(self._taps, key, incoming.at)
        return last is not None and abs(incoming.at - last) < SECOND_TAP

    def _hurried(self, person: Person, incoming: Incoming) -> Sequence[Aside] | None:
        """More messages in a minute than allowed: say so once, answer none until it calms down."""
        limits = self.app.settings
        if incoming.attachment and not self._within(f"upload {person.id}", incoming.at, timedelta(days=1), limits.uploads_per_day):
            return self._slow_down(person, incoming, "people.uploads", limits.uploads_per_day)
        if not self._within(person.id, incoming.at, timedelta(seconds=60), limits.messages_per_minute):
            return self._slow_down(person, incoming, "people.hurried", limits.messages_per_minute)
        return None

    def _within(self, key: str, at: datetime, span: timedelta, limit: int) -> bool:
        """Note one more in a sliding window, if the limit allows it."""
        recent = self._recent.setdefault(key, deque())
        while recent and at - recent[0] > span:
            recent.popleft()
        if len(recent) >= limit:
            return False
        recent.append(at)
        return True

    def _slow_down(self, person: Person, incoming: Incoming, phrase: str, limit: int) -> Sequence[Aside]:
        """Say so, once a minute."""
        last = self._told.get(person.id)
        if last and incoming.at - last < TELL_HURRIED_EVERY:
            return []
        _remember(self._told, person.id, incoming.at)
        language = _hinted(self.app, incoming) if person.language is None else _language(person.language)
        return [_line(incoming, language, phrase, limit=limit)]

    async def apologise(self, letter: Letter, reference: str) -> Sequence[Aside]:
        """A letter could not be answered: tell its writer (if we know them) and the admins."""
        person = await self.app.store.person(letter.person)
        posts: list[Aside] = []
        if person and person.active and "?" not in letter.chat:
            language = _language(person.language or self.app.settings.language)
            posts.append(Aside(letter.chat, Reply((Say(say(language, "core.broken", ref=reference)),), language)))
        for row in await self.app.store.rows("SELECT chat, roles, language FROM persons WHERE active AND chat <> '' AND CAST(roles AS TEXT) LIKE '%admin%'"):
            if "admin" in listed(row["roles"]) and row["chat"] != letter.chat:
                language = _language(row["language"] or self.app.settings.language)
                posts.append(Aside(row["chat"], Reply((Say(say(language, "people.alert", ref=reference)),), language)))
        return posts


def _remember(table: dict[Any, datetime], key: Any, at: datetime) -> None:
    table.pop(key, None)
    table[key] = at
    while len(table) > REMEMBERED:
        table.pop(next(iter(table)))


def _line(incoming: Incoming, language: Language, phrase: str, **values: object) -> Aside:
    return Aside(incoming.chat, Reply((Say(say(language, phrase, **values)),), language))


def _language(name: str | None) -> Language:
    return "en" if name == "en" else "zh"


def _hinted(app: App, incoming: Incoming) -> Language:
    if incoming.language_hint:
        return "zh" if incoming.language_hint.lower().startswith("zh") else "en"
    return _language(app.settings.language)
