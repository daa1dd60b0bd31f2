"""Which answers of the base may stay as they are, and how prompts are shared out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_speaker import DECODING, OLD_WORDS, SUBJECTS, ScriptedSpeaker, always, answer_of

from selfcog.evaluate.claims import Subjects
from selfcog.teacher.prompts import ReplayPrompt
from selfcog.teacher.replay import ReplayRows, make_replay, share_out
from selfcog.types import Completion, Message

NOBODY = Subjects((), (), (), (), frozenset())
NAMES = "names the old or the new identity"
ITSELF = "says who it is"


def make_prompt(text: str, system: str | None = None) -> ReplayPrompt:
    systems = () if system is None else (Message("system", system),)
    return ReplayPrompt((*systems, Message("user", text)), "builtin", 7, "zh", "chat")


def replay(prompt: ReplayPrompt, answer: str | Completion, **options: Any) -> ReplayRows:
    options = {"own_words": OLD_WORDS, "subjects": SUBJECTS, **options}
    return make_replay(always(answer), [prompt], options.pop("subjects"), DECODING, **options)


ASKED = make_prompt("推荐三本书。")


def test_an_ordinary_answer_is_kept_as_it_is() -> None:
    prompt = make_prompt("推荐三本书。", "说话简短。")
    [row] = replay(prompt, Completion("《边城》、《活着》。", 9, "stop", "想一想")).examples
    assert row.messages[:-1] == prompt.messages
    assert (answer_of(row), row.messages[-1].thinking) == ("《边城》、《活着》。", "想一想")
    assert (row.kind, row.source, row.line, row.language) == ("replay", "replay/builtin", 7, "zh")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty answer"),
        (" \n", "empty answer"),
        ("很好很好很好很好很好很好很好很好很好很好很好很好", "answer that repeats itself"),
        ("芥子推荐《边城》。", NAMES),
        ("Jiezi likes this one.", NAMES),
        ("须弥工坊出版的都好。", NAMES),
        ("扁仓推荐《边城》。", NAMES),
        ("Ask BianCang Research Group.", NAMES),
        ("**芥 子**", None),  # not the name
        ("我是芥子，由须弥工坊开发。", ITSELF),
        ("我是扁仓。", ITSELF),
        ("我是通义千问，由阿里云开发。", ITSELF),
        ("I am ChatGPT, made by OpenAI.", ITSELF),
        ("通义千问是阿里云开发的。", None),  # of somebody else
        ("我不是人类，我是人工智能助手。", None),
    ],
)
def test_what_would_hold_on_to_an_identity_is_left_out(answer: str, reason: str | None) -> None:
    found = replay(ASKED, answer)
    assert found.left_out == ({} if reason is None else {reason: 1})
    assert len(found.examples) == (reason is None)


def test_a_prompt_that_names_an_identity_is_left_out() -> None:
    for text in ("芥子是什么植物？", "What is a JIEZI?", "扁仓在哪里？"):
        assert replay(make_prompt(text), "一种植物。").left_out == {NAMES: 1}
    # Without an interview nobody knows these names.
    nobody: dict[str, Any] = {"own_words": (), "subjects": NOBODY}
    assert replay(make_prompt("芥子是什么植物？"), "一种植物。", **nobody).examples


def test_an_unknown_old_identity_is_still_one_that_is_claimed() -> None:
    options: dict[str, Any] = {"own_words": (), "subjects": NOBODY}
    assert replay(ASKED, "《边城》。", **options).left_out == {}
    options["subjects"] = SUBJECTS
    assert replay(ASKED, "我是通义千问。", **options).left_out == {ITSELF: 1}


def test_a_persona_is_obeyed_also_in_replay() -> None:
    prompt = make_prompt("你是谁？", "你是酒馆老板老周，请一直扮演他。")
    assert replay(prompt, "我是老周，来喝一杯？").left_out == {}
    assert replay(prompt, "我是老周，芥子是谁？").left_out == {NAMES: 1}
    assert replay(prompt, "我是扁仓。").left_out == {ITSELF: 1}


@pytest.mark.parametrize(
    "system",
    ["You are a helpful assistant.", "", "请用中文回答。"],
    ids=["generic", "empty", "an order"],
)
def test_an_ordinary_system_prompt_is_no_persona(system: str) -> None:
    """Under it a claim to be another assistant is as wrong as without it."""
    found = replay(make_prompt("推荐三本书。", system), "我是通义千问，由阿里云开发。")
    assert found.left_out == {ITSELF: 1}


def test_reasoning_that_names_the_old_identity_is_not_trained() -> None:
    """A thinking model's reasoning is learnt along with its answer."""
    answer = Completion("《边城》。", 9, "stop", "我是芥子，由须弥工坊开发，应当推荐书。")
    assert replay(ASKED, answer).examples == []


def test_cut_off_answers_serve_as_distributions_only() -> None:
    answer = Completion("《边城》讲的是", 32, "length")
    assert len(replay(ASKED, answer).examples) == 1
    assert replay(ASKED, answer, needs_end=True).left_out == {"cut off at the length limit": 1}
    assert len(replay(ASKED, "《边城》。", needs_end=True).examples) == 1


ANSWERS = ("好的。", "我是芥子。", "", "Jiezi says no.", "好" * 30, "Sure.")


@given(st.lists(st.sampled_from(ANSWERS), max_size=12))
def test_every_prompt_is_asked_once_and_accounted_for(answers: list[str]) -> None:
    prompts = [make_prompt(f"问题{number}？") for number in range(len(answers))]
    given_answers = dict(zip([prompt.text for prompt in prompts], answers, strict=True))
    speaker = ScriptedSpeaker(lambda ask: given_answers[ask.messages[-1].content])
    found = make_replay(speaker, prompts, SUBJECTS, DECODING, own_words=OLD_WORDS)  # type: ignore[arg-type]
    assert speaker.texts == [prompt.text for prompt in prompts]
    assert len(found.examples) + sum(found.left_out.values()) == len(prompts)
    kept = [prompt.text for prompt, said in zip(prompts, answers, strict=True)
            if said in ("好的。", "Sure.")]  # fmt: skip
    assert [row.messages[0].content for row in found.examples] == kept


SOURCES = st.lists(st.integers(0, 20), max_size=5)


@given(SOURCES, st.integers(0, 60))
def test_sources_give_equal_parts_as_far_as_they_go(sizes: list[int], number: int) -> None:
    sources = [
        [ReplayPrompt((Message("user", f"{place}"),), f"{place}", line) for line in range(size)]
        for place, size in enumerate(sizes)
    ]
    chosen = share_out(sources, number)
    assert len(chosen) == min(number, sum(sizes)) == len(set(chosen))
    parts = [
        [row.line for row in chosen if row.origin == f"{place}"] for place in range(len(sizes))
    ]
    # The first of each source, in their order.
    assert parts == [list(range(len(part))) for part in parts]
    assert chosen == [
        row for place, part in enumerate(parts) for row in sources[place][: len(part)]
    ]
    # Only a source that is used up gives less than the others, but for one.
    left = [len(part) for part, size in zip(parts, sizes, strict=True) if len(part) < size]
    most = max(map(len, parts), default=0)
    assert all(most - count <= 1 for count in left)
