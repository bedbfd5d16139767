"""NEW HIRE and REP: practise a conversation with a customer who does not cave in, see why it went so, go back and retry."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bot import persona, talks
from bot.errors import CannotHelp
from bot.grading import CARD, CHECKS, DIMENSIONS, FAULTS, MONOLOGUE, PASTED, Line, Scorecard, lifted, shingles
from bot.moves import Ear, Heard, ear_of
from bot.people import Person
from bot.phrases import say
from bot.ports import App, Outcome
from bot.scoring import playbook_pieces, score_talk
from bot.sessions import Idle, Rehearsing, Session
from bot.talks import Talk, talk_from_data, talk_to_data
from bot.turns import (
    Block,
    Choice,
    Citation,
    Incoming,
    Language,
    Offer,
    Quote,
    Record,
    Reply,
    Say,
    Scores,
    choices,
)
from knowledge.problems import ContentProblems
from knowledge.scenarios import Scenario, fill, load_scenarios, parse_scenario

LOOKED_AT = 100  # latest talks of a scenario in which a trainer sees what is missed
PLAYED = "SELECT scenario, COUNT(*) AS runs, SUM(CASE WHEN passed THEN 1 ELSE 0 END) AS passed FROM rehearsals GROUP BY scenario"
LATEST = "SELECT talk, card FROM rehearsals WHERE scenario = :name ORDER BY at DESC LIMIT :few"
PROVISIONAL = 20  # checked by a trainer before the scores are called more than provisional
MEANT = 3  # moves offered in "do you mean …?"


# -- choosing ----------------------------------------------------------------------------------------------------------


async def roleplay(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/roleplay` chooses; `/roleplay S03 2` starts at once; `/roleplay back 2` goes back; `/roleplay end` ends."""
    words = incoming.text.split()
    match words:
        case ["end" | "结束", *_]:
            return await _give_up(app, session, incoming, language)
        case ["back" | "返回", *rest]:
            return _back_in_play(app, session, language, int(rest[0]) if rest and rest[0].isdigit() else 1, await scenarios(app))
        case [name, *rest]:
            level = int(rest[0]) if rest and rest[0] in ("1", "2", "3") else 0
            return await _chosen(app, session, incoming, language, name.upper(), level)
    return await _menu(app, person, session, language)


async def choose(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Tokens: `play:…` (choosing and playing), `back:<run>:<turn>`, `appeal:<run>[:<check>]`, `ruling:<id>:yes|no`."""
    match (incoming.choice or "").split(":"):
        case ["play", "menu"]:
            return await _menu(app, person, session, language)
        case ["play", "any"]:
            every = sorted(await scenarios(app))
            return await _chosen(app, session, incoming, language, app.chance.choice(every), 0)
        case ["play", "weak"]:
            return await _chosen(app, session, incoming, language, await weakest(app, person), 0)
        case ["play", "end"]:
            return await _give_up(app, session, incoming, language)
        case ["play", "trust"]:
            return await reliability(app, session, language)
        case ["play", "tap"]:
            return await _tapping(app, session, language)
        case ["play", "go"]:
            return _again(session, language)
        case ["play", "say", turn, index]:
            return await _tapped(app, session, incoming, language, int(turn), int(index))
        case ["play", "mean", turn, move]:
            return await _meant(app, session, incoming, language, int(turn), move)
        case ["play", name]:
            return await _chosen(app, session, incoming, language, name, 0)
        case ["play", name, level] if level in ("1", "2", "3"):
            return await _chosen(app, session, incoming, language, name, int(level))
        case ["back", run, turn]:
            return await _rewind(app, person, session, incoming, language, run, int(turn))
        case ["appeal", run]:
            return await _contest(app, person, session, language, run)
        case ["appeal", run, check]:
            return await _appeal(app, person, session, incoming, language, run, check)
        case ["ruling", number, says] if person.may("appeals"):
            return await _rule(app, session, incoming, language, int(number), says == "yes")
        case ["scenario", *rest] if person.may("scenarios"):
            return await _publish(app, session, incoming, language, rest)
    raise CannotHelp("core.old_button")


async def scenarios(app: App, drafts: bool = False) -> dict[str, Scenario]:
    """Bundled scenarios and those that trainers published (theirs win); `drafts` adds what is not published yet."""
    if "scenarios" not in app.extras:
        app.extras["scenarios"] = await asyncio.to_thread(load_scenarios)
    found: dict[str, Scenario] = {name: item for name, item in app.extras["scenarios"].items() if item.status == "approved"}
    for row in await app.store.rows("SELECT id, source, published FROM scenario_drafts"):
        if row["published"] or drafts:
            found[row["id"]] = parse_scenario(row["source"], f"{row['id']}.yaml")
    return found


async def _menu(app: App, person: Person, session: Session, language: Language) -> Outcome:
    every = await scenarios(app)
    options = [(say(language, "rehearsal.weak"), "play:weak"), (say(language, "rehearsal.surprise"), "play:any")]
    options += [(f"{name} {item.title.text(language)} · {item.goal.text(language)}", f"play:{name}") for name, item in sorted(every.items())]
    options.append((say(language, "rehearsal.trust"), "play:trust"))
    blocks: list[Block] = [Say(say(language, "rehearsal.menu"))]
    if isinstance(session.activity, Rehearsing):
        options.insert(0, (say(language, "rehearsal.go_on"), "play:go"))
    return Outcome(session, Reply((*blocks, Offer(choices(options))), language))


async def weakest(app: App, person: Person) -> str:
    """The scenario that the person passed least, then the one played least."""
    every = sorted(await scenarios(app))
    rows = await app.store.rows("SELECT scenario, passed FROM rehearsals WHERE person = :p", p=person.id)
    passed = Counter(row["scenario"] for row in rows if row["passed"])
    played = Counter(row["scenario"] for row in rows)
    failed = {name: played[name] - passed[name] for name in every}
    return max(every, key=lambda name: (failed[name] > 0 and not passed[name], failed[name], -played[name]))


async def _chosen(app: App, session: Session, incoming: Incoming, language: Language, name: str, level: int) -> Outcome:
    every = await scenarios(app, drafts=True)
    if name not in every:
        raise CannotHelp("rehearsal.no_scenario", name=name[:20], known=", ".join(sorted(every)))
    scenario = every[name]
    if not level:
        options = [(say(language, f"rehearsal.level_{n}"), f"play:{name}:{n}") for n in talks.LEVELS]
        heading = Say(f"{scenario.title.text(language)} · {scenario.goal.text(language)}", "heading")
        return Outcome(session, Reply((heading, Offer(choices(options), say(language, "rehearsal.which_level"))), language))
    variant = app.chance.choice([item.id for item in scenario.variants])
    talk = talks.begin(scenario, variant, level, language, app.chance.randrange(1_000_000))
    run = f"{app.chance.getrandbits(48):012x}"
    blocks: list[Block] = [
        Say(f"{scenario.title.text(language)} · {say(language, f'rehearsal.level_{level}')}", "heading"),
        Say(fill(scenario.brief.text(language), scenario.variant(variant), language)),
        Say(say(language, "rehearsal.goal", goal=scenario.goal.text(language))),
        Say(say(language, "rehearsal.rules"), "note"),
        *_speaks(scenario, talk),
    ]
    state = _state(talk, run, tap=False)
    return Outcome(session.doing(state), Reply((*blocks, _helpers(language)), language))


def _state(talk: Talk, run: str, *, tap: bool, pending: str = "") -> Rehearsing:
    return Rehearsing(run, talk.scenario, {"talk": talk_to_data(talk), "tap": tap, "pending": pending})


def _playing(session: Session) -> tuple[Talk, Rehearsing]:
    if not isinstance(session.activity, Rehearsing) or not session.activity.state:
        raise CannotHelp("rehearsal.not_playing")
    return talk_from_data(session.activity.state["talk"]), session.activity


def _speaks(scenario: Scenario, talk: Talk) -> list[Block]:
    name = fill(scenario.persona.name.text(talk.language), scenario.variant(talk.variant), talk.language)
    return [Say(f"{name}: {talk.turns[-1].text}" if talk.language == "en" else f"{name}：{talk.turns[-1].text}")]


def _helpers(language: Language) -> Offer:
    return Offer(choices([(say(language, "rehearsal.four"), "play:tap"), (say(language, "rehearsal.end"), "play:end")]), columns=2)


def _sentences(scenario: Scenario, talk: Talk, language: Language) -> Offer:
    at = len(talk.turns)
    options = [(item.text, f"play:say:{at}:{i}") for i, item in enumerate(talks.buttons(scenario, talk))]
    return Offer(choices([*options, (say(language, "rehearsal.end"), "play:end")]))


# -- playing -----------------------------------------------------------------------------------------------------------


async def heard(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """The rep says something: it is heard as moves, and the customer answers."""
    talk, activity = _playing(session)
    text = incoming.text.strip()[:4000]
    ear = await asyncio.to_thread(ear_of, app)
    pieces = await asyncio.to_thread(playbook_pieces, app)
    moves, guesses = hear_line(ear, text, talk.language, pieces)
    if not moves and guesses and activity.state.get("pending") != text:
        return _do_you_mean(session, talk, activity, text, guesses, ear, language)
    return await _take(app, person, session, incoming, language, talk, activity, text, moves)


def hear_line(ear: Ear, text: str, language: Language, pieces: frozenset[str] = frozenset()) -> tuple[tuple[str, ...], list[str]]:
    """The moves of a line, most telling first, and near misses to ask about. Long or pasted lines are what they are."""
    if not any(char.isalnum() for char in text):
        return ("silence",), []
    own = shingles(text)
    if len(own) > 12 and len(own & pieces) / len(own) > PASTED:
        return ("lecture",), []
    heard: tuple[Heard, ...] = ear.hear(text)
    moves = tuple(dict.fromkeys(move for item in heard for move in item.moves))
    if len(text) > MONOLOGUE[language]:
        return ("monologue",), []
    guesses = sorted({pair for item in heard for pair in item.guesses}, key=lambda pair: -pair[1])
    return moves, list(dict.fromkeys(name for name, _ in guesses))[:MEANT]


def _do_you_mean(session: Session, talk: Talk, activity: Rehearsing, text: str, guesses: Sequence[str], ear: Ear, language: Language) -> Outcome:
    names = [(ear.taught.moves[name].name.text(language), f"play:mean:{len(talk.turns)}:{name}") for name in guesses if name not in ear.taught.bad()]
    names.append((say(language, "rehearsal.as_said"), f"play:mean:{len(talk.turns)}:other"))
    state = _state(talk, activity.run, tap=bool(activity.state["tap"]), pending=text)
    return Outcome(session.doing(state), Reply((Offer(choices(names), say(language, "rehearsal.do_you_mean")),), language))


async def _meant(app: App, session: Session, incoming: Incoming, language: Language, turn: int, move: str) -> Outcome:
    talk, activity = _playing(session)
    if turn != len(talk.turns) or not activity.state.get("pending"):
        raise CannotHelp("core.old_button")
    moves = () if move == "other" else (move,)
    return await _take(app, None, session, incoming, language, talk, activity, activity.state["pending"], moves)


async def _tapping(app: App, session: Session, language: Language) -> Outcome:
    talk, activity = _playing(session)
    scenario = (await scenarios(app, drafts=True))[talk.scenario]
    return Outcome(session.doing(_state(talk, activity.run, tap=True)), Reply((_sentences(scenario, talk, talk.language),), language))


async def _tapped(app: App, session: Session, incoming: Incoming, language: Language, turn: int, index: int) -> Outcome:
    talk, activity = _playing(session)
    scenario = (await scenarios(app, drafts=True))[talk.scenario]
    offered = talks.buttons(scenario, talk) if turn == len(talk.turns) else []
    if index >= len(offered):
        raise CannotHelp("core.old_button")
    return await _take(app, None, session, incoming, language, talk, activity, offered[index].text, offered[index].moves, tapped=True)


async def _take(
    app: App, person: Person | None, session: Session, incoming: Incoming, language: Language, talk: Talk, activity: Rehearsing,
    text: str, moves: Sequence[str], *, tapped: bool = False,
) -> Outcome:  # fmt: skip
    scenario = (await scenarios(app, drafts=True))[talk.scenario]
    talk = talks.take(scenario, talk, text, moves, tapped=tapped)
    talk, model = await persona.worded(app, scenario, talk)
    blocks = _speaks(scenario, talk)
    if talk.stand.ended != "open":
        return await _finished(app, session, incoming, language, talk, activity.run, blocks, model)
    tap = bool(activity.state["tap"])
    after = _sentences(scenario, talk, talk.language) if tap else _helpers(language)
    shown = (*blocks, after) if tap or len(talk.turns) <= 3 else tuple(blocks)
    return Outcome(session.doing(_state(talk, activity.run, tap=tap)), Reply(shown, language, model=model))


def _again(session: Session, language: Language) -> Outcome:
    talk, _ = _playing(session)
    return Outcome(session, Reply((Say(talk.turns[-1].text), _helpers(language)), language))


async def _give_up(app: App, session: Session, incoming: Incoming, language: Language) -> Outcome:
    talk, activity = _playing(session)
    return await _finished(app, session, incoming, language, talk, activity.run, [], None)


# -- afterwards --------------------------------------------------------------------------------------------------------


def lines_of(talk: Talk) -> list[Line]:
    """A talk as the scoring reads it: tapped sentences bring their moves along."""
    return [Line(i, turn.role, turn.text, turn.moves if turn.tapped else None) for i, turn in enumerate(talk.turns)]


async def scored(app: App, scenario: Scenario, talk: Talk, rulings: Mapping[str, bool] | None = None) -> Scorecard:
    context = fill(scenario.brief.text(talk.language), scenario.variant(talk.variant), talk.language)
    card = await score_talk(app, lines_of(talk), context=context, language=talk.language, practice=talk.tapped_only, rulings=rulings)
    return lifted(card, gates(scenario, talk)) if talk.tapped_only and not rulings else card


def gates(scenario: Scenario, talk: Talk) -> dict[str, float]:
    """What a talk of tapped sentences earned by the gates it opened: 1 none … 4 all of them, and the step agreed."""
    needs = scenario.variant(talk.variant).needs
    share = 1 + 3 * len(set(needs) & set(talk.stand.facts)) / len(needs)
    won = talk.stand.ended == "won"
    return {"discovery": share, "stakeholder": share, "tension": share if won else 1.0, "advance": 4.0 if won else 1.0}


async def _finished(
    app: App, session: Session, incoming: Incoming, language: Language, talk: Talk, run: str, blocks: Sequence[Block], model: str | None
) -> Outcome:
    """The debrief on one screen, and the run kept."""
    scenario = (await scenarios(app, drafts=True))[talk.scenario]
    card = await scored(app, scenario, talk)
    ended = talk.stand.ended
    shown = [*blocks, Say(say(language, f"rehearsal.ended_{ended}"), "heading"), *await debrief(app, scenario, talk, card, run, language)]
    records = (Record("rehearsal", kept(scenario, talk, card, run)), *_skills(app, scenario, card))
    return Outcome(session.doing(Idle()), Reply(tuple(shown), language, "chat", model=model), records)


def kept(scenario: Scenario, talk: Talk, card: Scorecard, run: str) -> dict[str, Any]:
    """A run as it is stored."""
    return {
        "run": run, "scenario": scenario.id, "version": scenario.version, "variant": talk.variant, "level": talk.level,
        "language": talk.language, "ended": talk.stand.ended, "talk": talk_to_data(talk), "card": CARD.dump_python(card, mode="json"),
        "ruleset": card.ruleset, "total": card.total, "passed": card.passed, "practice": card.practice,
    }  # fmt: skip


def _skills(app: App, scenario: Scenario, card: Scorecard) -> list[Record]:
    """A run that was scored is a signal for the first objective of each card that the scenario trains."""
    known = app.retriever.cards()
    trained = [name for name in scenario.trains if name in known and known[name].objectives]
    if not card.scored or card.practice:
        return []
    return [Record("skill", {"card": name, "objective": 0, "right": card.passed, "source": "roleplay"}) for name in trained[:3]]


async def debrief(app: App, scenario: Scenario, talk: Talk, card: Scorecard, run: str, language: Language) -> list[Block]:
    """Scores, two strengths and one thing to retry with the rep's own words, passages, and the way back."""
    if card.total is None:
        another = Offer(choices([(say(language, "rehearsal.another"), "play:menu")]))
        return [Say(say(language, "rehearsal.not_scored", why=say(language, "rehearsal.why_short"))), another]
    rows = tuple((say(language, f"rehearsal.dim_{name}"), card.dimensions.get(name)) for name in DIMENSIONS)
    note = say(language, "rehearsal.practice") if card.practice else say(language, "rehearsal.provisional")
    blocks: list[Block] = [Scores(say(language, "rehearsal.score"), rows, card.total, note=note)]
    blocks += [Say(say(language, f"rehearsal.flag_{flag}"), "note") for flag in card.flags]
    for item in strengths(card):
        blocks.append(Say(say(language, "rehearsal.strength", what=say(language, f"rehearsal.check_{item.check}"), quote=_short(item.quote))))
    turn = turning_point(talk)
    if turn is not None:
        blocks += _retry(scenario, talk, card, turn, language)
    blocks += _passages(app, scenario, language)
    return [*blocks, _after(turn, run, language)]


def strengths(card: Scorecard, limit: int = 2) -> list[Any]:
    """The best checks met, each of another dimension."""
    best: dict[str, Any] = {}
    order = ["advance", "stakeholder", "discovery", "tension", "integrity", "value", "open"]
    for item in card.observations:
        if item.check not in FAULTS:
            best.setdefault(item.dimension, item)
    return [best[name] for name in order if name in best][:limit]


def turning_point(talk: Talk) -> int | None:
    """The index of the rep's line that cost most trust and patience; None if none cost anything."""
    costs = []
    for i in range(1, len(talk.turns) - 1, 2):
        before, after = talk.turns[i - 1].stand, talk.turns[i + 1].stand
        if before and after:
            costs.append((2 * (before.trust - after.trust) + (before.patience - after.patience), -i))
    worst = max(costs, default=(0, 0))
    return -worst[1] if worst[0] > 0 else None


def _retry(scenario: Scenario, talk: Talk, card: Scorecard, turn: int, language: Language) -> list[Block]:
    _, beat = talks.beat_of(scenario, talks.back_to(talk, turn - 1))
    better = fill(beat.options[0].text(talk.language), scenario.variant(talk.variant), talk.language)
    missed = next((check for check in card.missed if not card.met(check)), None)
    found: list[Block] = [Say(say(language, "rehearsal.retry", quote=_short(talk.turns[turn].text), better=better))]
    if missed:
        found.append(Say(say(language, "rehearsal.missed", what=say(language, f"rehearsal.check_{missed}")), "note"))
    return found


def _passages(app: App, scenario: Scenario, language: Language) -> list[Block]:
    """One sentence of the playbook to reread, verbatim, from the first card that the scenario trains."""
    for name in scenario.trains:
        for passage in app.retriever.passages_of(name, language):
            if passage.part == "say":
                source = Citation(passage.id, passage.title, passage.place, passage.kind, app.retriever.version)
                return [Quote(passage.text.split("\n")[0], source, say(language, "rehearsal.reread", title=passage.title), "passage")]
    return []


def _after(turn: int | None, run: str, language: Language) -> Offer:
    options = [] if turn is None else [Choice(say(language, "rehearsal.rewind"), f"back:{run}:{turn - 1}")]
    options += [Choice(say(language, "rehearsal.appeal"), f"appeal:{run}"), Choice(say(language, "rehearsal.another"), "play:menu")]
    return Offer(tuple(options))


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


# -- going back --------------------------------------------------------------------------------------------------------


async def _run(app: App, run: str, person: str | None = None) -> Mapping[str, Any]:
    """A stored run, the person's own unless `person` is None."""
    rows = await app.store.rows("SELECT * FROM rehearsals WHERE run = :run", run=run)
    if not rows or (person is not None and rows[0]["person"] != person):
        raise CannotHelp("core.old_button")
    return rows[0]


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


async def _rewind(app: App, person: Person, session: Session, incoming: Incoming, language: Language, run: str, turn: int) -> Outcome:
    """Play on from a stored state, as a new run."""
    talk = talk_from_data(_json((await _run(app, run, person.id))["talk"]))
    return _play_from(app, session, language, talks.back_to(talk, turn), await scenarios(app, drafts=True))


def _back_in_play(app: App, session: Session, language: Language, lines: int, every: Mapping[str, Scenario]) -> Outcome:
    talk, activity = _playing(session)
    turn = max(0, len(talk.turns) - 1 - 2 * lines)
    return _play_from(app, session, language, talks.back_to(talk, turn), every, tap=bool(activity.state["tap"]))


def _play_from(app: App, session: Session, language: Language, talk: Talk, every: Mapping[str, Scenario], tap: bool = False) -> Outcome:
    run = f"{app.chance.getrandbits(48):012x}"
    blocks: list[Block] = [Say(say(language, "rehearsal.back", line=(len(talk.turns) + 1) // 2)), *_speaks(every[talk.scenario], talk), _helpers(language)]
    return Outcome(session.doing(_state(talk, run, tap=tap)), Reply(tuple(blocks), language))


# -- contesting --------------------------------------------------------------------------------------------------------


async def _contest(app: App, person: Person, session: Session, language: Language, run: str) -> Outcome:
    """First tap: which check? Faults that were seen, then checks that were not."""
    card = CARD.validate_python(_json((await _run(app, run, person.id))["card"]))
    seen = [item.check for item in card.observations if item.check in FAULTS]
    names = list(dict.fromkeys([*seen, *card.missed]))[:20]
    options = [(say(language, "rehearsal.seen" if name in seen else "rehearsal.unseen", what=say(language, f"rehearsal.check_{name}")), f"appeal:{run}:{name}") for name in names]
    return Outcome(session, Reply((Offer(choices(options), say(language, "rehearsal.which_check")),), language))


async def _appeal(app: App, person: Person, session: Session, incoming: Incoming, language: Language, run: str, check: str) -> Outcome:
    """Second tap: it is kept for a trainer, with both sides."""
    row = await _run(app, run, person.id)
    card, talk = CARD.validate_python(_json(row["card"])), talk_from_data(_json(row["talk"]))
    if check not in CHECKS:
        raise CannotHelp("core.old_button")
    met = card.met(check)
    excerpt = "\n".join(f"{'–' if turn.role == 'rep' else ' '} {turn.text}" for turn in talk.turns)
    data = {"run": run, "about": check, "observed": met is not None, "quote": met.quote if met else "", "excerpt": excerpt[:4000], "language": talk.language}
    return Outcome(session, Reply((Say(say(language, "rehearsal.appealed")),), language), (Record("appeal", data),))


async def open_appeals(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/appeals`: the oldest open one with both sides; two taps rule it."""
    rows = await app.store.rows("SELECT * FROM appeals WHERE ruling IS NULL ORDER BY id LIMIT 1")
    if not rows:
        return Outcome(session, Reply((Say(say(language, "rehearsal.no_appeals")),), language))
    row = rows[0]
    what = say(language, f"rehearsal.check_{row['about']}")
    machine = say(language, "rehearsal.machine_yes", quote=row["quote"]) if row["observed"] else say(language, "rehearsal.machine_no")
    rep = say(language, "rehearsal.rep_no" if row["observed"] else "rehearsal.rep_yes")
    options = [(say(language, "rehearsal.rule_yes"), f"ruling:{row['id']}:yes"), (say(language, "rehearsal.rule_no"), f"ruling:{row['id']}:no")]
    blocks = (Say(what, "heading"), Say(machine), Say(rep), Say(row["excerpt"], "note"), Offer(choices(options), say(language, "rehearsal.rule")))
    return Outcome(session, Reply(blocks, language))


async def _rule(app: App, session: Session, incoming: Incoming, language: Language, number: int, says: bool) -> Outcome:
    """The ruling is kept as an example for its check, and the run is scored anew with it."""
    rows = await app.store.rows("SELECT run, about, ruling FROM appeals WHERE id = :id", id=number)
    if not rows or rows[0]["ruling"] is not None:
        raise CannotHelp("core.old_button")
    row = await _run(app, rows[0]["run"])
    others = await app.store.rows("SELECT about, ruling FROM appeals WHERE run = :run AND ruling IS NOT NULL", run=rows[0]["run"])
    rulings = {item["about"]: bool(item["ruling"]) for item in others} | {rows[0]["about"]: says}
    talk = talk_from_data(_json(row["talk"]))
    scenario = (await scenarios(app, drafts=True))[talk.scenario]
    card = await scored(app, scenario, talk, rulings)
    again = Record("rehearsal", {**kept(scenario, talk, card, rows[0]["run"]), "person": row["person"]})
    was, now = row["total"], card.total
    shown = say(language, "rehearsal.ruled", was="–" if was is None else f"{was:.1f}", now="–" if now is None else f"{now:.1f}")
    return Outcome(session, Reply((Say(shown),), language), (Record("ruling", {"id": number, "ruling": says}), again))


async def reliability(app: App, session: Session, language: Language) -> Outcome:
    """What anybody may know about the scores: how many, how many contested, how often the trainers agreed."""
    runs = (await app.store.rows("SELECT count(*) AS n, count(total) AS scored FROM rehearsals"))[0]
    rows = await app.store.rows("SELECT observed, ruling FROM appeals")
    ruled = [row for row in rows if row["ruling"] is not None]
    right = sum(bool(row["observed"]) == bool(row["ruling"]) for row in ruled)
    lenient = sum(bool(row["observed"]) and not bool(row["ruling"]) for row in ruled)
    text = say(
        language, "rehearsal.reliability", runs=runs["n"], scored=runs["scored"], appeals=len(rows), ruled=len(ruled),
        agreed=f"{right / len(ruled):.0%}" if ruled else "–", lenient=lenient, strict=len(ruled) - right - lenient,
    )  # fmt: skip
    blocks = [Say(text)] + ([Say(say(language, "rehearsal.provisional"), "note")] if len(ruled) < PROVISIONAL else [])
    return Outcome(session, Reply(tuple(blocks), language))


# -- the trainer's side ------------------------------------------------------------------------------------------------


async def workshop(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/scenarios`: where learners fail. `/scenarios` followed by a scenario's text: check it, play it, publish it."""
    if incoming.text.strip():
        return _checked(session, incoming, language)
    every = await scenarios(app)
    played = {row["scenario"]: row for row in await app.store.rows(PLAYED)}
    lines = []
    for name in sorted(every):
        latest = await app.store.rows(LATEST, name=name, few=LOOKED_AT) if name in played else []
        lines.append(await asyncio.to_thread(_failures, name, every[name], played.get(name, {}), latest, language))
    return Outcome(session, Reply((Say(say(language, "rehearsal.workshop")), Say("\n".join(lines)), Say(say(language, "rehearsal.write"), "note")), language))


def _failures(name: str, scenario: Scenario, played: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], language: Language) -> str:
    """One line: how often played and passed; in the latest talks, the check missed most, the fact that stays closed most."""
    title = scenario.title.text(language)
    if not rows:
        return say(language, "rehearsal.unplayed", name=name, title=title)
    missed = Counter(check for row in rows for check in _json(row["card"])["missed"])
    opened = Counter(fact for row in rows for fact in talk_from_data(_json(row["talk"])).stand.facts)
    closed = min((fact.id for fact in scenario.facts), key=lambda fact: opened[fact])
    worst = say(language, f"rehearsal.check_{missed.most_common(1)[0][0]}") if missed else "–"
    return say(language, "rehearsal.failures", name=name, title=title, runs=played["runs"], passed=played["passed"], check=worst, fact=closed)


def _checked(session: Session, incoming: Incoming, language: Language) -> Outcome:
    try:
        scenario = parse_scenario(incoming.text, "scenario.yaml")
    except ContentProblems as error:
        told = "\n".join(str(problem) for problem in error.problems[:8])
        return Outcome(session, Reply((Say(say(language, "rehearsal.problems")), Say(told, "note")), language))
    options = [(say(language, "rehearsal.try_out"), f"play:{scenario.id}:1"), (say(language, "rehearsal.publish"), f"scenario:{scenario.id}:publish")]
    draft = Record("scenario", {"id": scenario.id, "source": incoming.text, "published": False})
    text = say(language, "rehearsal.fine", title=scenario.title.text(language))
    return Outcome(session, Reply((Say(text), Offer(choices(options))), language), (draft,))


async def _publish(app: App, session: Session, incoming: Incoming, language: Language, rest: Sequence[str]) -> Outcome:
    rows = await app.store.rows("SELECT source FROM scenario_drafts WHERE id = :id", id=rest[0] if rest else "")
    if not rows:
        raise CannotHelp("core.old_button")
    record = Record("scenario", {"id": rest[0], "source": rows[0]["source"], "published": True})
    return Outcome(session, Reply((Say(say(language, "rehearsal.published", name=rest[0])),), language), (record,))
