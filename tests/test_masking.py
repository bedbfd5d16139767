"""With COACH_LLM_MASK, names and amounts do not leave the house, and the rep still reads the real ones."""

import pytest

from bot.masking import Masked, Placeholders
from bot.ports import ModelAnswer


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("王总说预算只有120万元，让我找李工", ["王总", "120万元", "李工"]),
        ("Mr Smith from Acme Pumps Ltd offered $250,000, mail j.smith@acme.example", ["Smith", "Acme Pumps Ltd", "$250,000", "j.smith@acme.example"]),
        ("打他电话 13812345678，张伟说可以", ["13812345678"]),
        ("华东重工集团要降8万", ["华东重工集团", "8万"]),
    ],
)
def test_private_words_are_hidden_and_come_back(text: str, private: list[str]) -> None:
    mask = Placeholders()
    hidden = mask.put(f"<<<ab12\n{text}\nab12>>>")
    assert not [word for word in private if word in hidden]
    assert text in mask.off(hidden)


def test_ordinary_words_stay() -> None:
    text = "<<<ab\n总经理让采购找工厂，方案写好，程序走完，何时能定\nab>>>"
    assert Placeholders().put(text) == text


def test_our_own_instructions_are_not_touched() -> None:
    assert Placeholders().put("给王总 100万元") == "给王总 100万元"


async def test_the_model_never_sees_them() -> None:
    seen: list[str] = []

    class Model:
        name = "m"

        async def answer(self, prompt: str, **_: object) -> ModelAnswer:
            seen.append(prompt)
            word = prompt.split("\n")[1]
            return ModelAnswer(word, {"say": {"text": word, "ids": [word]}}, "m")

    answer = await Masked(Model()).answer("<<<f1\n刘总要100万元\nf1>>>")  # type: ignore[arg-type]
    assert "刘总" not in seen[0] and "100万元" not in seen[0]
    assert answer.text == "刘总要100万元" and answer.data == {"say": {"text": "刘总要100万元", "ids": ["刘总要100万元"]}}
