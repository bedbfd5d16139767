"""How the service is doing, in numbers for Prometheus: turns, waiting times by stage, the model's tokens and cost.

Nothing is counted unless an address is set where somebody may look (`COACH_STATUS_LISTEN`, or the webhook's).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from bot.ports import ModelAnswer, Retriever
from bot.turns import Language
from knowledge.passages import Found, Kind, Reading

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
GAUGES = {
    "coach_inbox_waiting": "updates that are not answered yet (in the whole database)",
    "coach_inbox_age_seconds": "age of the oldest update that is not answered yet",
    "coach_outbox_waiting": "replies that are not delivered yet (in the whole database)",
    "coach_outbox_lag_seconds": "age of the oldest reply that is not delivered yet",
    "coach_playbook_version": "the published version that this process answers from",
    "coach_index_serving": "1 if searches use the index that they should (small collections need none)",
    "coach_ready": "1 if this process is ready for updates",
}


class Counters:
    """`Vitals` that are kept: one registry a process. No label holds anything that a person wrote or is."""

    def __init__(self) -> None:
        import prometheus_client as prometheus

        self.registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self.registry)
        self._text = prometheus.generate_latest
        self.content_type = prometheus.CONTENT_TYPE_LATEST
        known: dict[str, Any] = {"registry": self.registry}
        self._turns = prometheus.Counter("coach_turns", "turns that were kept", ["activity", "action"], **known)
        self._stages = prometheus.Histogram("coach_stage_seconds", "seconds that a stage of a turn took", ["stage"], buckets=SECONDS, **known)
        self._events = prometheus.Counter("coach_events", "what happened to updates and replies", ["event"], **known)
        self._calls = prometheus.Counter("coach_model_calls", "calls of language models", ["model", "outcome"], **known)
        self._tokens = prometheus.Counter("coach_model_tokens", "tokens in and out", ["model", "direction"], **known)
        self._cost = prometheus.Counter("coach_model_cost", "cost, in the currency of COACH_LLM_PRICE_*", ["model"], **known)
        self._gauges = {name: prometheus.Gauge(name, text, **known) for name, text in GAUGES.items()}

    def took(self, stage: str, seconds: float) -> None:
        self._stages.labels(stage).observe(max(0.0, seconds))

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.took(name, time.perf_counter() - begun)

    def turn(self, activity: str, action: str) -> None:
        self._turns.labels(activity, action).inc()

    def happened(self, event: str, times: int = 1) -> None:
        self._events.labels(event).inc(times)

    def model_answered(self, answer: ModelAnswer, cost: float) -> None:
        self._calls.labels(answer.model, "answered").inc()
        self._tokens.labels(answer.model, "input").inc(answer.input_tokens)
        self._tokens.labels(answer.model, "output").inc(answer.output_tokens)
        self._cost.labels(answer.model).inc(cost)
        self.took("model", answer.seconds)

    def model_failed(self, model: str, kind: str) -> None:
        """`kind` is the one word of `ModelFailed`."""
        self._calls.labels(model, kind).inc()

    def text(self, gauges: dict[str, float]) -> bytes:
        """Everything in Prometheus' text format; `gauges` (keys of GAUGES) are the values of this moment."""
        for name, value in gauges.items():
            self._gauges[name].set(value)
        return self._text(self.registry)


class Timed:
    """A retriever whose searches and readings are timed; everything else is the retriever's own."""

    def __init__(self, retriever: Retriever, vitals: Counters) -> None:
        self._retriever, self._vitals = retriever, vitals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._retriever, name)

    def search(self, text: str, *, limit: int = 10, language: Language | None = None, kind: Kind | None = None) -> Found:
        with self._vitals.stage("search"):
            return self._retriever.search(text, limit=limit, language=language, kind=kind)

    def read(self, text: str, *, context: Sequence[str] = ()) -> Reading:
        with self._vitals.stage("read"):
            return self._retriever.read(text, context=context)
