"""Names, firms, amounts and contacts are hidden before anybody but the asker reads a question."""

from __future__ import annotations

import re

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
    ("contact", re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+|https?://\S+|(?<!\d)(?:\+?\d[\d -]{8,}\d)(?!\d)|(?:微信|wechat|qq)[号:： ]*[\w-]{5,}", re.IGNORECASE)),
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


def mask(text: str, language: Language) -> str:
    """`text` with what could name a person, a firm or a deal replaced by what kind of thing it was."""
    for kind, pattern in _PATTERNS:
        word = _MASKS[kind][language]
        text = pattern.sub(lambda match, word=word: match[0] if _GENERIC.match(match[0]) else word, text)  # type: ignore[misc]
    return text
