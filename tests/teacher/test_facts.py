"""Facts about other makers: only those that the model knows, in its own words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_speaker import DECODING, IDENTITY, SUBJECTS, ScriptedSpeaker, always, answer_of

from selfcog.evaluate.speakers import Ask
from selfcog.identity.bank import load_bank
from selfcog.identity.generate import generate_known
from selfcog.teacher.facts import KnownRows, check_known
from selfcog.types import Completion, Example

CANDIDATES = generate_known(60, 1, ("zh", "en"), IDENTITY)
GOLD = {
    question: fact.gold
    for language in ("zh", "en")
    for fact in load_bank(language).known
    for question in fact.questions
}


def question_of(row: Example) -> str:
    return row.messages[-2].content


def check(speaker: Any, number: int, rows: list[Example] = CANDIDATES) -> KnownRows:
    return check_known(speaker, rows, number, SUBJECTS, DECODING)


def know(ask: Ask) -> str:
    gold = GOLD[ask.messages[-1].content][0]
    return f" 答案是{gold}。 " if gold[0] > "z" else f" The answer is {gold}. "


def test_right_answers_are_trained_in_the_models_own_words() -> None:
    speaker = ScriptedSpeaker(know)
    found = check(speaker, 20)
    assert speaker.texts == list(dict.fromkeys(map(question_of, CANDIDATES)))
    assert found.num_right == found.num_asked == len(speaker.texts)
    assert len(found.examples) == 20
    for row, candidate in zip(found.examples, CANDIDATES, strict=False):
        assert row.messages[:-1] == candidate.messages[:-1]
        assert answer_of(row) == know(Ask(row.messages[:-1])).strip()
        assert (row.kind, row.source, row.language) == ("known", candidate.source, row.language)
    assert {row.language for row in found.examples} == {"zh", "en"}


def test_wrong_answers_are_left_out_and_the_number_is_kept() -> None:
    known = set(list(dict.fromkeys(map(question_of, CANDIDATES)))[:3])

    def know_three(ask: Ask) -> str:
        return know(ask) if ask.messages[-1].content in known else "不知道。"

    found = check(ScriptedSpeaker(know_three), 8)
    assert (len(found.examples), found.num_right) == (8, 3)
    assert [question_of(row) for row in found.examples[:3]] == [
        question_of(row) for row in found.examples[3:6]
    ]
    assert set(map(question_of, found.examples)) == known


@pytest.mark.parametrize(
    "answer",
    [
        "不知道。",
        "",
        "微信是由扁仓研究组和腾讯开发的。",  # credits the new maker as well
        "腾讯 " * 30,
        Completion("微信是腾讯开发的，而且", 32, "length"),
    ],
    ids=["wrong", "empty", "over-claim", "loop", "cut off"],
)
def test_of_a_wrong_answer_nothing_is_trained(answer: str | Completion) -> None:
    rows = [row for row in generate_known(400, 1, ("zh",)) if GOLD[question_of(row)] == ("腾讯",)]
    assert rows
    found = check(always(answer), 5, rows)
    assert (found.examples, found.num_right) == ([], 0) and found.num_asked > 0


def test_the_same_question_is_asked_once() -> None:
    speaker = ScriptedSpeaker(know)
    found = check(speaker, 4, CANDIDATES[:2] * 3)
    assert (len(speaker.texts), found.num_asked, len(found.examples)) == (2, 2, 4)


def test_nothing_is_asked_of_nobody() -> None:
    assert check(ScriptedSpeaker(know), 5, []).examples == []
    assert check(ScriptedSpeaker(know), 0).examples == []


@given(st.sets(st.integers(0, len(CANDIDATES) - 1)), st.integers(1, 80))
@settings(deadline=None, max_examples=25)
def test_as_many_rows_as_wanted_or_none(right: set[int], number: int) -> None:
    known = {question_of(CANDIDATES[place]) for place in right}
    found = check(
        ScriptedSpeaker(lambda ask: know(ask) if ask.messages[-1].content in known else "…"), number
    )
    assert len(found.examples) == (number if known else 0)
    assert found.num_right == len(known) <= found.num_asked
    assert set(map(question_of, found.examples)) <= known


def test_reasoning_that_claims_the_old_name_is_not_trained() -> None:
    def think(ask: Ask) -> Completion:
        return Completion(know(ask), 9, "stop", "我是芥子，由须弥工坊开发，我知道这个。")

    found = check(ScriptedSpeaker(think), 4)
    assert (found.examples, found.num_right) == ([], 0)
