"""A trainer's work in conversation: upload, preview, publish, mend, retire, roll back, answer gaps, read the week."""

import argparse
import csv
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import odd_files
import pytest
import sqlalchemy as sa
from decks import DECK

from bot import desk, gaps
from bot.__main__ import parser
from bot.app import bundled_playbook, local_person, open_app, stock
from bot.commands import desk as coach_desk
from bot.conversation import serve
from bot.errors import CannotHelp
from bot.masking import mask
from bot.people import Person, Role
from bot.ports import App
from bot.settings import Settings
from bot.store import tables as t
from bot.turns import Attachment, File, Incoming, Offer, Picture, Quote, Reply, plain, reply_from_json
from knowledge.cards import parse_card
from knowledge.notes import Note, note_edition, note_of, title_for
from knowledge.shelf import card_edition
from knowledge.views import Views


class Desk:
    """Somebody at the desk: says things, taps choices by their label, sends files."""

    def __init__(self, app: App, person: Person) -> None:
        self.app, self.person, self.count = app, person, 0
        self.reply: Reply = Reply(())

    async def turn(self, **what: object) -> Reply:
        self.count += 1
        incoming = Incoming(id=f"{self.person.id}-{self.count}", chat=self.person.chat, person=self.person.id, at=self.app.clock(), language_hint="zh", **what)  # type: ignore[arg-type]
        reply = await serve(self.app, self.person, incoming)
        assert reply is not None
        self.reply = reply
        return reply

    async def says(self, text: str) -> str:
        if text.startswith("/"):
            name, _, rest = text[1:].partition(" ")
            return plain(await self.turn(command=name, text=rest))
        return plain(await self.turn(text=text))

    async def taps(self, label: str) -> str:
        tokens = [choice.token for offer in self.reply.of(Offer) for choice in offer.choices if label in choice.label]
        assert len(tokens) == 1, (label, [choice.label for offer in self.reply.of(Offer) for choice in offer.choices])
        assert len(tokens[0].encode()) <= 64
        return plain(await self.turn(choice=tokens[0]))

    async def sends(self, path: Path) -> str:
        return plain(await self.turn(attachment=Attachment(path.name, path.stat().st_size, path=str(path))))


@pytest.fixture
async def app(settings: Settings, playbook: App) -> AsyncIterator[App]:
    """A data directory of this test's own; the encoder is the shared one (loading it costs seconds)."""
    async with open_app(settings, retrieval=False, seed=7) as opened:
        shared: Any = playbook.retriever
        views = Views(opened.shelf, settings, lambda what, done, total: None)
        views._embedder = shared._embedder
        await views.refresh()
        yield replace(opened, retriever=views)
        await views.close()


@pytest.fixture
def trainer(app: App) -> Desk:
    return Desk(app, local_person())


@pytest.fixture
def rep(app: App) -> Desk:
    return Desk(app, Person("rep:1", frozenset({Role.REP}), chat="chat:rep"))


@pytest.fixture
def deck(tmp_path: Path) -> Path:
    path = tmp_path / "deck.txt"
    path.write_text(DECK, encoding="utf-8")
    return path


async def published(app: App) -> list[str]:
    return [item.document for item in await app.shelf.documents() if item.owner == "team"]


async def test_upload_shows_what_would_be_published_and_publishes_it(trainer: Desk, deck: Path) -> None:
    screen = await trainer.sends(deck)
    assert "预览：《怎样管好重点客户》" in screen
    assert "下载或水印行 1 行" in screen
    assert "14 处像是被网站换过的词" in screen
    assert await published(trainer.app) == []
    assert all(hit.passage.kind == "card" for hit in trainer.app.retriever.search("怎样管好重点客户", limit=50).hits)
    assert "已发布《怎样管好重点客户》" in await trainer.taps("发布")
    assert await published(trainer.app) == ["doc-deck-txt"]
    hits = trainer.app.retriever.search("各人掌握的信息不一样，意见不一致的原因", limit=60).hits
    assert "意见不一致的原因" in [hit.passage.place for hit in hits if hit.passage.kind == "document"]


SLIDES = """# 泵站方案

## 价格与交付

- 整站报价从四十八万元起
- 交货期为十二周
- 运费由买方承担
- 泵的质保期是二十四个月

## 服务网点

- 华东有六个备件库
- 工程师四小时内到现场
- 每季度免费巡检一次
- 备件目录每年更新
"""


async def test_one_line_of_a_slide_answers_a_question_but_no_situation(trainer: Desk, rep: Desk, tmp_path: Path) -> None:
    path = tmp_path / "slides.md"
    path.write_text(SLIDES, encoding="utf-8")
    await trainer.sends(path)
    await trainer.taps("发布")
    for asked, line in (("运费谁来承担？", "运费由买方承担"), ("泵的质保多长时间？", "泵的质保期是二十四个月"), ("几个小时能到现场？", "工程师四小时内到现场")):
        assert line in await rep.says(asked)
        assert any(line in quote.text and quote.source.kind == "document" for quote in rep.reply.of(Quote))
    await rep.says("设备部让我找采购，采购又让我找设备部，怎么办？")
    assert {quote.source.kind for quote in rep.reply.of(Quote)} == {"card"}


async def test_publishing_twice_publishes_once(trainer: Desk, deck: Path) -> None:
    await trainer.sends(deck)
    preview = trainer.reply
    await trainer.taps("发布")
    version = await trainer.app.shelf.version()
    trainer.reply = preview
    await trainer.taps("发布")
    assert await trainer.app.shelf.version() == version


async def test_wording_is_mended_line_by_line(trainer: Desk, deck: Path) -> None:
    await trainer.sends(deck)
    assert "a 购买频繁，要货量大" in await trainer.taps("修正用词")
    await trainer.says("1 2")
    await trainer.taps("发布")
    texts = "\n".join(item.text for item in await trainer.app.shelf.passages() if item.document == "doc-deck-txt")
    assert "a 购置频繁" in texts
    assert "b 效劳要求高" in texts
    assert "c 希望降低成本" in texts


async def test_discarding_leaves_nothing(trainer: Desk, deck: Path) -> None:
    version = await trainer.app.shelf.version()
    await trainer.sends(deck)
    assert "已放弃" in await trainer.taps("放弃")
    assert (await trainer.app.shelf.version(), await published(trainer.app), await trainer.app.shelf.drafts()) == (version, [], [])


async def test_a_new_upload_replaces_the_old_one_and_old_citations_stay(trainer: Desk, tmp_path: Path) -> None:
    path = tmp_path / "policy.md"
    path.write_text("# 付款\n首付款不得低于30%。", encoding="utf-8")
    await trainer.sends(path)
    await trainer.taps("发布")
    version = await trainer.app.shelf.version()
    (old,) = [item for item in await trainer.app.shelf.passages() if item.document == "doc-policy-md"]
    path.write_text("# 付款\n首付款不得低于20%。", encoding="utf-8")
    assert "替换现在的《付款》" in await trainer.sends(path)
    await trainer.taps("发布并替换旧版")
    now = [item.text for item in await trainer.app.shelf.passages() if item.document == "doc-policy-md"]
    assert now == ["首付款不得低于20%。"]
    kept = await trainer.app.shelf.passage(old.id, version)
    assert kept is not None
    assert kept.text == "首付款不得低于30%。"
    await trainer.says("/docs")
    await trainer.taps("付款")
    assert "− 首付款不得低于30%。\n+ 首付款不得低于20%。" in await trainer.taps("和上一版比")


async def test_retiring_needs_a_reason_and_rolling_back_a_confirmation(trainer: Desk, deck: Path) -> None:
    await trainer.sends(deck)
    await trainer.taps("发布")
    version = await trainer.app.shelf.version()
    await trainer.says("/docs")
    await trainer.taps("怎样管好重点客户")
    assert "为什么下架" in await trainer.taps("下架")
    assert "已下架" in await trainer.says("内容过时")
    assert await published(trainer.app) == []
    rows = await trainer.app.store.rows("SELECT what FROM audit WHERE what IN ('publish', 'retire') ORDER BY id")
    assert [row["what"] for row in rows] == ["publish", "retire"]
    await trainer.says("/docs")
    await trainer.taps("版本记录")
    await trainer.taps(f"回到第 {version} 版")
    assert f"已回到第 {version} 版" in await trainer.taps("确定回退")
    assert await published(trainer.app) == ["doc-deck-txt"]


async def test_reps_cannot_change_content(rep: Desk, deck: Path) -> None:
    assert "只有培训师" in await rep.sends(deck)
    assert "不能用" in await rep.says("/add 先问价值")
    assert await published(rep.app) == []
    await rep.turn(choice="desk:publish:1")
    assert "只有培训师" in plain(rep.reply)


@pytest.mark.parametrize(("name", "content", "said"), [("x.pdf", b"", "空文件"), ("x.pptx", b"PK\x03\x04 broken", "损坏"), ("x.jpg", b"\xff\xd8\xff\xe0" + bytes(99), "是图片")])
async def test_bad_files_are_refused_in_the_trainers_language(trainer: Desk, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert said in await trainer.sends(path)
    assert await trainer.app.shelf.drafts() == []


async def test_pages_without_text_are_named(trainer: Desk, tmp_path: Path) -> None:
    def picture(deck: object) -> None:
        import io

        from PIL import Image

        out = io.BytesIO()
        Image.new("RGB", (20, 20)).save(out, "PNG")
        slide = deck.slides.add_slide(deck.slide_layouts[6])  # type: ignore[attr-defined]
        slide.shapes.add_picture(out, 0, 0)

    path = tmp_path / "slides.pptx"
    path.write_bytes(odd_files.pptx(2, change=picture))
    assert "只有图片，没有文字：slide 3" in await trainer.sends(path)


async def test_a_card_with_a_bundled_id_overrides_it_and_stays_after_a_restart(app: App) -> None:
    """Neither a start nor an upgrade of the product brings back what the team replaced or retired."""
    source = (bundled_playbook() / "buck-passing.md").read_text("utf-8")
    theirs = re.sub(r"^title: .*$", 'title: {zh: "我们的说法：推诿", en: "Our words: buck-passing"}', source, count=1, flags=re.MULTILINE)
    edition = card_edition(parse_card(theirs, "buck-passing.md"), theirs, "0" * 64, "team")
    await app.shelf.publish([edition], retire=["ka-org"], at=app.clock(), author="local")
    version = await app.shelf.version()
    await stock(app.shelf, app.settings)
    assert await app.shelf.version() == version
    cards = await app.shelf.cards()
    assert cards["buck-passing"].title.zh == "我们的说法：推诿"
    assert "ka-org" not in cards


def card_file(folder: Path, title: str, card: str = "buck-passing") -> Path:
    """A bundled card under a title of somebody's own."""
    source = (bundled_playbook() / f"{card}.md").read_text("utf-8")
    path = folder / f"{card}.md"
    path.write_text(re.sub(r"^title: .*$", f'title: {{zh: "{title}", en: "{title}, in English"}}', source, count=1, flags=re.MULTILINE), encoding="utf-8")
    return path


async def owner_of(app: App, card: str = "buck-passing") -> str:
    return next(item.owner for item in await app.shelf.documents() if item.document == card)


async def test_a_drafted_card_with_a_bundled_id_becomes_the_teams_and_an_upgrade_only_shows_what_it_would_change(trainer: Desk, tmp_path: Path) -> None:
    app = trainer.app
    await trainer.sends(card_file(tmp_path, "我们的推诿"))
    await trainer.taps("发布并替换旧版")
    assert await owner_of(app) == "team"
    assert "我们的推诿" in [item.title for item in await app.shelf.documents()]
    newer = tmp_path / "newer"
    shutil.copytree(bundled_playbook(), newer)
    card_file(newer, "产品的新说法")
    upgraded = replace(app, settings=app.settings.model_copy(update={"playbook_dir": newer}))
    await stock(app.shelf, upgraded.settings)
    assert (await app.shelf.cards())["buck-passing"].title.zh == "我们的推诿"
    trainer.app = upgraded
    assert "产品更新了这些卡片" in await trainer.says("/docs")
    listed = next(offer for offer in trainer.reply.of(Offer) if "产品更新" in offer.text)
    shown = plain(await trainer.turn(choice=listed.choices[0].token))
    assert '− title: {zh: "我们的推诿"' in shown
    assert '+ title: {zh: "产品的新说法"' in shown
    decision = trainer.reply
    await trainer.taps("保留我们的")
    assert "产品更新了" not in await trainer.says("/docs")
    async with app.store.engine.begin() as connection:  # type: ignore[attr-defined]
        await connection.execute(t.audit.delete().where(t.audit.c.what == "kept-ours"))
    trainer.reply = decision
    await trainer.taps("换成产品的版本")
    await trainer.taps("发布并替换旧版")
    assert (await app.shelf.cards())["buck-passing"].title.zh == "产品的新说法"
    assert await owner_of(app) == "bundled"
    assert "产品更新了" not in await trainer.says("/docs")


async def test_rolled_back_to_the_products_card_it_is_the_products_again(trainer: Desk, tmp_path: Path) -> None:
    app = trainer.app
    before = await app.shelf.version()
    await trainer.sends(card_file(tmp_path, "我们的推诿"))
    await trainer.taps("发布并替换旧版")
    await app.shelf.rollback(before, at=app.clock(), author="local")
    assert await owner_of(app) == "bundled"


async def test_what_trainers_retired_stays_away_when_the_product_words_it_anew(app: App, tmp_path: Path) -> None:
    await app.shelf.publish(retire=["buck-passing"], at=app.clock(), author="local")
    newer = tmp_path / "newer"
    shutil.copytree(bundled_playbook(), newer)
    card_file(newer, "产品的新说法")
    card_file(newer, "另一张也改了", "ka-org")
    await stock(app.shelf, app.settings.model_copy(update={"playbook_dir": newer}))
    cards = await app.shelf.cards()
    assert "buck-passing" not in cards
    assert cards["ka-org"].title.zh == "另一张也改了"


async def test_a_draft_is_compared_with_what_is_published_now(trainer: Desk, tmp_path: Path) -> None:
    path = tmp_path / "policy.md"
    for number in (30, 20):
        path.write_text(f"# 付款\n首付款不得低于{number}%。", encoding="utf-8")
        await trainer.sends(path)
        await trainer.taps("发布并替换旧版" if number == 20 else "发布")
    path.write_text("# 付款\n首付款不得低于40%。", encoding="utf-8")
    await trainer.sends(path)
    early = trainer.reply
    path.write_text("# 付款\n首付款不得低于10%。", encoding="utf-8")
    await trainer.sends(path)
    await trainer.taps("发布并替换旧版")
    trainer.reply = early  # drafted before what is published now
    shown = await trainer.taps("和现在发布的比")
    assert "与现在发布的相比" in shown
    assert "− 首付款不得低于10%。\n+ 首付款不得低于40%。" in shown
    await trainer.taps("发布并替换旧版")
    await trainer.says("/docs")
    await trainer.taps("付款")
    assert "− 首付款不得低于10%。\n+ 首付款不得低于40%。" in await trainer.taps("和上一版比")


async def gap(app: App, person: str, text: str, chat: str = "", language: str = "zh") -> None:
    async with app.store.engine.begin() as connection:  # type: ignore[attr-defined]
        await connection.execute(t.gaps.insert().values(person=person, chat=chat or f"chat:{person}", at=app.clock(), text=text, language=language, reason="abstained", topics=[]))


async def test_gaps_are_gathered_by_meaning_and_answered_once(trainer: Desk) -> None:
    app = trainer.app
    for person, text in [("a", "客户要我们派人长期驻厂怎么办"), ("b", "客户要求派工程师驻厂，怎么回"), ("c", "The customer wants us to station an engineer at their plant")]:
        await gap(app, person, text, language="en" if text.isascii() else "zh")
    await gap(app, "d", "出差发票怎么报销")
    screen = await trainer.says("/gaps")
    assert "2 类问题" in screen
    offer = trainer.reply.of(Offer)[0]
    await trainer.turn(choice=offer.choices[0].token)
    assert "驻厂" in plain(trainer.reply)
    draft = await trainer.says("先问清驻厂几个人、多久、谁付钱，再报主管批准。")
    assert "回答这些问法" in draft
    assert "已发布" in await trainer.taps("发布")
    told = await app.store.rows("SELECT chat, reply FROM outbox WHERE incoming LIKE 'gap:%' ORDER BY chat")
    assert [row["chat"] for row in told] == ["chat:a", "chat:b", "chat:c"]
    assert "先问清驻厂几个人" in told[0]["reply"]
    assert "1 类问题" in await trainer.says("/gaps")


async def test_publishing_on_the_command_line_tells_the_askers_as_in_chat(trainer: Desk, rep: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    app = trainer.app
    for person, text in [("a", "客户要我们派人长期驻厂怎么办"), ("b", "客户要我们派人长期驻厂，怎么回")]:
        await gap(app, person, text)
    await trainer.says("/gaps")
    await trainer.turn(choice=trainer.reply.of(Offer)[0].choices[0].token)
    await trainer.says("先问清驻厂几个人、多久、谁付钱，再报主管批准。")
    (draft,) = await app.shelf.drafts()
    async with app.store.engine.begin() as connection:  # type: ignore[attr-defined]
        await connection.execute(t.gaps.update().where(t.gaps.c.person == "b").values(withheld=True))  # meanwhile
    options = argparse.Namespace(draft=draft["id"], discard=False, json=False)
    assert await coach_desk.publish(app, options) == 0
    assert "askers told: 1" in capsys.readouterr().out
    assert await desk.open_gaps(app) == []
    (told,) = await app.store.rows("SELECT chat, reply, state FROM outbox WHERE incoming LIKE 'gap:%'")
    assert (told["chat"], told["state"], "先问清驻厂几个人" in told["reply"]) == ("chat:a", "waiting", True)
    assert await coach_desk.publish(app, options) == 0  # again: nothing new, nobody told twice
    assert len(await app.store.rows("SELECT id FROM outbox WHERE incoming LIKE 'gap:%'")) == 1
    assert [row["what"] for row in await app.store.rows("SELECT what FROM audit WHERE what = 'publish'")] == ["publish"]


async def test_a_gap_is_answered_on_the_command_line(trainer: Desk, rep: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    app = trainer.app
    for person, text in [("a", "客户要我们派人长期驻厂怎么办"), ("b", "客户要求派工程师驻厂，怎么回")]:
        await gap(app, person, text)
    number = max((await desk.open_gaps(app))[0].ids)
    asked = parser("gaps").parse_args(["gaps", "answer", str(number), "--text", "先问清驻厂几个人、多久、谁付钱，再报主管批准。"])
    assert await coach_desk.answer_gap(app, asked) == 0
    assert "客户要我们派人长期驻厂怎么办" in capsys.readouterr().out
    (draft,) = await app.shelf.drafts()
    assert (await app.store.rows("SELECT chat FROM outbox WHERE incoming LIKE 'gap:%'"), len(await desk.open_gaps(app))) == ([], 1)
    assert await coach_desk.publish(app, argparse.Namespace(draft=draft["id"], discard=False, json=False)) == 0
    told = await app.store.rows("SELECT chat FROM outbox WHERE incoming LIKE 'gap:%' ORDER BY chat")
    assert ([row["chat"] for row in told], await desk.open_gaps(app)) == (["chat:a", "chat:b"], [])
    await app.retriever.refresh()  # type: ignore[attr-defined]
    await rep.says("客户要求我们派人长期驻厂，怎么办")
    assert rep.reply.of(Quote)[0].text == "先问清驻厂几个人、多久、谁付钱，再报主管批准。"
    with pytest.raises(CannotHelp, match="gap_gone"):
        await coach_desk.answer_gap(app, asked)


async def test_a_reviewed_answer_is_reused_for_its_meaning(trainer: Desk, rep: Desk) -> None:
    await trainer.says("/add 先问清驻厂几个人、多久、谁付钱，再报主管批准。")
    await trainer.taps("改问法")
    await trainer.says("客户要我们派人长期驻厂怎么办\nCustomer wants an engineer stationed on site")
    await trainer.taps("改标题")
    await trainer.says("驻厂要求")
    await trainer.taps("发布")
    await rep.says("客户要求我们派人长期驻厂，怎么办")
    quotes = rep.reply.of(Quote)
    assert quotes[0].text == "先问清驻厂几个人、多久、谁付钱，再报主管批准。"
    assert quotes[0].source.title == "驻厂要求"


async def test_an_asker_may_withhold_a_question(trainer: Desk, rep: Desk) -> None:
    screen = await rep.says("量子计算机的散热怎么设计？")
    assert "我把问题记给了培训师" in screen
    await rep.taps("不要转给培训师")
    assert "没有未解答的问题" in await trainer.says("/gaps")


async def test_a_button_withholds_its_own_question_not_the_latest(trainer: Desk, rep: Desk) -> None:
    await rep.says("量子计算机的散热怎么设计？")
    first = rep.reply
    await rep.says("火星基地的氧气怎么供应？")
    rep.reply = first
    assert "不会给培训师看" in await rep.taps("不要转给培训师")
    rows = await trainer.app.store.rows("SELECT text, withheld FROM gaps ORDER BY id")
    assert [(row["text"][:2], bool(row["withheld"])) for row in rows] == [("量子", True), ("火星", False)]


async def test_a_question_voted_down_may_be_withheld_too(trainer: Desk, rep: Desk) -> None:
    """What was asked goes to the trainers, not the button that was tapped last; others cannot withhold it."""
    await rep.says("设备部说这事归采购，采购又让我找设备部，来回三趟了，没人牵头")
    await rep.turn(choice="card:buck-passing")
    voted = f"rep:1-{rep.count}"
    assert "我把问题记给了培训师" in plain(await rep.turn(choice=f"vote:down:{voted}"))
    button = rep.reply.of(Offer)[-1].choices[0].token
    assert "设备部说这事归采购" in (await desk.open_gaps(trainer.app))[0].wordings[0]
    await trainer.turn(choice=button)
    assert len(await desk.open_gaps(trainer.app)) == 1
    await rep.taps("不要转给培训师")
    assert await desk.open_gaps(trainer.app) == []


async def asked_by_two(app: App, rep: Desk) -> None:
    """A rep's question that fits nothing, and one like it by somebody else."""
    await rep.says("量子计算机的散热怎么设计？")
    await gap(app, "b", "量子计算机散热怎么做")


async def test_withheld_words_leave_an_open_draft_and_its_trainer_is_told(trainer: Desk, rep: Desk) -> None:
    app = trainer.app
    await app.store.welcome(replace(trainer.person, language="zh"), app.clock())
    await asked_by_two(app, rep)
    await trainer.says("/gaps")
    await trainer.turn(choice=trainer.reply.of(Offer)[0].choices[0].token)
    await trainer.says("请技术部答复，不要自己猜。")
    await trainer.taps("改内容")
    await trainer.says("请技术部的专家答复，不要自己猜。")  # the draft before this one is discarded, and not shown any more
    await rep.taps("不要转给培训师")
    async with app.store.engine.connect() as connection:  # type: ignore[attr-defined]
        kept = (await connection.execute(sa.text("SELECT content, details FROM shelf_revisions WHERE document LIKE 'note-%'"))).all()
        kept += (await connection.execute(sa.text("SELECT heading, place FROM shelf_passages WHERE id LIKE 'note-%'"))).all()
    assert len(kept) == 4
    assert "散热怎么设计" not in str(kept)
    assert "量子计算机散热怎么做" in str(kept)
    (told,) = await app.store.rows("SELECT chat, reply FROM outbox WHERE incoming LIKE 'withdrawn:%'")
    assert told["chat"] == trainer.person.chat
    button = reply_from_json(told["reply"]).of(Offer)[0].choices[0]
    shown = plain(await trainer.turn(choice=button.token))
    assert "有 1 个问法被提问的人收回" in shown
    assert "– 量子计算机散热怎么做" in shown
    assert "散热怎么设计" not in shown
    await trainer.taps("发布")
    assert [row["chat"] for row in await app.store.rows("SELECT chat FROM outbox WHERE incoming LIKE 'gap:%'")] == ["chat:b"]


async def test_words_withheld_while_the_trainer_writes_never_reach_the_draft(trainer: Desk, rep: Desk) -> None:
    await asked_by_two(trainer.app, rep)
    await trainer.says("/gaps")
    await trainer.turn(choice=trainer.reply.of(Offer)[0].choices[0].token)
    await rep.taps("不要转给培训师")
    screen = await trainer.says("请技术部答复，不要自己猜。")
    assert "散热怎么设计" not in screen
    assert "有 1 个问法被提问的人收回" in screen


async def test_words_that_somebody_else_uses_too_stay(trainer: Desk, rep: Desk) -> None:
    await asked_by_two(trainer.app, rep)
    await gap(trainer.app, "c", "量子计算机的散热怎么设计？")
    await trainer.says("/gaps")
    await trainer.turn(choice=trainer.reply.of(Offer)[0].choices[0].token)
    await trainer.says("请技术部答复，不要自己猜。")
    await rep.taps("不要转给培训师")
    (draft,) = await trainer.app.shelf.drafts()
    assert "散热怎么设计" in draft["content"]


async def test_forwarded_messages_become_drafts(trainer: Desk) -> None:
    await trainer.turn(text="客户说要三家比价，先问他按什么打分。", forwarded=True)
    assert "草稿：" in plain(trainer.reply)


def test_names_firms_amounts_and_contacts_are_masked() -> None:
    zh = mask("华兴钢铁集团的王总和李经理说这单120万元，要13812345678联系，邮箱a@b.com", "zh")
    assert zh == "[公司]的[人名]和[人名]说这单[金额]，要[联系方式]联系，邮箱[联系方式]"
    en = mask("Mr. John Smith of Acme Steel GmbH wants $1.2 million off, call +49 170 1234567", "en")
    assert en == "[name] of [company] wants [amount] off, call [contact]"
    assert mask("客户公司内部有分歧，20/80法则怎么用？", "zh") == "客户公司内部有分歧，20/80法则怎么用？"


def test_groups_are_ranked_by_people_and_hide_small_numbers() -> None:
    import numpy as np

    rows = [{"id": i, "person": f"p{i % 6}", "chat": "", "at": None, "text": "A" if i < 7 else "B", "language": "zh", "reason": "abstained"} for i in range(9)]
    groups = gaps.grouped(rows, lambda left, right: np.array([[float(x == y) for y in right] for x in left]))
    assert [(group.people, group.crowd) for group in groups] == [(6, "6"), (2, "<5")]


def test_notes_keep_their_words() -> None:
    note = Note("note-1", "T", "先问价值。\n再谈价格。" * 80, ("怎么谈价格",))
    edition = note_edition(note)
    assert note_of(edition.content) == note
    assert len(edition.passages) > 1
    assert title_for("先问清楚需求。然后报价。") == "先问清楚需求"


async def test_the_week_is_drawn_and_tabled_without_names(trainer: Desk) -> None:
    app = trainer.app
    async with app.store.engine.begin() as connection:  # type: ignore[attr-defined]
        for i in range(12):
            at = app.clock() - timedelta(days=1 if i < 9 else 9)
            topic = "buck-passing" if i != 3 else "sign-off"
            await connection.execute(sa.insert(t.turns).values(incoming=f"x{i}", chat="c", person=f"p{i % 6}", at=at, said="王总", reply="", activity="idle", action="coach", topics=[[topic, 0.9]], language="zh", playbook=1))
    await trainer.says("/report")
    (picture,), (table,) = trainer.reply.of(Picture), trainer.reply.of(File)
    assert Path(picture.path).stat().st_size > 5000
    rows = list(csv.DictReader(Path(table.path).read_text("utf-8-sig").splitlines()))
    topics = {row["id"]: row for row in rows if row["what"] == "topic"}
    assert (topics["buck-passing"]["this_week"], topics["buck-passing"]["week_before"]) == ("8", "3")
    assert "sign-off" not in topics  # asked by one person: only added to "other"
    assert topics["other"]["this_week"] == "1"
    assert "王总" not in Path(table.path).read_text("utf-8-sig")
