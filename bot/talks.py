"""The role-play engine: pure, seeded, the same for buttons, free text and models.

`begin` opens a talk, `take` applies the moves of one rep line: trust and patience change, at most one hidden fact is
released, and the persona's next words are chosen. Nothing here knows a language model, a front end or a database; a
`Talk` is a small value whose turns each hold the state after them, so that any of them can be returned to.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import TypeAdapter

from bot.turns import Language
from knowledge.scenarios import (
    Beat,
    HiddenFact,
    Lines,
    Scenario,
    Temptation,
    fill,
    gives_away,
    load_moves,
    load_reactions,
)

Ending = Literal["won", "lost", "left", "open"]
LEVELS = (1, 2, 3)
MAX_TURNS = 14  # rep lines; then the persona has another meeting
MIN_TURNS = 4  # nobody gives in earlier
ASK = "ask_"

COST = {
    "pitch": 1, "lecture": 1, "concede_price": 1, "argue": 1, "overclaim": 1, "badmouth": 1, "grader_talk": 1,
    "monologue": 1, "pressure": 2, "bypass": 2, "challenge_authority": 2, "improper": 5,
}  # fmt: skip
WARMS = ("summarise", "acknowledge", "apologise", "reassure_derisk", "give_lead", "admit_limit", "decline_legit")
START_TRUST = {1: 3, 2: 2, 3: 1}
SLIPS = {1: 1, 2: 1, 3: 1}  # harmful lines that are forgiven
PATIENCE = {1: 8, 2: 6, 3: 4}


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a talk stands. trust 0–5, patience in turns, clarity 0–3; `owed`: things said that call for a kind word."""

    trust: int
    patience: int
    clarity: int = 0
    facts: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()
    tempted: str = ""  # the temptation that hangs in the air
    pushes: int = 0
    met: tuple[str, ...] = ()  # temptations handled
    owed: int = 1
    unsummed: int = 0
    turns: int = 0
    slips: int = 0  # lines that did harm
    dry: int = 0  # lines in a row that brought nothing
    ended: Ending = "open"


@dataclass(frozen=True, slots=True)
class Turn:
    """One line. For the rep's: its moves. For the customer's: what was released, the key of its words, the state."""

    role: Literal["customer", "rep"]
    text: str
    moves: tuple[str, ...] = ()
    released: str = ""
    key: str = ""
    tapped: bool = False
    stand: Stand | None = None


@dataclass(frozen=True, slots=True)
class Talk:
    """A role-play under way: which one, how hard, and every turn so far."""

    scenario: str
    variant: str
    level: int
    language: Language
    seed: int
    turns: tuple[Turn, ...] = ()

    @property
    def stand(self) -> Stand:
        return next(turn.stand for turn in reversed(self.turns) if turn.stand)

    @property
    def tapped_only(self) -> bool:
        """Were all lines chosen from buttons? Recognition isn't production."""
        mine = [turn for turn in self.turns if turn.role == "rep"]
        return bool(mine) and all(turn.tapped for turn in mine)


_TALK: TypeAdapter[Talk] = TypeAdapter(Talk)


def talk_to_data(talk: Talk) -> dict[str, object]:
    data: dict[str, object] = _TALK.dump_python(talk, mode="json")
    return data


def talk_from_data(data: object) -> Talk:
    return _TALK.validate_python(data)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the persona does: the key of its reaction, a fact it releases, a temptation it puts forward."""

    key: str
    fact: str = ""
    tempts: str = ""
    noise: bool = False


def begin(scenario: Scenario, variant: str, level: int, language: Language, seed: int) -> Talk:
    """A talk with the persona's opening line. A temptation without a place comes with the opening."""
    first = next((item.id for item in scenario.temptations if not item.at and item.level <= level), "")
    stand = Stand(START_TRUST[level], PATIENCE[level], tempted=first)
    talk = Talk(scenario.id, variant, level, language, seed)
    line = _pick(scenario.opening, talk, "opening")
    text = fill(line, scenario.variant(variant), language)
    return replace(talk, turns=(Turn("customer", text, key="opening", stand=stand),))


def take(scenario: Scenario, talk: Talk, text: str, moves: Sequence[str], *, tapped: bool = False) -> Talk:
    """The talk after a rep line with these moves and the persona's answer to it."""
    stand, answer = react(scenario, talk, tuple(moves))
    said = Turn("rep", text, tuple(moves), tapped=tapped)
    talk = replace(talk, turns=(*talk.turns, said))
    reply = Turn("customer", words(scenario, talk, stand, answer), released=answer.fact, key=answer.key, stand=stand)
    return replace(talk, turns=(*talk.turns, reply))


def back_to(talk: Talk, turn: int) -> Talk:
    """The talk as it stood after customer line `turn` (index into `turns`)."""
    if not (0 <= turn < len(talk.turns)) or talk.turns[turn].role != "customer":
        raise ValueError(f"turn {turn} is not a customer's line")
    return replace(talk, turns=talk.turns[: turn + 1])


def react(scenario: Scenario, talk: Talk, moves: tuple[str, ...]) -> tuple[Stand, Answer]:
    """The state machine: what these moves do to the state, and what the persona answers."""
    before = talk.stand
    stand = replace(before, turns=before.turns + 1)
    if fatal := [move for move in moves if move in scenario.fatal]:
        return replace(stand, trust=0, ended="lost", heard=_heard(before, moves)), Answer(f"failed:{fatal[0]}")
    stand, tempt = _face_temptation(scenario, stand, moves)
    if stand.ended != "open":
        return stand, tempt or Answer("failed")
    harm = [move for move in moves if move in COST]
    if harm:
        return _harmed(talk, stand, harm)
    stand = _warmed(stand, moves)
    answer, stand = _answered(scenario, talk, stand, moves, before)
    stand = replace(stand, heard=_heard(stand, moves))
    if tempt and not answer.fact and stand.ended == "open":
        answer = tempt
    return _patient(before, stand, answer)


def _heard(stand: Stand, moves: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*stand.heard, *moves)))


def _face_temptation(scenario: Scenario, stand: Stand, moves: tuple[str, ...]) -> tuple[Stand, Answer | None]:
    """A temptation in the air is met, taken, or pressed a second time."""
    if not stand.tempted:
        return stand, None
    item = scenario.temptation(stand.tempted)
    if set(moves) & set(item.wrong):
        ended: Ending = "lost" if "improper" in item.wrong else "open"
        taken = replace(stand, trust=max(0, stand.trust - 2), tempted="", met=stand.met, ended=ended)
        return taken, Answer(f"taken:{item.id}")
    if set(moves) & set(item.right):
        return replace(stand, tempted="", pushes=0, met=(*stand.met, item.id), trust=min(5, stand.trust + 1)), Answer(f"handled:{item.id}")
    if stand.pushes == 0:
        return replace(stand, pushes=1), Answer(f"tempts:{item.id}", tempts=item.id)
    return replace(stand, trust=max(0, stand.trust - 1)), None


def _harmed(talk: Talk, stand: Stand, harm: list[str]) -> tuple[Stand, Answer]:
    """A harmful move spoils whatever else the line says."""
    worst = max(harm, key=lambda move: COST[move])
    trust = stand.trust - sum(COST[move] for move in harm)
    slips = stand.slips + 1
    over = trust < -1 or (trust < 0 and stand.trust == 0) or slips > SLIPS[talk.level]
    ended: Ending = "lost" if over else "open"
    stand = replace(stand, trust=max(0, trust), patience=stand.patience - 3, heard=_heard(stand, harm), slips=slips, ended=ended)
    return _leaving(stand, Answer(f"failed:{worst}" if ended == "lost" else worst))


def _warmed(stand: Stand, moves: tuple[str, ...]) -> Stand:
    """+1 for a summary, a kind word or a way out that fits: something must have been said that calls for it."""
    trust, owed, clarity, unsummed = stand.trust, stand.owed, stand.clarity, stand.unsummed
    if "summarise" in moves and unsummed:
        trust, clarity, unsummed = trust + 1, min(3, clarity + 1), 0
    if owed and any(move in WARMS[1:] for move in moves):
        trust, owed = trust + 1, owed - 1
    return replace(stand, trust=min(5, trust), owed=owed, clarity=clarity, unsummed=unsummed)


def _answered(scenario: Scenario, talk: Talk, stand: Stand, moves: tuple[str, ...], before: Stand) -> tuple[Answer, Stand]:
    """Win, a fact, a question that isn't answered yet, or an everyday reaction: the first that applies."""
    if set(moves) & set(scenario.win.moves):
        if not missing(scenario, talk, stand):
            return Answer("win"), replace(stand, ended="won")
        if not _gate(scenario, talk, stand, moves, before):
            return Answer("early"), stand
    fact = _gate(scenario, talk, stand, moves, before)
    if fact and is_open(scenario, talk, stand, fact, moves):
        opened = replace(stand, facts=(*stand.facts, fact.id), owed=min(2, stand.owed + 1), unsummed=stand.unsummed + 1)
        coming = next((t.id for t in scenario.temptations if t.at == fact.id and t.level <= talk.level and t.id not in stand.met), "")
        if coming and not stand.tempted:
            opened = replace(opened, tempted=coming, pushes=0)
        return Answer(f"fact:{fact.id}", fact=fact.id, tempts=coming), opened
    if fact:
        return Answer(f"locked:{fact.id}"), stand
    return Answer(_everyday(moves, before)), stand


def missing(scenario: Scenario, talk: Talk, stand: Stand) -> list[str]:
    """Which win conditions don't hold yet: facts, trust, temptations, time."""
    lacks = [name for name in scenario.variant(talk.variant).needs if name not in stand.facts]
    wanted = max(scenario.win.trust, START_TRUST[talk.level] + 1)  # nobody wins without having won anything
    lacks += ["trust"] if stand.trust < wanted else []
    lacks += [stand.tempted] if stand.tempted else []
    lacks += ["time"] if stand.turns < MIN_TURNS else []
    return lacks


def _gate(scenario: Scenario, talk: Talk, stand: Stand, moves: tuple[str, ...], before: Stand) -> HiddenFact | None:
    """The fact that these moves knock at: one whose gate is open before one that is still locked."""
    knocked = [fact for fact in scenario.facts if fact.id not in stand.facts and set(fact.opens) & set(moves)]
    openable = [fact for fact in knocked if is_open(scenario, talk, stand, fact, moves)]
    return next(iter(openable or knocked), None)


def is_open(scenario: Scenario, talk: Talk, stand: Stand, fact: HiddenFact, moves: Sequence[str]) -> bool:
    """Has the rep earned this fact? Level 1: asked. Level 2: and trusted. Level 3: and has listened (a summary)."""
    first = not stand.facts
    needed = {1: 0, 2: 2, 3: 2 if first else 3}[talk.level]
    listened = talk.level < 3 or first or stand.clarity >= 1
    return _came_before(fact, stand, moves) and stand.trust >= needed and listened


def _came_before(fact: HiddenFact, stand: Stand, moves: Sequence[str]) -> bool:
    facts = [name for name in fact.after if name.startswith("G")]
    some = [name for name in fact.after if not name.startswith("G")]
    return set(facts) <= set(stand.facts) and (not some or bool(set(some) & {*stand.heard, *moves}))


def _everyday(moves: tuple[str, ...], before: Stand) -> str:
    """The reaction to a line that opens nothing."""
    if not moves:
        return "other"
    main = moves[0]
    if main == "summarise" and not before.unsummed:
        return "summarise_empty"
    if main.startswith("propose"):
        return "propose"
    if main.startswith(ASK):
        return "again" if set(moves) <= set(before.heard) else "ask"
    return main


def _patient(before: Stand, stand: Stand, answer: Answer) -> tuple[Stand, Answer]:
    """A turn that brings neither a fact nor trust costs patience, the second one in a row two, the third three."""
    moved_on = stand.facts != before.facts or stand.trust > before.trust or stand.met != before.met
    if stand.ended == "open" and answer.key != "open_purpose":
        dry = 0 if moved_on else stand.dry + 1
        stand = replace(stand, dry=dry, patience=stand.patience - min(3, dry))
    return _leaving(stand, answer)


def _leaving(stand: Stand, answer: Answer) -> tuple[Stand, Answer]:
    """When patience is gone, the persona leaves politely."""
    if stand.ended == "open" and (stand.patience <= 0 or stand.turns >= MAX_TURNS):
        return replace(stand, ended="left"), Answer("leaves")
    return stand, answer


# the persona's words


def words(scenario: Scenario, talk: Talk, stand: Stand, answer: Answer) -> str:
    """The persona's written line for an answer: of the scenario, else the shared one for its mood."""
    kind, _, name = answer.key.partition(":")
    parts = [_pick(lines_for(scenario, talk, stand, kind, name), talk, answer.key)]
    if answer.tempts and kind != "tempts":
        parts.append(_pick(scenario.temptation(answer.tempts).line, talk, answer.tempts))
    if talk.level == 3 and stand.turns == 3 and stand.ended == "open":
        parts.append(_pick(load_reactions()["noise"]["cold"], talk, "noise"))
    gap = "" if talk.language == "zh" else " "
    return fill(gap.join(parts), scenario.variant(talk.variant), talk.language)


def lines_for(scenario: Scenario, talk: Talk, stand: Stand, kind: str, name: str = "") -> Lines:
    match kind:
        case "fact":
            return scenario.fact(name).reveals
        case "locked":
            return scenario.fact(name).locked
        case "tempts":
            return scenario.temptation(name).line
        case "handled":
            return scenario.temptation(name).handled
        case "taken":
            return scenario.temptation(name).taken
        case "failed":
            return scenario.failed
        case "leaves":
            return scenario.leaves
        case "win":
            return scenario.win.says
        case "early":
            return scenario.win.early
    if kind in scenario.lines:
        return scenario.lines[kind]
    reactions = load_reactions()
    band: Literal["cold", "warm"] = "warm" if stand.trust >= 3 and talk.level < 3 else "cold"
    return reactions.get(kind, reactions["other"])[band]


def _pick(lines: Lines, talk: Talk, key: str) -> str:
    """The same seed and place give the same line; zh and en share the index."""
    texts = lines.texts(talk.language)
    return texts[random.Random(f"{talk.seed}/{len(talk.turns)}/{key}").randrange(len(texts))]


# the sentences to choose from


@dataclass(frozen=True, slots=True)
class Button:
    """A sentence to tap: where it stands (beat and index) and how strong it is (0 = strong … 3 = harmful)."""

    beat: str
    index: int
    text: str
    moves: tuple[str, ...]


def beat_of(scenario: Scenario, talk: Talk) -> tuple[str, Beat]:
    """The beat that the talk has reached: an open temptation, the next needed fact, or the close."""
    stand = talk.stand
    if stand.tempted and stand.turns:
        return stand.tempted, scenario.temptation(stand.tempted)
    if stand.turns == 0:
        return "start", scenario.start
    closed = [name for name in scenario.variant(talk.variant).needs if name not in stand.facts]
    return (closed[0], scenario.fact(closed[0])) if closed else ("win", scenario.win)


def buttons(scenario: Scenario, talk: Talk) -> list[Button]:
    """Four sentences, shuffled by the seed. When the customer must first feel heard, a summary takes a half-right place."""
    name, beat = beat_of(scenario, talk)
    variant = scenario.variant(talk.variant)
    found = [Button(name, i, fill(item.text(talk.language), variant, talk.language), item.moves) for i, item in enumerate(beat.options)]
    if (said := _playback(talk)) and talk.stand.unsummed:
        found[1] = Button(name, 9, said, ("summarise", "acknowledge"))
    random.Random(f"{talk.seed}/{talk.scenario}/{len(talk.turns)}/buttons").shuffle(found)
    return found


def _playback(talk: Talk) -> str:
    """A summary of the last released fact in the customer's own words."""
    last = next((turn.text for turn in reversed(talk.turns) if turn.released), "")
    if not last:
        return ""
    short = last.split("。")[0][:40] if talk.language == "zh" else last.split(". ")[0][:90].rstrip(".")
    return f"我理解您的处境。我确认一下：{short}，对吗？" if talk.language == "zh" else f"I can see that. Let me check: {short[0].lower()}{short[1:]}. Is that right?"


def locked_facts(scenario: Scenario, stand: Stand) -> list[HiddenFact]:
    return [fact for fact in scenario.facts if fact.id not in stand.facts]


def leaks(scenario: Scenario, talk: Talk, stand: Stand, text: str) -> list[str]:
    """Ids of the locked facts that a text gives away. What the rep guessed aloud may be repeated: it isn't news."""
    said = " ".join(turn.text for turn in talk.turns if turn.role == "rep")
    return [fact.id for fact in locked_facts(scenario, stand) if gives_away(fact, scenario, text) and not gives_away(fact, scenario, said)]


def reworded(talk: Talk, text: str) -> Talk:
    """The talk with other words for its last line."""
    return replace(talk, turns=(*talk.turns[:-1], replace(talk.turns[-1], text=text)))


def harmful() -> frozenset[str]:
    return load_moves().bad()


__all__ = [
    "Answer", "Button", "Stand", "Talk", "Temptation", "Turn", "back_to", "beat_of", "begin", "buttons", "is_open", "leaks",
    "missing", "react", "reworded", "take", "talk_from_data", "talk_to_data", "words",
]  # fmt: skip
