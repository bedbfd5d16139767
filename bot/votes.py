"""What becomes of a thumb: 👍 is thanked for; 👎 asks for a reason, and a question that comes instead gets its answer.

A line after 👎 is a reason if it hangs on our message; otherwise it is read. Whichever it was taken for, a tap puts it
right: neither a reason nor a question is lost.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bot import advice
from bot.errors import CannotHelp
from bot.people import Person
from bot.phrases import say
from bot.ports import App, Outcome
from bot.sessions import Advising, Asking, Idle, Session
from bot.turns import Choice, Incoming, Language, Offer, Record, Reply, Say

REASONS = ("elsewhere", "general", "wrong", "wording", "long")  # what can be tapped
# Chosen on 65 reasons and 60 questions of our own and 160 of the golden set's tuning part; on lines not used for that
# (tests/test_conversation.py) 18 of 20 questions and 13 of 20 reasons are read right, the rest is one tap away.
COMPLAINT = 0.45  # likeness to a reason from which a line that asks nothing is one …
PLAIN_COMPLAINT = 0.6  # … and from which it is one although it looks like a question
SITUATION = 0.4  # belief that the playbook treats a line, from which one that asks nothing tells a situation
ALIKE = (
    "这个回答不对", "答非所问，没有回答我的问题", "太笼统，没有具体做法", "不是我这种情况", "我已经试过了，没用", "话术太生硬，说不出口",
    "太长太复杂", "你理解错了", "This answer is wrong", "It did not answer my question", "Too general, nothing concrete",
    "This is not my situation", "I already tried that, it did not work", "The wording is too stiff", "Too long and too complicated",
    "You misunderstood me",
)  # fmt: skip
ASKS = re.compile(
    r"[?？]\s*$|怎么|如何|怎样|什么|哪|要不要|该不该|能不能|行不行|[呢吗]$|^(how|what|why|when|who|which|where|should|can|could|do|does|is|are|may|must)\b",
    re.IGNORECASE,
)
ABOUT_US = re.compile(
    r"你(答|说|讲|没|误|的意思|这)|答非|回答|答案|建议|话术|步骤|例子|这(话|招|句|套|一套|个)|[说写讲答]得|太(长|短|多|泛|空|笼统|生硬)|[理判][解断]错|重点|语气"
    r"|没(说|提|讲|写)|少了|我(问|要|说)的是"
    r"|\b(answer(ed)?|advice|advise|steps?|sentences?|wording|examples?|misunderst\w+|generic|vague|too (long|general|short|many|stiff|vague|generic)"
    r"|the point|wrong cause|my (case|question|situation)|nothing new|it ignores|not how|you (assume|said|say|told|answered|misunderstood|didn.t|did not))\b",
    re.IGNORECASE,
)
# a turn and those of the same talk before it, newest first: a tapped cause is judged by the words that led to it
VOTED = """
SELECT earlier.incoming, earlier.said, earlier.language FROM turns AS voted JOIN turns AS earlier
ON earlier.chat = voted.chat AND earlier.person = voted.person AND earlier.id <= voted.id AND earlier.id > voted.id - 200
WHERE voted.incoming = :i AND voted.person = :p ORDER BY earlier.id DESC LIMIT 10
"""
DOWN = "[vote:down:"
# a line, and the tap on 👎 that it came after
SAID = """
SELECT line.said AS line, tap.said AS tap FROM turns AS line JOIN turns AS tap
ON tap.chat = line.chat AND tap.person = line.person AND tap.id < line.id AND tap.said LIKE :down
WHERE line.incoming = :i AND line.person = :p ORDER BY tap.id DESC LIMIT 1
"""


async def choose(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`vote:up:<turn>`, `vote:down:<turn>`, `vote:<reason>:<turn>`; of a line after 👎 `vote:meant:<line>`, `vote:asked:<line>`."""
    which, _, about = (incoming.choice or "").removeprefix("vote:").partition(":")
    session = session.resumed()
    if which in ("meant", "asked"):
        return await _put_right(app, person, session, incoming, language, which, about)
    turns = await app.store.rows(VOTED, i=about, p=person.id)
    if not turns or which not in ("up", "down", *REASONS):
        raise CannotHelp("core.old_button")
    if which == "up":
        return _thanked(session, language, Record("feedback", {"incoming": about, "vote": 1}))
    if which in REASONS:
        return _thanked(session, language, _reason(about, say(language, f"core.vote_{which}")))
    asked = next((turn for turn in turns if not turn["said"].startswith(("[", "/"))), turns[0])
    gap = Record("gap", {"text": asked["said"], "language": asked["language"], "reason": "voted-down", "topics": []})
    return _why(session, incoming, language, about, asked["incoming"], gap)


def _why(session: Session, incoming: Incoming, language: Language, about: str, asked: str, gap: Record) -> Outcome:
    """Ask for a reason. In the middle of a talk or a quiz only by buttons: what is written there belongs to it."""
    between = isinstance(session.activity, Idle | Advising)
    reasons = Offer(tuple(Choice(say(language, f"core.vote_{name}"), f"vote:{name}:{about}") for name in REASONS), columns=2)
    blocks = (Say(say(language, "core.vote_why" if between else "core.vote_tap")), reasons, *advice.gap_noted(asked, language))
    if between:
        before = session.activity if isinstance(session.activity, Advising) else None
        session = session.doing(Asking("vote", {"incoming": about, "turn": incoming.id}, before))
    return Outcome(session, Reply(blocks, language, "chat"), (_reason(about, ""), gap))


def _thanked(session: Session, language: Language, record: Record, *more: Offer) -> Outcome:
    return Outcome(session, Reply((Say(say(language, "core.thanks")), *more), language, "chat"), (record,))


def _reason(about: str, text: str) -> Record:
    return Record("feedback", {"incoming": about, "vote": -1, "reason": text[:1000]})


async def heard(app: App, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """A line after 👎: the reason, or a question, which is answered. A tap says that it was the other."""
    assert isinstance(session.activity, Asking)
    state, session = session.activity.state, session.resumed()
    if await _hangs_on(app, incoming, state.get("turn", "")):
        return _thanked(session, language, _reason(state["incoming"], incoming.text))
    if not asks(app, incoming.text[: advice.MAX_QUESTION]):
        other = Offer((Choice(say(language, "core.vote_asked"), f"vote:asked:{incoming.id}"),))
        return _thanked(session, language, _reason(state["incoming"], incoming.text), other)
    outcome = await advice.hear(app, session, incoming, language)
    other = Offer((Choice(say(language, "core.vote_meant"), f"vote:meant:{incoming.id}"),))
    return replace(outcome, reply=replace(outcome.reply, blocks=(*outcome.reply.blocks, other)))


async def _hangs_on(app: App, incoming: Incoming, turn: str) -> bool:
    """Is it a reply to the message in which we asked?"""
    if incoming.reply_to is None:
        return False
    rows = await app.store.rows("SELECT message FROM outbox WHERE incoming = :i AND chat = :c", i=turn, c=incoming.chat)
    return any(incoming.reply_to in (row["message"] or "").split() for row in rows)


def asks(app: App, text: str) -> bool:
    """Does a line after 👎 ask something or tell a situation, rather than say what was wrong with the answer?"""
    reading = app.retriever.read(text)
    if reading.improper:
        return True
    complaint, about_us = float(app.retriever.similarity([text], ALIKE).max()), ABOUT_US.search(text) is not None
    if ASKS.search(text):
        return complaint < (COMPLAINT if about_us else PLAIN_COMPLAINT)
    return complaint < COMPLAINT and not about_us and reading.in_scope >= SITUATION


async def _put_right(app: App, person: Person, session: Session, incoming: Incoming, language: Language, which: str, turn: str) -> Outcome:
    """The line of a turn after 👎 is the reason after all, or the question after all."""
    rows = await app.store.rows(SAID, i=turn, p=person.id, down=f"{DOWN}%")
    if not rows:
        raise CannotHelp("core.old_button")
    line, about = rows[0]["line"], rows[0]["tap"].removeprefix(DOWN).removesuffix("]")
    if which == "meant":
        return _thanked(session, language, _reason(about, line))
    outcome = await advice.hear(app, session, replace(incoming, id=turn, text=line, choice=None), language)
    return replace(outcome, records=(*outcome.records, _reason(about, "")))
