"""Nothing that a person writes is lost, answered twice or out of order: inbox, one worker a chat, outbox.

What comes in is written down before the platform is told that we have it. A chat is worked on by one task at a time,
chats side by side: deliver what waits, answer the oldest letter, deliver, and so on. A crash anywhere resumes at the
right step; at worst the one message whose delivery was not acknowledged is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from bot.logbook import turn, where
from bot.ports import UNCOUNTED, Clock, Vitals
from bot.store.database import away
from bot.store.mail import Letter, Mail, Post
from bot.turns import Aside

log = logging.getLogger(__name__)

TRIES = 3  # failed tries after which a letter is parked
MANY = 10_000  # ids of letters that we remember as not tried yet
CRASHES = 6  # tries (interrupted ones count) after which it is not tried again
LEASE = timedelta(seconds=30)  # a killed replica's chats are taken over after this time; renewed every few seconds
LONG_WAIT = 15.0  # seconds
RENEW_EVERY = 5  # scans of the mailbox
TURN_LIMIT = 900.0  # seconds: a turn that takes longer counts as failed


def _turn_of(post: Post) -> str:
    """The turn that a post answers; a post of another kind (a reminder) goes by its row: its key may name a person."""
    return f"post-{post.id}" if ":" in post.incoming else post.incoming


class Later(Exception):
    """The platform asks us to wait, or cannot be reached: try again in `seconds`.

    `failed`: a try was made and is counted; False for a wait of our own, which need not survive a restart.
    """

    def __init__(self, seconds: float, why: str, *, failed: bool = True) -> None:
        super().__init__(why)
        self.seconds, self.failed = seconds, failed


class Undeliverable(Exception):
    """This message will never be accepted. `gone`: the person blocked us, the whole chat is closed."""

    def __init__(self, why: str, *, gone: bool = False) -> None:
        super().__init__(why)
        self.gone = gone


class Moved(Exception):
    """Nothing was sent: the chat goes on under another id, `to`, and so does what waits in it."""

    def __init__(self, to: str) -> None:
        super().__init__(to)
        self.to = to


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the platform said about a delivered message; `poll` is its id if it is a quiz question with `token`."""

    message: str
    poll: str | None = None
    token: str = ""


class Carrier(Protocol):
    """Delivers replies: packs one into the platform's messages (the same ones every time), carries each."""

    def pack(self, post: Post) -> Sequence[Any]: ...

    async def carry(self, post: Post, parcel: Any) -> Receipt:
        """Raises `Later`, `Undeliverable` or `Moved`."""


# None: a turn was kept. Otherwise the letter is closed, and these are posted.
Answer = Callable[[Letter], Awaitable[Sequence[Aside] | None]]
Apologise = Callable[[Letter, str], Awaitable[Sequence[Aside]]]


@dataclass
class Mailbox:
    """The workers. `answer` makes a turn of a letter; `apologise` says what to post when that failed for good."""

    mail: Mail
    carrier: Carrier
    answer: Answer
    apologise: Apologise
    clock: Clock
    workers: int = 16
    couriers: int = 4  # messages on their way at once: as many may be repeated after a crash
    scan_every: float = 1.0
    vitals: Vitals = UNCOUNTED
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    holds: set[str] = field(default_factory=set)  # other leases to keep alive
    _busy: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    lag: float = 0.0  # seconds that the letter taken in hand last had waited
    _again: set[str] = field(default_factory=set)
    _fresh: set[str] = field(default_factory=set)  # written down by us, not tried yet
    _unnoted: dict[int, Receipt] = field(default_factory=dict)  # delivered while the database was away, by post
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.workers)
        self._couriers = asyncio.Semaphore(self.couriers)

    async def receive(self, letters: Sequence[Letter]) -> None:
        """Write letters down, then start on them. When this returns, they are ours."""
        if len(self._fresh) > MANY:  # other replicas answered them
            self._fresh.clear()
        self._fresh |= await self.mail.receive(letters)
        self.vitals.happened("received", len(letters))
        self.wake(letter.chat for letter in letters)

    def wake(self, chats: Iterable[str]) -> None:
        for chat in chats:
            self._again.add(chat)
            if chat not in self._busy and not self._stopping:
                self._busy[chat] = asyncio.create_task(self._work(chat))

    async def move(self, chat: str, to: str) -> None:
        """A chat has a new id: what waits in it and what is remembered of it go there."""
        await self.mail.move(chat, to)
        self.wake([to])

    @property
    def crowded(self) -> bool:
        """More chats wait than are worked on, and have waited so long that a word about it is kind."""
        return self.lag > LONG_WAIT and len(self._busy) > self.workers

    async def run(self) -> None:
        """Look for waiting chats again and again: after a start, for other processes' rows, for postponed posts."""
        beat = 0
        while not self._stopping:
            try:
                self.wake(await self.mail.waiting(self.clock()))
                beat += 1
                if beat % RENEW_EVERY == 0:
                    await self.mail.renew([*self._busy, *self.holds], self.name, LEASE)
            except Exception as error:  # a database that is away for a while comes back
                log.error("the mailbox cannot be read; trying again\n%s", where(error))
                await asyncio.sleep(2)
            await asyncio.sleep(self.scan_every)

    async def stop(self, grace: float = 10.0) -> None:
        """Finish the turns in hand, start no new one. What is left waits in the database."""
        self._stopping = True
        if self._busy:
            _, late = await asyncio.wait(self._busy.values(), timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until nothing is in hand (for tests and for orderly ends)."""
        while self._busy:
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _work(self, chat: str) -> None:
        """Everything that waits in a chat, in order. The boundary where a failing chat stops and is logged."""
        try:
            if await self.mail.hold(chat, self.name, LEASE):
                more = True
                while more and not self._stopping:
                    self._again.discard(chat)
                    async with self._slots:  # first come, first served: a flooding chat gets one turn like all others
                        more = await self._step(chat)
                    more = more or chat in self._again
                await self.mail.release(chat, self.name)
        except Exception as error:
            log.error("work on a chat stopped; it is taken up again\n%s", where(error))
            self._again.discard(chat)
        finally:
            self._busy.pop(chat, None)

    async def _step(self, chat: str) -> bool:
        """Deliver, answer one letter, deliver its answer. False when nothing is left to do now."""
        waiting = await self.mail.pending(chat)
        if not await self._deliver(waiting.posts):
            self._again.discard(chat)
            return False
        if waiting.letter is None or not await self._answer(waiting.letter):
            return False
        return await self._deliver(await self.mail.posts(chat)) and waiting.more

    async def _answer(self, letter: Letter) -> bool:
        if letter.id in self._fresh:  # its first try was counted when it was written down
            self._fresh.discard(letter.id)
        else:
            letter = await self.mail.tried(letter, self.clock())
        if letter.attempts > CRASHES:
            await self._park(letter, "the program ended while working on it")
            return True
        try:
            self.lag = (self.clock() - letter.received).total_seconds()
            self.vitals.took("queue", self.lag)
            with turn(letter.id):
                posts = await asyncio.wait_for(self.answer(letter), TURN_LIMIT)
        except Exception as error:
            log.error("letter %s failed (try %d)\n%s", letter.id, letter.attempts, where(error))
            self.vitals.happened("failed")
            if letter.attempts >= TRIES and not away(error):
                await self._park(letter, f"{type(error).__name__}")
                return True
            self._again.discard(letter.chat)  # the next scan tries again: other chats go first
            return False
        if posts is not None:
            await self.mail.settle(letter.id, posts, self.clock())
        return True

    async def _park(self, letter: Letter, why: str) -> None:
        """Set a letter aside that cannot be answered, tell its writer and the admins, go on with the next."""
        reference = secrets.token_hex(2).upper()
        log.error("letter %s is parked (reference %s): %s", letter.id, reference, why)
        self.vitals.happened("parked")
        await self.mail.settle(letter.id, await self.apologise(letter, reference), self.clock(), error=f"{reference} {why}")
        self.wake(await self.mail.waiting(self.clock()))

    async def _deliver(self, posts: Sequence[Post]) -> bool:
        """Send what waits in a chat, oldest first. False if something has to wait."""
        for post in posts:
            if post.not_before and post.not_before > self.clock():
                return False
            if not await self._send(post):
                return False
        return True

    async def _send(self, post: Post) -> bool:
        """The messages of one post that are not delivered yet. False if the rest must wait."""
        parcels = self.carrier.pack(post)
        messages = list(post.messages[: post.sent])
        try:
            if (receipt := self._unnoted.pop(post.id, None)) and receipt.message not in messages:
                await self._note(post, messages, receipt, len(parcels))
            for parcel in parcels[len(messages) :]:
                async with self._couriers:
                    with turn(_turn_of(post)), self.vitals.stage("deliver"):
                        receipt = await self.carrier.carry(post, parcel)
                        log.info("a message was delivered")
                    self.vitals.happened("delivered")
                    await self._note(post, messages, receipt, len(parcels))
            if post.sent >= len(parcels):
                await self.mail.delivered(post, messages, all_sent=True, at=self.clock())
        except Later as error:
            if error.failed:
                self.vitals.happened("postponed")
                await self.mail.postpone(post, self.clock() + timedelta(seconds=error.seconds), str(error))
            self._call_again(post.chat, error.seconds)
            return False
        except Moved as error:
            await self.move(post.chat, error.to)
            return False
        except Undeliverable as error:
            self.vitals.happened("undeliverable")
            log.warning("a post in %s cannot be delivered: %s", "a closed chat" if error.gone else "a chat", error)
            await (self.mail.unreachable(post.chat, str(error)) if error.gone else self.mail.give_up(post, str(error)))
        return True

    async def _note(self, post: Post, messages: list[str], receipt: Receipt, count: int) -> None:
        """Write down that a message was delivered. If the database is away, we know it until it is back."""
        messages.append(receipt.message)
        self._unnoted[post.id] = receipt
        await self.mail.delivered(
            post, messages, all_sent=len(messages) >= count, poll=receipt.poll, token=receipt.token, at=self.clock()
        )
        self._unnoted.pop(post.id, None)

    def _call_again(self, chat: str, seconds: float) -> None:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().call_later(seconds + 0.01, self.wake, [chat])
