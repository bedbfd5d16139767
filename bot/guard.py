"""What is settled before anything is generated: is this proper to ask, is it ours to answer.

The retriever's learned gate says which kind of improper ask it is; the words of the refusal are fixed phrases and
the ethics card's, never a model's.
"""

from __future__ import annotations

from bot.phrases import say
from bot.ports import App
from bot.turns import Citation, Language, Quote, Reply, Say
from knowledge.passages import Reading

KINDS = (
    "bribe", "bid-rigging", "exclusive-spec", "rival-quote", "split-order", "evaluator-contact", "hospitality",
    "false-documents", "inside-information",
)  # fmt: skip
ETHICS_CARD = "x-ethics"


def refusal(app: App, reading: Reading, language: Language) -> Reply:
    """Decline in a line, why in a line, the legal route, whom to tell, a line to say. No lecture."""
    kind = reading.improper if reading.improper in KINDS else "other"
    key = kind.replace("-", "_")
    blocks: list[Say | Quote] = [
        Say(say(language, f"guard.{key}_decline")),
        Say(say(language, f"guard.{key}_why")),
        Say(say(language, "guard.route", route=say(language, f"guard.{key}_route"))),
        Say(say(language, "guard.tell")),
        Say(say(language, "guard.line", line=say(language, f"guard.{key}_line"))),
    ]
    blocks += _limits(app, language)
    scores = [(ETHICS_CARD, reading.improper_score)]
    scores += [(item.card, item.score) for item in reading.topics if item.card != ETHICS_CARD][:2]
    return Reply(tuple(blocks), language, "decline", tuple(scores))


def _limits(app: App, language: Language) -> list[Say | Quote]:
    """The first red line of the ethics card, with its source."""
    card = app.retriever.cards().get(ETHICS_CARD)
    passages = {item.part: item for item in app.retriever.passages_of(ETHICS_CARD, language)}
    if card is None or "limits" not in passages:
        return []
    passage = passages["limits"]
    source = Citation(passage.id, passage.title, passage.place, "card", app.retriever.version)
    text = passage.text.split("\n")[0]
    return [
        Quote(text, source, say(language, "guard.red_line"), "caution", folded=True),
        Say(say(language, "advice.source_line", sources=passage.place), "source"),
    ]
