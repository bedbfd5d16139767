"""Any reply becomes messages that Telegram accepts: escaped, within the limits, the same every time."""

from __future__ import annotations

from pathlib import Path

from bot_api_markup import parse
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.frontends.telegram_screen import Document, Photo, Quiz, Text, mark_of, parcels, token_behind
from bot.turns import Block, Choice, Citation, Draft, File, Offer, Picture, Poll, Quote, Reply, Say, Scores

SOURCE = Citation("p1", "Card", "Card › steps")
words = st.text(min_size=1, max_size=60) | st.sampled_from(["<b>", "a & b", "价格太高", "</blockquote>", "😀" * 30, "x" * 5000, "\n\n"])
blocks = st.one_of(
    st.builds(Say, words, st.sampled_from(["text", "heading", "note", "source"])),
    st.builds(Quote, words, st.just(SOURCE), words, st.sampled_from(["step", "say", "passage", "point"]), st.booleans()),
    st.builds(Draft, words, st.just(()), words, st.booleans()),
    st.builds(lambda labels, text: Offer(tuple(Choice(label, "t" * 90) for label in labels), text), st.lists(words, max_size=7), words),
    st.builds(lambda t, rows: Scores(t, tuple(rows)), words, st.lists(st.tuples(words, st.floats(1, 5) | st.none()), max_size=5)),
    st.builds(lambda stem, options: Poll("q", stem, tuple(options), 0, stem), words, st.lists(words, min_size=2, max_size=14)),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(blocks, min_size=1, max_size=8))
def test_telegram_accepts_whatever_a_reply_holds(content: list[Block]) -> None:
    reply = Reply(tuple(content), "en", "coach")
    found = parcels(reply, "tg-1-2")
    assert found == parcels(reply, "tg-1-2")
    for parcel in found:
        if isinstance(parcel, Text):
            text, _ = parse(parcel.html, "HTML")
            assert len(text) <= 4096
            assert all(0 < len(button.token.encode()) <= 64 and button.label for row in parcel.keyboard for button in row)
        if isinstance(parcel, Quiz):
            assert len(parcel.question) <= 300 and len(parcel.explanation) <= 200 and len(parcel.options) <= 12


def test_a_long_text_is_split_between_lines_and_loses_nothing() -> None:
    text = "\n".join(f"Line {number} of a long report." for number in range(400))
    pages = [parcel.html for parcel in parcels(Reply((Say(text),), "en"), "x") if isinstance(parcel, Text)]
    assert len(pages) > 1
    assert "\n".join(pages).split("\n") == text.split("\n")


def test_folded_words_stay_folded_on_every_page() -> None:
    quotes = tuple(Quote("A step that is not short at all. " * 10, SOURCE, "Steps", "step", folded=True) for _ in range(30))
    pages = [parcel.html for parcel in parcels(Reply(quotes, "en"), "x") if isinstance(parcel, Text)]
    assert len(pages) > 1
    assert all(page.startswith("<blockquote expandable>") and page.endswith("</blockquote>") for page in pages)


def test_wide_labels_become_numbered_lines() -> None:
    offer = Offer((Choice("原因其实是：没人被指定负责，出钱的和用的分在不同部门", "a"), Choice("短", "b")), "也可以点")
    (message,) = parcels(Reply((offer,), "zh"), "x")
    assert isinstance(message, Text)
    assert "1. 原因其实是" in message.html and [button.label for row in message.keyboard for button in row] == ["1", "2"]


def test_a_token_that_is_too_long_is_found_again_behind_its_mark() -> None:
    reply = Reply((Offer((Choice("x", "cause:" + "y" * 90),)),), "en")
    (message,) = parcels(reply, "x")
    assert isinstance(message, Text)
    mark = message.keyboard[0][0].token
    assert mark == mark_of("cause:" + "y" * 90) and token_behind(mark, [reply]) == "cause:" + "y" * 90
    assert token_behind("~nothing", [reply]) is None


def test_pictures_files_and_quizzes_are_messages_of_their_own(tmp_path: Path) -> None:
    reply = Reply((Say("before"), Picture("a.png", "A chart"), File("b.json", "b.json"), Poll("q1", "2+2?", ("3", "4"), 1), Say("after")), "en")
    kinds = [type(parcel) for parcel in parcels(reply, "x")]
    assert kinds == [Text, Photo, Document, Quiz, Text]


def test_advice_carries_votes_and_its_source() -> None:
    reply = Reply((Quote("Do this.", SOURCE, "Steps", "step"),), "en", "coach")
    (message,) = parcels(reply, "tg-1-2")
    assert isinstance(message, Text)
    assert [button.token for button in message.keyboard[-1]] == ["vote:up:tg-1-2", "vote:down:tg-1-2", "src:tg-1-2:0"]
