"""Memory: a lapse comes back the same day, one lucky answer never suffices, odd clocks do no harm."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bot import memory

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def after(*answers: bool, every: timedelta = timedelta(days=2)) -> memory.Skill:
    skill = memory.new("buck-passing:1", START)
    for n, right in enumerate(answers):
        skill = memory.reviewed(skill, right, START + n * every)
    return skill


def test_a_lapse_is_due_again_the_same_day() -> None:
    assert after(True, True, False).due - (START + timedelta(days=4)) <= timedelta(hours=1)


def test_one_lucky_answer_is_capped_and_so_are_many_on_one_day() -> None:
    assert memory.mastery(after(True), START) == 0.5
    assert not memory.is_mastered(after(True, True, True, every=timedelta(minutes=20)), START + timedelta(hours=1))


def test_right_answers_on_several_days_are_mastery_until_it_fades() -> None:
    skill = after(True, True, True)
    assert memory.is_mastered(skill, skill.last + timedelta(days=1))  # type: ignore[operator]
    assert not memory.is_mastered(skill, START + timedelta(days=900))


def test_a_lapse_takes_mastery_away() -> None:
    assert memory.mastery(after(True, True, True, False), START + timedelta(days=6)) == 0.0


def test_intervals_grow() -> None:
    gaps, skill = [], memory.new("a:0", START)
    for _ in range(5):
        at = skill.due
        skill = memory.reviewed(skill, True, at)
        gaps.append(skill.due - at)
    assert gaps == sorted(gaps) and gaps[-1] > timedelta(days=20)


def test_a_clock_that_went_back_counts_as_now() -> None:
    skill = after(True, True)
    earlier = memory.reviewed(skill, True, START - timedelta(days=30))
    assert earlier.last == skill.last and earlier.due > START
    assert 0 <= memory.recall(skill, START - timedelta(days=30)) <= 1


def test_the_same_answers_make_the_same_memory() -> None:
    assert after(True, False, True) == after(True, False, True)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10_000_000)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_history_leaves_a_sound_skill(history: list[tuple[bool, int]]) -> None:
    skill, at = memory.new("x:0", START), START
    for right, seconds in history:
        at += timedelta(seconds=seconds)
        skill = memory.reviewed(skill, right, at)
        assert skill.due > at
    assert skill.reviews == len(history) and 0 <= memory.mastery(skill, at) <= 1
