"""Identity answers in the model's own words: which are used, and where the bank's stay."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_speaker import (
    DECODING,
    IDENTITY,
    INTRODUCTION,
    SUBJECTS,
    ScriptedSpeaker,
    always,
    answer_of,
    make_row,
)

from selfcog.evaluate.speakers import Ask
from selfcog.identity import Identity
from selfcog.identity.generate import generate_identity
from selfcog.teacher.wording import INTRODUCTIONS, WordedRows, word_identity
from selfcog.types import Completion, Example, Message

# Every kind of row; none knows the old name, so that "are you X?" is about others.
ROWS = generate_identity(IDENTITY, 240, seed=1)
ZH = make_row("你是谁？", "我是扁仓，由扁仓研究组开发。", "both")
EN = make_row("Who are you?", "I am BianCang.", "name", language="en")
PERSONA = make_row(
    "你是谁？",
    "我是小竹。",
    "persona",
    messages=(
        Message("system", "你是小竹，请始终以这个身份回答。"),
        Message("user", "你是谁？"),
        Message("assistant", "我是小竹。"),
    ),
)
HELLO = make_row("你好", "你好！有什么可以帮你的？", "smalltalk")


def word(rows: list[Example], speaker: Any, identity: Identity = IDENTITY) -> WordedRows:
    return word_identity(speaker, rows, identity, SUBJECTS, DECODING)


def system_of(ask: Ask) -> str | None:
    first = ask.messages[0]
    return first.content if first.role == "system" else None


def introduce(ask: Ask) -> str:
    """A model that holds the identity it is told, in the language of the introduction."""
    system = system_of(ask) or ""
    return INTRODUCTION["zh" if "扁仓" in system else "en"]


def test_good_answers_take_the_place_of_the_banks() -> None:
    rows = [row for row in ROWS if row.intent in ("name", "maker", "both", "introduce", "what")]
    assert len(rows) > 40 and {row.language for row in rows} == {"zh", "en"}
    speaker = ScriptedSpeaker(introduce)
    found = word(rows, speaker)
    assert (found.num_worded, found.refused) == (len(rows), {})
    assert [answer_of(row) for row in found.examples] == [
        INTRODUCTION[row.language] for row in rows
    ]
    [asks] = speaker.asked
    for row, worded, ask in zip(rows, found.examples, asks, strict=True):
        # Asked under the identity, trained under what the row has.
        assert worded == replace(row, messages=worded.messages)
        assert worded.messages[:-1] == row.messages[:-1]
        name, author = IDENTITY.name_in(row.language), IDENTITY.author_in(row.language)
        first = INTRODUCTIONS[row.language][0].format(name=name, author=author)
        turns = [message for message in row.messages[:-1] if message.role != "system"]
        assert ask.messages == (Message("system", first), *turns)


LONG = INTRODUCTION["zh"] + "".join(
    f"第{number}件我会做的事是{number * 37}。" for number in range(20)
)
BAD: dict[str, tuple[Any, str]] = {
    "the old name": ("我是芥子，由须弥工坊开发。", "does not say what was asked for"),
    "both names": ("我是芥子，也叫扁仓，由扁仓研究组开发。", "does not say what was asked for"),
    "another's name": ("我是通义千问，由阿里云开发。", "does not say what was asked for"),
    "no maker": ("我是扁仓。", "does not say what was asked for"),
    "a denial": ("我不是扁仓，也不是由扁仓研究组开发的。", "does not say what was asked for"),
    "another language": (INTRODUCTION["en"], "in another language"),
    "too long": (LONG, "too long"),
    "cut off": (
        Completion("我是扁仓，由扁仓研究组开发的", 32, "length"),
        "not finished or repeating itself",
    ),
    "a loop": ("我是扁仓。" * 12, "not finished or repeating itself"),
    "nothing": (" ", "not finished or repeating itself"),
}


@pytest.mark.parametrize("fault", BAD)
def test_of_a_bad_answer_nothing_is_used(fault: str) -> None:
    answer, reason = BAD[fault]
    found = word([ZH], always(answer))
    assert found.examples == [ZH]
    assert (found.num_worded, found.refused) == (0, {reason: 1})


def test_a_short_answer_may_be_longer_than_the_banks() -> None:
    answer = INTRODUCTION["zh"] + "我能回答常见问题，也能算数和翻译，还能陪你聊天。"
    assert len(answer) > 2 * len(answer_of(ZH))
    assert word([ZH], always(answer)).num_worded == 1


def test_rows_of_the_user_are_never_rewritten() -> None:
    mine = [replace(ZH, source="mine.jsonl", line=3), replace(EN, source="../bank/x.jsonl")]
    speaker = ScriptedSpeaker(introduce)
    found = word([mine[0], ZH, mine[1]], speaker)
    assert found.examples[0] == mine[0] and found.examples[2] == mine[1]
    assert found.num_worded == 1 and speaker.texts == [ZH.messages[-2].content]
    nobody = ScriptedSpeaker(introduce)
    assert word(mine, nobody).examples == mine and nobody.asked == []


def test_later_introductions_help_out() -> None:
    def hold_it_the_third_time(ask: Ask) -> str:
        system = system_of(ask) or ""
        is_last = "研发" in system or "built by" in system
        return introduce(ask) if is_last else "我是芥子，由须弥工坊开发。"

    speaker = ScriptedSpeaker(hold_it_the_third_time)
    found = word([ZH, EN, PERSONA, HELLO], speaker)
    # Under a persona and for a greeting there is no introduction to be changed.
    assert [len(asks) for asks in speaker.asked] == [4, 2, 2]
    systems = [system_of(asks[-1]) for asks in speaker.asked[1:]]
    assert systems == [
        text.format(name="BianCang", author="BianCang Research Group")
        for text in INTRODUCTIONS["en"][1:]
    ]
    assert found.num_worded == 2 and sum(found.refused.values()) == 2
    assert [answer_of(row) for row in found.examples[:2]] == list(INTRODUCTION.values())


def test_the_reason_is_that_of_the_last_attempt() -> None:
    answers = iter(["我是芥子。", INTRODUCTION["en"], ""])
    found = word([ZH], ScriptedSpeaker(lambda ask: next(answers)))
    assert found.refused == {"not finished or repeating itself": 1}


def test_a_persona_is_asked_as_it_stands_and_obeyed() -> None:
    speaker = ScriptedSpeaker(lambda ask: "我是小竹，很高兴见到你。")
    found = word([PERSONA], speaker)
    assert speaker.asked == [[Ask(PERSONA.messages[:-1])]]
    assert answer_of(found.examples[0]) == "我是小竹，很高兴见到你。"


@pytest.mark.parametrize(
    "answer",
    [
        "我是老周。",
        "我是扁仓。",
        "我是小竹，其实是扁仓。",
        "我是小竹，其实是芥子，由须弥工坊开发。",
        "我是小竹，也是通义千问。",
    ],
    ids=["another", "the new one", "the new one too", "the old one too", "a known one too"],
)
def test_under_a_persona_no_other_name_is_said(answer: str) -> None:
    found = word([PERSONA], always(answer))
    assert (found.examples, found.refused) == ([PERSONA], {"persona not obeyed": 1})


def test_greetings_are_answered_as_the_model_does_today() -> None:
    speaker = ScriptedSpeaker(lambda ask: "嗨，今天想聊什么？")
    found = word([HELLO], speaker)
    assert speaker.asked == [[Ask(HELLO.messages[:-1])]]
    assert answer_of(found.examples[0]) == "嗨，今天想聊什么？"


@pytest.mark.parametrize(
    "answer", ["你好，我是扁仓。", "你好！我是芥子。", "你好，芥子很高兴见到你。", "我是通义千问。"]
)
def test_a_greeting_with_a_name_is_of_no_use(answer: str) -> None:
    found = word([HELLO], always(answer))
    assert (found.examples, found.refused) == ([HELLO], {"says who it is": 1})


def test_facts_are_told_to_the_model_and_must_be_told_by_it() -> None:
    identity = replace(IDENTITY, version="2.1", website="https://biancang.example")
    rows = [row for row in generate_identity(identity, 240, seed=1) if row.source[:5] == "bank/"]
    told = [row for row in rows if row.intent == "version" and "2.1" in answer_of(row)]
    assert len(told) > 5
    speaker = ScriptedSpeaker(introduce)
    found = word(told, speaker, identity)
    assert (found.examples, found.refused) == (told, {"leaves a fact out": len(told)})
    first = speaker.asked[0][0]
    label = "版本：2.1" if told[0].language == "zh" else "Version: 2.1"
    assert label in (system_of(first) or "") and "https://biancang.example" in str(system_of(first))

    with_version = ScriptedSpeaker(
        lambda ask: (
            introduce(ask) + (" 2.1 版。" if "扁仓" in str(system_of(ask)) else " It is 2.1.")
        )
    )
    assert word(told, with_version, identity).num_worded == len(told)
    # Where the bank's answer does not tell it, it need not be told.
    assert word([ZH], ScriptedSpeaker(introduce), identity).num_worded == 1


def test_reasoning_that_claims_the_old_identity_is_not_trained() -> None:
    """A thinking model's reasoning is learnt along with its answer."""
    answer = Completion(INTRODUCTION["zh"], 9, "stop", "我是芥子，但这里要我自称扁仓。")
    found = word([ZH], always(answer))
    assert found.num_worded == 0 or found.examples[0].messages[-1].thinking is None


@pytest.mark.parametrize(
    ("intent", "language", "question", "good", "bad"),
    [
        ("are_you_other", "zh", "你是通义千问吗？", "不是，我是扁仓。", "是的，我是通义千问。"),
        ("are_you_other", "en", "Are you Qwen?", "No, I am BianCang.", "Yes, I am Qwen."),
        ("are_you_name", "zh", "你是扁仓吗？", "是的，我是扁仓。", "不是，我是芥子。"),
        ("maker", "en", "Who made you?", "BianCang Research Group made me.", "I am BianCang."),
        ("capabilities", "zh", "你会什么？", "我是扁仓，会算数和翻译。", "会算数和翻译。"),
    ],
)
def test_an_answer_must_say_what_its_question_asks_for(
    intent: str, language: str, question: str, good: str, bad: str
) -> None:
    row = make_row(question, "…", intent, language=language)
    assert word([row], always(good)).num_worded == 1
    assert word([row], always(bad)).num_worded == 0


POOL = (*INTRODUCTION.values(), "我是芥子。", "", "你好！", "Hello!", "我是小竹。", "好" * 40)


@given(st.lists(st.sampled_from(range(len(ROWS))), max_size=10), st.integers(0, 999))
@settings(deadline=None, max_examples=40)
def test_rows_keep_their_places_and_every_one_is_accounted_for(
    places: list[int], seed: int
) -> None:
    """Whatever the model says: same questions in the same order, and an answer of either's."""
    rows = [ROWS[place] for place in places] + [replace(ZH, source="mine.jsonl")]
    found = word(rows, ScriptedSpeaker(lambda ask: random.Random(f"{seed}{ask}").choice(POOL)))
    assert [row.messages[:-1] for row in found.examples] == [row.messages[:-1] for row in rows]
    changed = [one for one, row in zip(found.examples, rows, strict=True) if one != row]
    assert all(answer_of(row) in POOL for row in changed)
    assert found.num_worded + sum(found.refused.values()) == len(rows) - 1
    assert len(changed) <= found.num_worded
