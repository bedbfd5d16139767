"""Simulate 200 learners over 90 days under three ways of choosing reviews; write docs/reports/learning.md and its pictures.

The learners forget by ACT-R's base-level equation with Pavlik and Anderson's decay (every practice leaves a trace that
decays by a power of time, the faster the better it was known at that moment), not by FSRS's formula. Threshold and decay
are set so that one tested practice of prose is recalled as in Roediger and Karpicke (2006): 0.68 after two days, 0.56
after a week; learners and objectives vary around that. They guess and slip.
"""

import argparse
import math
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot import memory
from bot.charts import Sheet, Theme

ROOT = Path(__file__).parents[1]
START = datetime(2026, 1, 5, 9, tzinfo=UTC)  # a Monday
OBJECTIVES, DAYS, SESSION, COMES = 155, 90, 5, 0.8
GUESS, SLIP, RETAINED = 0.25, 0.04, 0.75
NOISE, THRESHOLD, DECAY, SPACING = 0.35, -0.363, 0.143, 0.217  # Roediger and Karpicke; Pavlik and Anderson (2005)
POLICIES = ("fsrs", "fixed 3/7/14", "random")


@dataclass
class Trace:
    """What one learner has of one objective: when it was practised (days) and how fast each trace decays."""

    times: list[float] = field(default_factory=list)
    decays: list[float] = field(default_factory=list)


@dataclass
class Learner:
    """Someone with a threshold, noise and decay of their own. `hard` shifts the threshold per objective."""

    chance: random.Random
    threshold: float
    decay: float
    hard: Sequence[float]
    traces: dict[int, Trace] = field(default_factory=dict)

    def activation(self, goal: int, day: float) -> float:
        trace = self.traces.get(goal)
        if trace is None or not trace.times:
            return -math.inf
        return math.log(sum(max(0.02, day - time) ** -decay for time, decay in zip(trace.times, trace.decays, strict=True)))

    def recall(self, goal: int, day: float) -> float:
        strength = self.activation(goal, day)
        return 0.0 if strength == -math.inf else 1 / (1 + math.exp(-(strength - self.threshold - self.hard[goal]) / NOISE))

    def answer(self, goal: int, day: float) -> bool:
        knows = self.chance.random() < self.recall(goal, day)
        right = self.chance.random() > SLIP if knows else self.chance.random() < GUESS
        strength = self.activation(goal, day)
        spacing = SPACING * math.exp(strength) if strength > -math.inf else 0.0
        trace = self.traces.setdefault(goal, Trace())
        trace.times.append(day)
        trace.decays.append(min(0.9, spacing + self.decay))
        return right


def learner(seed: int) -> Learner:
    chance = random.Random(seed)
    hard = [chance.gauss(0, 0.3) for _ in range(OBJECTIVES)]
    return Learner(chance, chance.gauss(THRESHOLD, 0.2), min(0.25, max(0.05, chance.gauss(DECAY, 0.03))), hard)


Choose = Callable[[float], list[int]]


@dataclass
class Outcome:
    retained: list[int] = field(default_factory=list)  # by day
    reviews: int = 0
    forecasts: list[tuple[float, bool]] = field(default_factory=list)  # recall that memory predicted, was it right


def live(policy: str, seed: int) -> Outcome:
    """Ninety days of one learner: on working days they mostly come and answer five questions."""
    who, days, outcome = learner(seed), random.Random(seed + 1_000_000), Outcome()
    skills: dict[int, memory.Skill] = {}
    practised: dict[int, list[int]] = {}
    for day in range(DAYS):
        if day % 7 < 5 and days.random() < COMES:
            at = START + timedelta(days=day)
            for n, goal in enumerate(chosen(policy, day, at, skills, practised, days)):
                when = day + n / 1440
                before = skills.get(goal) or memory.new(str(goal), at)
                right = who.answer(goal, when)
                if before.state:
                    outcome.forecasts.append((memory.recall(before, at), right))
                skills[goal] = memory.reviewed(before, right, at)
                practised.setdefault(goal, []).append(day)
                outcome.reviews += 1
        outcome.retained.append(sum(who.recall(goal, day + 0.99) >= RETAINED for goal in practised))
    return outcome


def chosen(
    policy: str, day: int, at: datetime, skills: dict[int, memory.Skill], practised: dict[int, list[int]], chance: random.Random
) -> list[int]:
    """Five objectives: what the policy calls due, then new ones in order."""
    new = [goal for goal in range(OBJECTIVES) if goal not in practised]
    if policy == "random":
        return [chance.randrange(OBJECTIVES) for _ in range(SESSION)]
    if policy == "fsrs":
        due = [int(skill.objective) for skill in memory.in_turn(skills.values(), at)]
        first = due[: SESSION - memory.room_for_new(skills.values())]
        return [*first, *new[: SESSION - len(first)], *due[len(first) :]][:SESSION]
    gaps = (3, 7, 14)
    due = [goal for goal, seen in practised.items() if len(seen) <= 3 and day - seen[-1] >= gaps[len(seen) - 1]]
    return [*due, *new][:SESSION]


def log_loss(pairs: Sequence[tuple[float, bool]]) -> float:
    return -statistics.fmean(math.log(min(0.999, max(0.001, p if right else 1 - p))) for p, right in pairs)


def answered(recall: float) -> float:
    """The chance of a right answer, given the chance of recall: a slip is possible, so is a lucky guess."""
    return recall * (1 - SLIP) + (1 - recall) * GUESS


def calibration(pairs: Sequence[tuple[float, bool]]) -> list[tuple[float, float, int]]:
    """(mean forecast, share right, answers) by tenth of the forecast."""
    rows = []
    for low in range(10):
        part = [(p, right) for p, right in pairs if low / 10 <= p < (low + 1) / 10 or (low == 9 and p == 1)]
        if len(part) >= 50:
            rows.append((statistics.fmean(p for p, _ in part), statistics.fmean(right for _, right in part), len(part)))
    return rows


def _difference(lives: dict[str, list[Outcome]], other: str) -> str:
    """The same learners under both policies: the mean difference per 100 reviews with its 95 % interval."""
    gaps = [
        100 * (ours.retained[-1] / max(1, ours.reviews) - theirs.retained[-1] / max(1, theirs.reviews))
        for ours, theirs in zip(lives["fsrs"], lives[other], strict=True)
    ]
    mean, spread = statistics.fmean(gaps), 1.96 * statistics.stdev(gaps) / math.sqrt(len(gaps))
    return f"fsrs − {other}, same learners: {mean:+.2f} points per 100 reviews ({mean - spread:+.2f} to {mean + spread:+.2f}).  "


def picture(path: Path, curves: dict[str, list[float]], theme: Theme) -> None:
    sheet = Sheet(theme, (8, 4.2))
    axes, colours = sheet.axes(), sheet.colours
    shades = {"fsrs": colours.strong, "fixed 3/7/14": colours.warm, "random": colours.faint}
    names = {"fsrs": "FSRS", "fixed 3/7/14": "3/7/14", "random": "随机 random"}
    step, last = max(map(max, curves.values())) * 0.06, math.inf
    for policy, values in sorted(curves.items(), key=lambda item: -item[1][-1]):
        axes.plot(range(1, DAYS + 1), values, color=shades[policy], linewidth=2.6)
        last = min(values[-1], last - step)  # labels keep their distance
        sheet.write(axes, DAYS * 1.01, last, f"{names[policy]}  {values[-1]:.0f}", color=shades[policy], va="center")
    axes.set_xlim(1, DAYS)
    axes.set_ylim(0)
    axes.grid(axis="y", color=colours.grid)
    axes.set_xlabel("天 days", color=colours.faint, fontproperties=sheet._sized(10))
    sheet.dress(axes)
    sheet.title(axes, "记得住的要点 / points remembered")
    sheet.save(path)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--learners", type=int, default=200)
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    lives = {policy: [live(policy, seed) for seed in range(options.learners)] for policy in POLICIES}
    lines = ["# Does the memory schedule help? A simulation", "", *(__doc__ or "").strip().splitlines()[2:], ""]
    lines += [
        f"{options.learners} learners (seeds 0–{options.learners - 1}), {DAYS} days, {OBJECTIVES} objectives, {SESSION} questions on each working day "
        f"with probability {COMES}; a guess is right with {GUESS}, a slip happens with {SLIP}. Retained = true recall ≥ {RETAINED} at the end. "
        "A simulation shows that the schedule does what it should under a stated model of forgetting; it says nothing about people.", "",
        "| policy | reviews | retained at the end | per 100 reviews | 95 % interval |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for policy, found in lives.items():
        rates = [100 * item.retained[-1] / max(1, item.reviews) for item in found]
        spread = 1.96 * statistics.stdev(rates) / math.sqrt(len(rates)) if len(rates) > 1 else 0
        mean = statistics.fmean(rates)
        lines.append(
            f"| {policy} | {statistics.fmean(i.reviews for i in found):.0f} | {statistics.fmean(i.retained[-1] for i in found):.1f} | {mean:.1f} | {mean - spread:.1f}–{mean + spread:.1f} |"
        )
    lines += ["", *(_difference(lives, other) for other in POLICIES[1:])]
    pairs = [(answered(p), right) for item in lives["fsrs"] for p, right in item.forecasts]
    base = statistics.fmean(right for _, right in pairs)
    lines += [
        "", f"Forecast of a right answer under `fsrs`: log-loss {log_loss(pairs):.3f} over {len(pairs)} answers; "
        f"saying the mean ({base:.2f}) every time: {log_loss([(base, right) for _, right in pairs]):.3f}.", "",
        "| forecast | share right | answers |", "|---|---|---|",
        *(f"| {a:.2f} | {b:.2f} | {n} |" for a, b, n in calibration(pairs)), "",
        "![Points remembered over 90 days](../pictures/learning_light.png)", "",
    ]  # fmt: skip
    curves = {policy: [statistics.fmean(item.retained[day] for item in found) for day in range(DAYS)] for policy, found in lives.items()}
    for theme in ("light", "dark"):
        picture(options.out / "pictures" / f"learning_{theme}.png", curves, theme)  # type: ignore[arg-type]
    (options.out / "reports").mkdir(parents=True, exist_ok=True)
    (options.out / "reports" / "learning.md").write_text("\n".join(lines), "utf-8")
    print("\n".join(lines))
    best = {policy: statistics.fmean(i.retained[-1] / max(1, i.reviews) for i in found) for policy, found in lives.items()}
    return int(not best["fsrs"] > max(best["fixed 3/7/14"], best["random"]))


if __name__ == "__main__":
    sys.exit(main())
