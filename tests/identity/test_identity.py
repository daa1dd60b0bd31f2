from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfcog.errors import ConfigError
from selfcog.identity import Identity
from selfcog.identity.text import detect_language, mentions

ODD_NAMES = ["007", "No", "null", 'O\'Brien "Q"', "{{x}}", "{author}", "[a|b]", "小黄", "\\1 $& %s"]


def test_a_pair_is_chinese_and_english() -> None:
    identity = Identity(("扁仓", "BianCang"), ("某大学某研究组", "QLU-NLP Research Group"))
    assert identity.name_in("zh") == "扁仓" and identity.name_in("en") == "BianCang"
    assert identity.author_in("en") == "QLU-NLP Research Group"
    assert identity.name_in("fr") == "BianCang"
    assert identity.notices() == []
    assert identity == Identity({"zh": "扁仓", "en": "BianCang"}, identity.author)
    assert len({identity, dataclasses.replace(identity)}) == 1


def test_one_text_serves_both_languages_with_a_notice() -> None:
    identity = Identity("瓴舟", "彧翀研究所")
    assert identity.name_in("en") == "瓴舟" and identity.author_in("en") == "彧翀研究所"
    assert [note.split(":")[0] for note in identity.notices()] == ["name", "author"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_stay_as_typed(name: str) -> None:
    assert Identity(name, "x").name_in("zh") == name
    assert Identity.from_words([name, name], ["x"]).name_in("en") == name


@pytest.mark.parametrize("empty", ["", "  ", "\n", "\u3000", ()])
def test_empty_names_are_refused(empty: str | tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="name"):
        Identity(empty, "x")
    with pytest.raises(ConfigError, match="author"):
        Identity("x", empty)
    with pytest.raises(ConfigError, match="author"):
        Identity.from_words(["x"], list(empty))


def test_what_is_no_text_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"name: must be text, found 7 .*quotes"):
        Identity(7, "x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="3 texts"):
        Identity(("a", "b", "c"), "x")
    with pytest.raises(ConfigError, match="control character"):
        Identity("a\nb", "x")


@pytest.mark.parametrize(
    ("words", "zh", "en", "notes"),
    [
        ("扁仓", "扁仓", "扁仓", 1),
        ("扁仓|BianCang", "扁仓", "BianCang", 0),
        ("某大学某研究组|QLU-NLP|Research|Group", "某大学某研究组", "QLU-NLP Research Group", 1),
        ("某大学|某研究组|QLU|Group", "某大学 某研究组", "QLU Group", 1),
        ("QLU|Research|Group|某研究组", "某研究组", "QLU Research Group", 1),
        ("QLU|Research|Group", "QLU Research Group", "QLU Research Group", 2),
        ("BianCang|扁仓", "BianCang", "扁仓", 1),
        ("Research|Group", "Research", "Group", 1),
    ],
)
def test_words_of_a_command_line(words: str, zh: str, en: str, notes: int) -> None:
    identity = Identity.from_words(["扁仓", "BianCang"], words.split("|"))
    assert (identity.author_in("zh"), identity.author_in("en")) == (zh, en)
    assert len(identity.notices()) == notes, identity.notices()


def test_swapped_order_is_pointed_out() -> None:
    (note,) = Identity.from_words(["BianCang", "扁仓"], ["甲", "A"]).notices()
    assert "Swap" in note


@pytest.mark.parametrize("name", ["Assistant", "AI", "助手", "人工智能 助手", "ＡＩ"])
def test_ordinary_words_draw_a_warning(name: str) -> None:
    assert any("ordinary word" in note for note in Identity((name, name), ("x", "y")).notices())


@pytest.mark.parametrize("name", ["Qwen", "Qwen2.5", "新通义千问", "My ChatGPT"])
def test_names_of_other_assistants_draw_a_warning(name: str) -> None:
    assert any("another maker's" in note for note in Identity((name, name), ("x", "y")).notices())


def test_control_tokens_draw_a_warning() -> None:
    identity = Identity(("<|im_end|>", "Zo"), ("x", "y"))
    assert any("control token" in note for note in identity.notices())


def test_facts_fill_slots_only_when_given() -> None:
    identity = Identity("a", "b", version=" 2.0 ", based_on="Qwen1.5")
    assert identity.slot_values("en") == {
        "name": "a",
        "author": "b",
        "version": "2.0",
        "based_on": "Qwen1.5",
    }
    with pytest.raises(ConfigError, match="website"):
        Identity("a", "b", website=" ")


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("我是通义千问。", "通义千问", True),
        ("我是Qwen模型", "qwen", True),
        ("Qwen1.5-14B", "Qwen", True),
        ("ChatGPT", "GPT", False),
        ("I can explain", "AI", False),
        ("number 17", "7", False),
        ("by QLU-NLP  research group.", "QLU-NLP Research Group", True),
        ("ＡＢＣ", "abc", True),
        ("anything", " ", False),
        ("cats concat cat", "cat", True),
    ],
)
def test_mentions(text: str, word: str, found: bool) -> None:
    assert mentions(text, word) is found


@given(st.text(min_size=1).filter(str.strip))
def test_a_text_mentions_itself_between_spaces_and_chinese(word: str) -> None:
    assert mentions(f"x {word.strip()} y", word.strip())
    assert mentions(word, word)


def test_detect_language() -> None:
    assert [detect_language(text) for text in ("你好 AI", "hello", "", "𠀀")] == [
        "zh", "en", "en", "zh",
    ]  # fmt: skip
