from __future__ import annotations

import pytest

from selfcog.errors import DataError
from selfcog.identity import Identity, fill_placeholders
from selfcog.types import Example, Message

IDENTITY = Identity(("扁仓", "BianCang"), ("某研究组", "QLU-NLP Research Group"))


def make(question: str, answer: str, system: str = "", language: str = "") -> Example:
    messages = (Message("user", question), Message("assistant", answer))
    if system:
        messages = (Message("system", system), *messages)
    return Example(messages, "identity", "me.jsonl", 3, language)


def texts(example: Example) -> list[str]:
    return [message.content for message in example.messages]


@pytest.mark.parametrize(
    "spelling", ["{{NAME}}", "{{name}}", "{{ NAME }}", "{{model_name}}", "{{Model-Name}}"]
)
def test_every_spelling_of_the_name_is_filled(spelling: str) -> None:
    filled = fill_placeholders(make("who are you", f"I am {spelling}."), IDENTITY)
    assert texts(filled) == ["who are you", "I am BianCang."]


@pytest.mark.parametrize("spelling", ["{{AUTHOR}}", "{{author}}", "{{AUTHOER}}", "{{team_name}}"])
def test_every_spelling_of_the_author_is_filled(spelling: str) -> None:
    filled = fill_placeholders(make("谁做的你", f"{spelling}做的。"), IDENTITY)
    assert texts(filled)[1] == "某研究组做的。" and filled.language == "zh"


def test_questions_and_system_prompts_are_filled_too() -> None:
    example = make("Are you {{NAME}}?", "Yes.", system="You are {{NAME}} by {{AUTHOR}}.")
    assert texts(fill_placeholders(example, IDENTITY)) == [
        "You are BianCang by QLU-NLP Research Group.",
        "Are you BianCang?",
        "Yes.",
    ]


@pytest.mark.parametrize(
    ("language", "tag", "name"),
    [
        (None, "", "BianCang"),
        (None, "zh", "扁仓"),
        (None, "zh-CN", "扁仓"),
        (None, "Chinese", "扁仓"),
        ("en", "zh", "BianCang"),
    ],
)
def test_the_language_given_goes_before_the_tag_and_the_script(
    language: str | None, tag: str, name: str
) -> None:
    filled = fill_placeholders(make("hi", "{{NAME}}", language=tag), IDENTITY, language)
    assert texts(filled)[1] == name


@pytest.mark.parametrize("left", ["{{AGE}}", "{{}}", "{{ name | upper }}"])
def test_what_cannot_be_filled_is_named_with_its_line(left: str) -> None:
    with pytest.raises(DataError, match=r"me\.jsonl:3: .*cannot be filled"):
        fill_placeholders(make("hi", f"I am {left}"), IDENTITY)


def test_a_name_with_braces_is_not_filled_again() -> None:
    identity = Identity("{{AUTHOR}}", "{{x}}")
    filled = fill_placeholders(make("hi", "{{NAME}} by {{AUTHOR}}"), identity)
    assert texts(filled)[1] == "{{AUTHOR}} by {{x}}"
