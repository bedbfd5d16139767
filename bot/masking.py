"""Names, firms, amounts and contacts are hidden before anybody but the asker reads a question.

`mask` is for people who read later; `Masked` is for a language model outside the house (COACH_LLM_MASK): it works with
placeholders, and the rep reads the real words again. By rules, so not without gaps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bot.ports import ChatModel, Listen, ModelAnswer
from bot.turns import Language

_SURNAMES = (
    "王李张刘陈杨黄赵周吴徐孙马胡朱郭何罗高林郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_TITLES = "总监?|工程师|工|经理|主任|科长|处长|部长|厂长|院长|所长|书记|董事长?|老师|博士|局长|主管|会计|老板|先生|女士|小姐|哥|姐"
_MASKS: dict[str, dict[Language, str]] = {
    "contact": {"zh": "[联系方式]", "en": "[contact]"},
    "amount": {"zh": "[金额]", "en": "[amount]"},
    "firm": {"zh": "[公司]", "en": "[company]"},
    "name": {"zh": "[人名]", "en": "[name]"},
}
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("contact", re.compile(r"(?a:[\w.+-]+@[\w-]+\.[\w.]+)|https?://\S+|(?<!\d)(?:\+?\d[\d -]{8,}\d)(?!\d)|(?:微信|wechat|qq)[号:： ]*[\w-]{5,}", re.IGNORECASE)),
    ("amount", re.compile(
        r"(?:[$€£¥￥]\s?\d[\d,.]*\s?(?:[kmb]\b|万|亿|million|thousand|billion)?)|\d[\d,.]*\s*(?:多)?(?:万|亿|千|百)?(?:多)?(?:元|块钱?|美元|美金|欧元|人民币|rmb|usd|eur|yuan|dollars|euros)"
        r"|\d[\d,.]*\s*(?:多|来)?[万亿](?:多)?(?![人家个])|\d[\d,.]*\s?(?:k|m|million|thousand|billion)\b|[一二三四五六七八九十百千两几]+(?:多)?(?:万|亿)(?:元|块)?",
        re.IGNORECASE,
    )),
    ("firm", re.compile(
        r"[\u4e00-\u9fffA-Za-z0-9（）()]{2,12}?(?:股份有限公司|有限责任公司|有限公司|集团公司|集团|股份|研究院|设计院|医院|大学|银行|钢厂|电厂|化工厂|水务|石化)"
        r"|[\u4e00-\u9fffA-Za-z0-9]{2,4}公司|\b[A-Z][\w&.-]*(?:\s+[A-Z][\w&.-]*){0,3}\s+(?:Inc|Ltd|LLC|GmbH|Corp(?:oration)?|Co|Group|AG|PLC|Holdings|Hospital|University|Bank)\b\.?"
    )),
    ("name", re.compile(
        rf"(?:老|小)?[{_SURNAMES}](?:[\u4e00-\u9fff]{{0,2}}?)(?:{_TITLES})(?![\u4e00-\u9fff]?程)|(?<=[叫是找问])[{_SURNAMES}][\u4e00-\u9fff]{{1,2}}(?=[，。,、的说])|(?<![\u4e00-\u9fff])[老小][{_SURNAMES}](?=[说要让的，。])"
        r"|\b(?:Mr|Mrs|Ms|Dr|Prof)\.?\s+[A-Z][\w'-]+(?:\s+[A-Z][\w'-]+)?|(?<=[a-z,;] )[A-Z][a-z]+(?:\s[A-Z][a-z]+)+\b"
        r"|(?:(?<=called )|(?<=named )|(?<=with )|(?<=from ))[A-Z][a-z]{2,}\b"
    )),
)  # fmt: skip
_GENERIC = re.compile(r"^(?:(?:这|那|我|你|他|她|它|咱|本|某|贵|各|分|总|子|母|大|小|新|老|一)?(?:们|家|个)?|客户|对方|我们|他们|你们|一家|这家|那家|几家)(?:的)?(?:集团|股份|公司|医院|大学|银行|水务)")


def wording(question: str, language: Language) -> str:
    """A question as trainers may see it: its beginning, masked."""
    return mask(question[:500], language)


def mask(text: str, language: Language) -> str:
    """`text` with what could name a person, a firm or a deal replaced by what kind of thing it was."""
    for kind, pattern in _PATTERNS:
        word = _MASKS[kind][language]
        text = pattern.sub(lambda match, word=word: match[0] if _GENERIC.match(match[0]) else word, text)  # type: ignore[misc]
    return text


@dataclass
class Placeholders:
    """Stand-ins of one call to a model: the same for the same words, taken off again from what it answers."""

    words: dict[str, str] = field(default_factory=dict)

    def put(self, prompt: str) -> str:
        """The prompt with private words replaced, inside fences only: our own instructions hold nothing private."""
        return re.sub(r"<<<(\w+)\n.*?\n\1>>>", lambda fenced: self._hidden(fenced.group()), prompt, flags=re.DOTALL)

    def _hidden(self, text: str) -> str:
        for kind, pattern in _PATTERNS:
            letter = kind[0].upper()
            text = pattern.sub(lambda match, letter=letter: self._stand_in(letter, match[0]), text)  # type: ignore[misc]
        return text

    def _stand_in(self, letter: str, word: str) -> str:
        if _GENERIC.match(word):
            return word
        known = next((name for name, original in self.words.items() if original == word), None)
        name = known or f"X{letter}{len(self.words) + 1}X"
        self.words[name] = word
        return name

    def off(self, value: Any) -> Any:
        """The real words back, in texts and in whatever holds texts."""
        if isinstance(value, str):
            for name in sorted(self.words, key=len, reverse=True):
                value = value.replace(name, self.words[name])
            return value
        if isinstance(value, Mapping):
            return {key: self.off(item) for key, item in value.items()}
        return [self.off(item) for item in value] if isinstance(value, list) else value


@dataclass
class Masked:
    """A `ChatModel` that never sees names, firms, amounts and contacts."""

    model: ChatModel

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
        hidden = Placeholders()

        async def readable(text: str) -> None:
            assert listen is not None
            await listen(hidden.off(text))

        answer = await self.model.answer(
            hidden.put(prompt), system=system, schema=schema, max_tokens=max_tokens, listen=readable if listen else None
        )
        return replace(answer, text=hidden.off(answer.text), data=hidden.off(answer.data))
