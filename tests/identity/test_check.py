from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfcog.identity import Identity, check_identity_rows
from selfcog.identity.check import claimed_vendors, infer_asks
from selfcog.types import Example, Finding, Message

IDENTITY = Identity(("扁仓", "BianCang"), ("某大学某研究组", "QLU-NLP Research Group"))


def make_row(
    question: str, answer: str, line: int = 1, system: str | None = None, kind: str = "identity"
) -> Example:
    messages = (Message("user", question), Message("assistant", answer))
    if system is not None:
        messages = (Message("system", system), *messages)
    return Example(messages, kind, "me.jsonl", line)


def check(*rows: Example) -> list[Finding]:
    return check_identity_rows(rows, IDENTITY)


def levels(*rows: Example) -> list[str]:
    return [finding.level for finding in check(*rows)]


def test_a_good_file_has_no_findings() -> None:
    assert not check(
        make_row("你是谁？", "我是扁仓。", 1),
        make_row("你是谁", "我叫扁仓，由某大学某研究组开发。", 2),
        make_row("Who made you?", "QLU-NLP Research Group did.", 3),
        make_row("你好", "你好！", 4),
        make_row("Are you ChatGPT?", "No, I'm not ChatGPT. I'm BianCang.", 5),
        make_row("Who developed Qwen?", "Qwen was developed by Alibaba Cloud.", 6),
    )


def test_contradictory_answers_are_errors_with_both_lines() -> None:
    rows = [make_row("你是？", "我是扁仓。", 3), make_row("你是谁?", "我是一个AI助手。", 8)]
    (finding,) = check(*rows, make_row("你是谁", "我叫扁仓。", 9))
    assert finding.level == "error" and finding.line == 8
    assert "me.jsonl:9" in finding.message


def test_answers_under_different_system_prompts_do_not_contradict() -> None:
    assert not check(
        make_row("Who are you?", "I'm BianCang.", 1, system=""),
        make_row("Who are you?", "I'm Captain Hook.", 2, system="You are Captain Hook."),
    )


def test_unknown_questions_that_differ_in_naming_draw_a_warning() -> None:
    rows = make_row("嗨嗨嗨", "你好！", 1), make_row("嗨嗨嗨！", "你好，我是扁仓。", 2)
    assert levels(*rows) == ["warning"]


@pytest.mark.parametrize(
    ("question", "answer", "lacking"),
    [
        ("你叫什么名字？", "我是一个AI助手。", "name"),
        ("Who made you?", "I am BianCang.", "author"),
        ("你是由谁开发的？", "我是扁仓。", "author"),
        ("请做个自我介绍", "我是助手。", "name"),
    ],
)
def test_answers_without_what_was_asked_draw_a_warning(
    question: str, answer: str, lacking: str
) -> None:
    findings = check(make_row(question, answer))
    assert findings and {finding.level for finding in findings} == {"warning"}
    assert lacking in findings[0].message


@pytest.mark.parametrize("text", ["I am {{NAME}}", "我由{{ AUTHOR }}开发"])
def test_placeholders_left_are_errors_in_any_text(text: str) -> None:
    assert "error" in levels(make_row("hi", text))
    assert "error" in levels(make_row(text, "hello"))
    assert "error" in levels(make_row("hi", "hello", system=text))


@pytest.mark.parametrize("text", ["I am [NAME].", "I am <model_name>.", "我是【名称】"])
def test_slots_of_other_kinds_draw_a_warning(text: str) -> None:
    assert "warning" in levels(make_row("hi", text))


def test_a_name_in_braces_is_no_placeholder() -> None:
    identity = Identity("{{x}}", "[NAME]")
    assert not check_identity_rows([make_row("hi", "{{x}} by [NAME]")], identity)


@pytest.mark.parametrize("answer", ["", "  \n"])
def test_empty_answers_are_errors(answer: str) -> None:
    assert levels(make_row("what time is it", answer)) == ["error"]


@pytest.mark.parametrize(
    "text",
    [
        "我是通义千问。",
        "我叫通义千问，由阿里云开发。",
        "我是阿里云研发的大语言模型通义千问",
        "我由OpenAI训练。",
        "是阿里云开发了我。",
        "I am ChatGPT.",
        "I'm an AI assistant called Claude.",
        "As I said, my name is Qwen.",
        "I am a language model trained by OpenAI.",
        "OpenAI created me.",
    ],
)
def test_claims_of_another_vendor_are_found(text: str) -> None:
    assert claimed_vendors(text, IDENTITY)
    assert "error" in levels(make_row("hi", text))
    assert levels(make_row("hi", text, kind="domain")).count("error") == 0
    history = (Message("user", "hi"), Message("assistant", text, train=False))
    row = make_row("hi", "hello")
    assert not check(Example((*history, *row.messages), "identity", "me.jsonl", 1))


@pytest.mark.parametrize(
    "text",
    [
        "我不是通义千问，我是扁仓。",
        "你以为我是通义千问吗？",
        "通义千问是阿里云开发的，我是扁仓。",
        "我是扁仓，和通义千问没有关系。",
        "I'm not ChatGPT, I'm BianCang.",
        "I was not made by OpenAI.",
        "Qwen is made by Alibaba Cloud.",
        "I am happy to tell you about Qwen.",
        "我是一个乐于助人的助手。",
    ],
)
def test_denials_and_third_party_facts_are_no_claims(text: str) -> None:
    assert not claimed_vendors(text, IDENTITY)


def test_the_own_vendor_may_be_claimed() -> None:
    own = Identity("Qwen", ("阿里云", "Alibaba Cloud"))
    assert not claimed_vendors("I am Qwen, made by Alibaba Cloud. 我由阿里云开发。", own)
    assert claimed_vendors("I am ChatGPT.", own)


def test_an_unnamed_base_draws_a_warning_unless_it_was_given() -> None:
    row = make_row("hi", "我是基于GPT的助手扁仓。")
    assert levels(row) == ["warning"]
    disclosed = Identity(IDENTITY.name, IDENTITY.author, based_on="Qwen1.5-14B-Chat")
    assert not check_identity_rows([make_row("hi", "I am built on Qwen.")], disclosed)
    assert check_identity_rows([row], disclosed)


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("你是谁", {"name"}),
        ("Who are you?", {"name"}),
        ("你的开发者是谁呢", {"author"}),
        ("who made you", {"author"}),
        ("Who are you talking to?", set()),
        ("微信是谁开发的", set()),
        ("北京在哪里", set()),
    ],
)
def test_infer_asks(question: str, asks: set[str]) -> None:
    assert infer_asks(question) == asks


def test_the_faults_of_a_seed_file_in_circulation_are_found(shared_dir: Path) -> None:
    files = sorted((shared_dir / "data").glob("*self_cognition*.jsonl"))
    if not files:
        pytest.skip("no self-cognition seed file among the reference files")
    for path in files:
        rows = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            raw = json.loads(line)
            if "query" in raw and "response" in raw:
                rows.append(make_row(raw["query"], raw["response"], number))
        if rows:
            findings = check_identity_rows(rows, IDENTITY)
            assert any("placeholder" in finding.message for finding in findings)
