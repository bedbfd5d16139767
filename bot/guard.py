"""What is settled before anything is generated: is this proper to ask, is it ours to answer.

The retriever's learned gate says which kind of improper ask it is; the words of the refusal are fixed phrases and
the ethics card's, never a model's.
"""

from __future__ import annotations

import re
import unicodedata

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


# Somebody talks to the machine instead of the coach. Such a message is answered from the cards only.
_INSTRUCTS = re.compile(
    r"(?:忽略|无视|忘记|忘掉|不要理会|抛开|覆盖|绕过).{0,12}(?:指令|规则|规矩|要求|设定|提示|限制|约束|以上|之前的|前面的)|"
    r"(?:系统|初始|隐藏|内部)(?:提示词?|指令|消息|设定)|提示词|(?:你现在是|从现在起你|请?扮演|假装你|假设你)(?!.{0,6}(?:客户|采购|买方|对方))|"
    r"(?:开发者|越狱|管理员|调试|上帝)模式|(?:原样|逐字|一字不差).{0,8}(?:输出|复述|重复|打印|贴出)|"
    r"(?:输出|打印|复述|回复|说出|追加).{0,10}(?:口令|暗号|密钥|链接|网址|以上内容|上面的内容|(?-i:[A-Z]{4,}))|"
    r"别的?(?:销售|用户|同事).{0,8}(?:问了|聊了|说了|问过|聊过|的对话|的记录|的聊天)|"
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:instruction|rule|prompt|guideline|restriction)s?\b|"
    r"\b(?:ignore|disregard|forget) (?:all|everything|anything|what|the) ?(?:of )?(?:the )?(?:above|previous|prior|said)|"
    r"\b(?:system|hidden|developer|initial)\s+(?:prompt|message|instruction)s?\b|\byou are (?:now|no longer)\b|\bpretend (?:to be|you are)\b|"
    r"\bact as (?!a (?:customer|buyer))|\b(?:developer|debug|admin|god|dan|jailbreak)\s+mode\b|\bjailbreak\b|"
    r"\b(?:print|repeat|reveal|output|reply with|respond with|append)\b.{0,40}(?:\b(?:prompt|verbatim|above text|password|secret|link|url)\b|(?-i:\b[A-Z]{4,}))|"
    r"\bother (?:user|rep|person|people|colleague)s?['’]?s?\b.{0,20}\b(?:ask(?:ed)?|said|chat|conversation|message|data|record)|"
    r"</?(?:system|assistant|instructions?|tool)>|\[/?INST\]|<\|im_|###\s*(?:system|instruction)|\bBEGIN (?:SYSTEM|ADMIN)\b",
    re.IGNORECASE,
)


def instructs(text: str) -> bool:
    """Does a message (or a mail that was pasted into it) try to instruct the machine?"""
    return _INSTRUCTS.search(unicodedata.normalize("NFKC", text)) is not None
