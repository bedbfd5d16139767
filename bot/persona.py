"""The customer's words in a role-play: written lines, or a model's wording of them, checked before it is heard.

The model only rewords a written line that the engine chose: what is still locked is in no prompt, so it can't be
flattered, ordered or injected out. A reply that fails a check is asked for once more, then the written line is said.
"""

from __future__ import annotations

import logging
import re

from bot import talks
from bot.errors import ModelFailed
from bot.ports import App
from bot.talks import Stand, Talk
from knowledge.keywords import normalise
from knowledge.passages import language_of
from knowledge.scenarios import Scenario, fill
from prompts import Filled, fence, prompt

log = logging.getLogger(__name__)

HISTORY = 8  # lines that the model sees
LIMIT = {"zh": 45, "en": 30}
MOODS = {"zh": ("烦躁", "冷淡", "平和", "信任"), "en": ("irritated", "cool", "calm", "trusting")}

_COACHING = re.compile(
    r"问得好|好问题|你(应该|可以试|不妨|最好)(问|说|先)|建议你|销售技巧|做得(好|不错)|继续加油|演练|扮演|角色|评分|得分|剧本|"
    r"good question|great question|well done|nice job|you should (ask|say|try)|try asking|my advice|as an ai|role[- ]?play|exercise|scenario|score|script",
    re.I,
)
_SELLING = re.compile(
    r"(我们|我司)的(产品|方案|设备|系统).{0,12}(能|可以|帮)|我(能|可以)为您|有什么(可以|能)帮|您(最)?(头疼|担心)的是什么|"
    r"how can i help|our (product|solution|system) (can|will|helps)|what are your (needs|pain)|i can offer you",
    re.I,
)
_FIGURE = re.compile(r"\d+(?:[.,]\d+)?|[一二两三四五六七八九十百千万]{2,}")


async def worded(app: App, scenario: Scenario, talk: Talk) -> tuple[Talk, str | None]:
    """The talk with its last customer line reworded by the model, and the model's name; unchanged without one."""
    if app.model is None:
        return talk, None
    line = talk.turns[-1].text
    request = asked(scenario, talk, line)
    for _ in range(2):
        try:
            answer = await app.model.answer(request.message, system=request.system, max_tokens=160)
        except ModelFailed as error:
            log.warning("persona: %s; the written line is said", error)
            return talk, None
        text = answer.text.strip().strip('"“”')
        if not (faults := unfit(scenario, talk, text, line, request.message)):
            return talks.reworded(talk, text), answer.model or app.model.name
        log.info("persona reply refused: %s", "; ".join(faults))
    return talk, None


def asked(scenario: Scenario, talk: Talk, line: str) -> Filled:
    """The prompt: who the persona is, what it has told, the last lines, and the meaning. Nothing that is locked."""
    language, variant = talk.language, scenario.variant(talk.variant)
    told = [turn.text for turn in talk.turns[:-1] if turn.released]
    spoken = [f"{'客户' if turn.role == 'customer' else '销售'}: {turn.text}" if language == "zh" else f"{turn.role}: {turn.text}" for turn in talk.turns[:-2]]
    said = next((turn.text for turn in reversed(talk.turns) if turn.role == "rep"), "")
    return prompt(f"persona.{language}").fill(
        about=fill(scenario.persona.about.text(language), variant, language),
        mood=MOODS[language][min(3, talk.stand.trust)],
        known=fence("\n".join(told) or "-"),
        talk=fence("\n".join(spoken[-HISTORY:]) or "-"),
        said=fence(said[:600]),
        meaning=fence(line),
        limit=str(max(LIMIT[language], _size(line, language))),
    )


def _size(text: str, language: str) -> int:
    return len(text) if language == "zh" else len(text.split())


def unfit(scenario: Scenario, talk: Talk, text: str, line: str, seen: str) -> list[str]:
    """Why a reply can't be said: a locked fact, coaching, selling, new figures, too long, another language."""
    stand: Stand = talk.stand
    faults = [f"locked fact {name}" for name in talks.leaks(scenario, talk, stand, text)]
    if not text:
        faults.append("empty")
    if _COACHING.search(text):
        faults.append("coaches or speaks of the exercise")
    if _SELLING.search(text):
        faults.append("speaks like the salesperson")
    known = normalise(seen)
    if new := [figure for figure in _FIGURE.findall(normalise(text)) if figure not in known]:
        faults.append(f"figures from nowhere: {', '.join(new)}")
    if _size(text, talk.language) > 1.4 * max(LIMIT[talk.language], _size(line, talk.language)):
        faults.append("too long")
    if text and language_of(text) != talk.language:
        faults.append("another language")
    return faults
