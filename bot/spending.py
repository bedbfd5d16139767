"""Who spends how much on the language model: counts every call of a turn, and stops at the person's daily budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bot.errors import ModelFailed
from bot.people import Person
from bot.ports import UNCOUNTED, App, ChatModel, Listen, ModelAnswer, Vitals
from bot.store.usage import SPENT, day_of
from bot.turns import Record


async def metered(app: App, person: Person) -> tuple[App, Meter | None]:
    """The app with a model that counts for this person and day; without a model, the app as it is."""
    if app.model is None:
        return app, None
    day = day_of(app.clock())
    spent = int((await app.store.rows(SPENT, person=person.id, day=day))[0]["tokens"])
    limit = app.settings.llm_daily_tokens
    prices = app.settings.llm_price_input, app.settings.llm_price_output
    meter = Meter(app.model, day, limit - spent if limit else None, prices, app.vitals)
    return replace(app, model=meter), meter


@dataclass
class Meter:
    """A `ChatModel` that keeps accounts. `left`: tokens that may still be used today, None = no limit."""

    model: ChatModel
    day: str
    left: int | None
    prices: tuple[float, float]  # per million tokens in and out
    vitals: Vitals = UNCOUNTED
    answers: list[ModelAnswer] = field(default_factory=list)
    failures: int = 0

    @property
    def name(self) -> str:
        return self.model.name

    async def answer(
        self,
        prompt: str,
        *,
        system: str = "",
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 600,
        listen: Listen | None = None,
    ) -> ModelAnswer:
        if self.left is not None and self.left <= 0:
            raise ModelFailed("budget", "the person's tokens for today are used up (COACH_LLM_DAILY_TOKENS)")
        try:
            answer = await self.model.answer(prompt, system=system, schema=schema, max_tokens=max_tokens, listen=listen)
        except ModelFailed as error:
            self.failures += 1
            self.vitals.model_failed(self.name, error.kind)
            raise
        self.answers.append(answer)
        self.vitals.model_answered(answer, self._cost(answer.input_tokens, answer.output_tokens))
        if self.left is not None:
            self.left -= answer.input_tokens + answer.output_tokens
        return answer

    def records(self) -> tuple[Record, ...]:
        """What the turn leaves behind: one row per model."""
        names = dict.fromkeys(item.model for item in self.answers) or ({self.name: None} if self.failures else {})
        return tuple(Record("usage", self._row(name, self.failures if i == 0 else 0)) for i, name in enumerate(names))

    def _row(self, name: str, failures: int) -> dict[str, Any]:
        mine = [item for item in self.answers if item.model == name]
        tokens = sum(item.input_tokens for item in mine), sum(item.output_tokens for item in mine)
        return {
            "day": self.day, "model": name, "calls": len(mine), "failures": failures,
            "input_tokens": tokens[0], "output_tokens": tokens[1], "cost": self._cost(*tokens),
        }  # fmt: skip

    def _cost(self, read: int, written: int) -> float:
        return (read * self.prices[0] + written * self.prices[1]) / 1e6
