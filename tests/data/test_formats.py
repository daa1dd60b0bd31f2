"""One row of every shape, the same conversation each time, and every reason for refusing a row."""

# One row a line, however long, keeps the tables readable.
# ruff: noqa: E501

from __future__ import annotations

import json
from typing import Any

import pytest

from selfcog.data.formats import RowParser, detect_language, to_example
from selfcog.data.rows import ColumnError, RawRow, RowError, RowQualityError
from selfcog.errors import DataError
from selfcog.types import Message

ASKED, ANSWERED = "头痛挂什么科？", "建议先挂神经内科。"
PAIR = [Message("user", ASKED), Message("assistant", ANSWERED)]
AGAIN = [Message("user", "谢谢"), Message("assistant", "不客气。")]
SYSTEM = Message("system", "你是分诊台的助手。")


def parse(row: dict[str, Any], **options: Any) -> list[Message]:
    return list(to_example(RawRow(row, "made.jsonl", 3), **options).messages)


ONE_TURN: dict[str, dict[str, Any]] = {
    "openai": {
        "messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]
    },
    "openai parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": ASKED}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": ANSWERED[:4]},
                    {"type": "text", "text": ANSWERED[4:]},
                ],
            },
        ]
    },
    "sharegpt": {
        "conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWERED}]
    },
    "sharegpt user/assistant": {
        "conversations": [
            {"from": "user", "value": ASKED},
            {"from": "assistant", "value": ANSWERED},
        ]
    },
    "sharegpt bot": {
        "conversation": [{"from": "Human", "value": ASKED}, {"from": "BOT", "value": ANSWERED}]
    },
    "sharegpt chatgpt": {
        "conversations": [{"from": "human", "value": ASKED}, {"from": "chatgpt", "value": ANSWERED}]
    },
    "role keys under conversations": {
        "conversations": [
            {"role": "user", "content": ASKED},
            {"role": "assistant", "content": ANSWERED},
        ]
    },
    "from keys under messages": {
        "messages": [{"from": "human", "value": ASKED}, {"from": "model", "value": ANSWERED}]
    },
    "mixed keys": {
        "messages": [{"role": "human", "value": ASKED}, {"from": "gpt", "content": ANSWERED}]
    },
    "disc-med": {
        "_id": "7-1",
        "source": "made",
        "conversation": [
            {"role": "user", "content": ASKED},
            {"role": "assistant", "content": ANSWERED},
        ],
    },
    "unified by arrow": {
        "messages": [
            {"role": "user", "content": ASKED, "from": None, "value": None},
            {"role": None, "content": None, "from": "gpt", "value": ANSWERED},
        ],
        "query": None,
        "response": None,
    },
    "pair objects": {"conversation": [{"human": ASKED, "assistant": ANSWERED}]},
    "pair objects input/output": {"conversation": [{"input": ASKED, "output": ANSWERED}]},
    "pair lists": {"conversations": [[ASKED, ANSWERED]]},
    "alternating texts": {"id": 1, "data": [ASKED, ANSWERED]},
    "list as text": {
        "messages": json.dumps(
            [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]
        )
    },
    "list as python text": {
        "conversations": str(
            [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWERED}]
        )
    },
    "alpaca": {"instruction": ASKED, "input": "", "output": ANSWERED},
    "alpaca null input": {"instruction": ASKED, "input": None, "output": ANSWERED},
    "alpaca nan input": {"instruction": ASKED, "input": float("nan"), "output": ANSWERED},
    "alpaca without input": {"instruction": ASKED, "output": ANSWERED},
    "alpaca only input": {"instruction": "", "input": ASKED, "output": ANSWERED},
    "gpteacher": {"instruction": ASKED, "input": "", "response": ANSWERED},
    "query": {"query": ASKED, "response": ANSWERED},
    "query null history": {"query": ASKED, "response": ANSWERED, "history": None, "system": None},
    "question": {"question": ASKED, "answer": ANSWERED},
    "question in capitals": {"Question": ASKED, " ANSWER ": ANSWERED},
    "problem": {"problem": ASKED, "solution": ANSWERED},
    "input": {"input": ASKED, "output": ANSWERED},
    "prompt": {"prompt": ASKED, "completion": ANSWERED},
    "prompt lists": {
        "prompt": [{"role": "user", "content": ASKED}],
        "completion": [{"role": "assistant", "content": ANSWERED}],
    },
    "prompt with text": {"prompt": ASKED, "text": ANSWERED},
    "flat pair": {"human": ASKED, "assistant": ANSWERED},
    "answer list of one": {"question": ASKED, "answers": [ANSWERED]},
    "chat beats columns": {
        "prompt": ASKED,
        "messages": [
            {"role": "user", "content": ASKED},
            {"role": "assistant", "content": ANSWERED},
        ],
    },
    "chat column that is an id": {"conversation": "c-17", "query": ASKED, "response": ANSWERED},
}


@pytest.mark.parametrize("row", ONE_TURN.values(), ids=ONE_TURN)
def test_every_shape_gives_the_same_conversation(row: dict[str, Any]) -> None:
    assert parse(row) == PAIR


SEVERAL_TURNS: dict[str, dict[str, Any]] = {
    "history pairs": {
        "query": "谢谢", "response": "不客气。", "history": [[ASKED, ANSWERED]]
    },
    "history as python text": {
        "query": "谢谢", "response": "不客气。", "history": str([[ASKED, ANSWERED]])
    },
    "history as json text": {
        "query": "谢谢", "response": "不客气。", "history": json.dumps([[ASKED, ANSWERED]])
    },
    "history of messages": {
        "query": "谢谢",
        "response": "不客气。",
        "history": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}],
    },
    "alpaca history": {
        "instruction": "谢谢", "input": "", "output": "不客气。", "history": [[ASKED, ANSWERED]]
    },
    "pair objects": {
        "conversation": [
            {"human": ASKED, "assistant": ANSWERED},
            {"human": "谢谢", "assistant": "不客气。"},
        ]
    },
    "alternating texts": {"data": [ASKED, ANSWERED, "谢谢", "不客气。"]},
}  # fmt: skip


@pytest.mark.parametrize("row", SEVERAL_TURNS.values(), ids=SEVERAL_TURNS)
def test_several_turns(row: dict[str, Any]) -> None:
    assert parse(row) == PAIR + AGAIN


def test_alpaca_joins_instruction_and_input() -> None:
    row = {"instruction": "翻译：", "input": "good morning", "output": "早上好"}
    assert parse(row)[0].content == "翻译：\ngood morning"


def test_source_line_kind_and_language() -> None:
    example = to_example(RawRow({"query": "Hi", "response": "Hello"}, "a.jsonl", 9), kind="replay")
    assert (example.source, example.line, example.kind) == ("a.jsonl", 9, "replay")
    assert example.language == "en"
    tagged = to_example(RawRow({"query": "Hi", "response": "Hello", "tag": "zh"}, "a.jsonl", 9))
    assert tagged.language == "zh"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("你好", "zh"),
        ("请用 Python 写一个函数", "zh"),
        ("Hello there", "en"),
        ("The word 你好 means hello in Chinese, as every learner knows", "en"),
        ("Привет, как дела", "other"),
        ("こんにちは、元気ですか", "other"),
        ("12 + 3 = 15", "other"),
        ("Café crème, s'il vous plaît", "en"),
    ],
)
def test_language_by_script(text: str, language: str) -> None:
    assert detect_language(text) == language


# System: four different prompts -------------------------------------------------------------

FIRST = {"role": "system", "content": SYSTEM.content}
TURNS = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]


def test_system_column_and_first_message_are_the_same_prompt() -> None:
    expected = [SYSTEM, *PAIR]
    assert parse({"query": ASKED, "response": ANSWERED, "system": SYSTEM.content}) == expected
    assert parse({"system_prompt": SYSTEM.content, "messages": TURNS}) == expected
    assert parse({"messages": [FIRST, *TURNS]}) == expected
    developer = {"role": "developer", "content": SYSTEM.content}
    assert parse({"messages": [developer, *TURNS]}) == expected
    with_pair = [{"system": SYSTEM.content, "input": ASKED, "output": ANSWERED}]
    assert parse({"conversation": with_pair}) == expected
    assert parse({"system": SYSTEM.content, "messages": [FIRST, *TURNS]}) == expected


def test_absent_and_empty_system_are_different() -> None:
    assert parse({"query": ASKED, "response": ANSWERED, "system": None}) == PAIR
    empty = [Message("system", ""), *PAIR]
    assert parse({"query": ASKED, "response": ANSWERED, "system": ""}) == empty
    assert parse({"messages": [{"role": "system", "content": ""}, *TURNS]}) == empty


def test_an_empty_column_gives_way_to_the_first_message() -> None:
    assert parse({"system": "", "messages": [FIRST, *TURNS]}) == [SYSTEM, *PAIR]


def test_two_system_texts_are_refused() -> None:
    with pytest.raises(RowError, match="two system texts"):
        parse({"system": "Another.", "messages": [FIRST, *TURNS]})


def test_default_system_fills_only_rows_without_one() -> None:
    default = "Be brief."
    row = {"query": ASKED, "response": ANSWERED}
    assert parse(row, system=default) == [Message("system", default), *PAIR]
    assert parse({**row, "system": ""}, system=default) == [Message("system", ""), *PAIR]
    assert parse({"messages": [FIRST, *TURNS]}, system=default) == [SYSTEM, *PAIR]


# Flags and reasoning -----------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["loss", "train", "weight"])
@pytest.mark.parametrize(("value", "trained"), [(0, False), (False, False), ("false", False),
                                               (1.0, True), (True, True), (None, True)])  # fmt: skip
def test_flags_of_a_turn(flag: str, value: Any, trained: bool) -> None:
    first = {"role": "assistant", "content": "Hm.", flag: value}
    last = {"role": "assistant", "content": "Yes.", flag: True}
    ask = {"role": "user", "content": "So?", flag: False}
    found = parse({"messages": [ask, first, ask, last]})
    assert [turn.train for turn in found if turn.role == "assistant"] == [trained, True]


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ({"weight": 0.5}, "'weight' of turn 2 is 0.5"),
        ({"loss": 1, "train": False}, "loss and train of turn 2 contradict"),
        ({"loss": 0}, "no assistant turn is marked"),
    ],
)
def test_flags_that_cannot_be_used(turn: dict[str, Any], reason: str) -> None:
    answer = {"role": "assistant", "content": "Yes.", **turn}
    with pytest.raises(RowError, match=reason):
        parse({"messages": [{"role": "user", "content": "So?"}, answer]})


def test_assistant_turns_of_a_prompt_list_are_context() -> None:
    prompt = [*TURNS, {"role": "user", "content": "谢谢"}]
    found = parse({"prompt": prompt, "completion": "不客气。"})
    assert [(turn.role, turn.train) for turn in found if turn.role == "assistant"] == [
        ("assistant", False),
        ("assistant", True),
    ]


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>\n先问病史。\n</think>\n\n多喝水。", "先问病史。", "多喝水。"),
        ("<think>\n\n</think>\n\n多喝水。", "", "多喝水。"),
        ("<think></think>多喝水。", "", "多喝水。"),
        ("先问病史。\n</think>\n\n多喝水。", "先问病史。", "多喝水。"),
        ("多喝水。", None, "多喝水。"),
        ("The tag </think> ends it.", None, "The tag </think> ends it."),
        ("Write <think>x</think> there.", None, "Write <think>x</think> there."),
        ("<think>a</think>b <think>c</think>", "a", "b <think>c</think>"),
    ],
)
def test_think_blocks(text: str, thinking: str | None, answer: str) -> None:
    expected = [Message("user", "嗓子疼"), Message("assistant", answer, thinking=thinking)]
    assert parse({"query": "嗓子疼", "response": text}) == expected
    assert parse({"messages": [{"role": "user", "content": "嗓子疼"},
                               {"role": "assistant", "content": text}]}) == expected  # fmt: skip


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_keys(key: str) -> None:
    expected = [Message("user", "Q"), Message("assistant", "A </think> B", thinking="why")]
    turn = {"role": "assistant", "content": "A </think> B", key: "why\n"}
    assert parse({"messages": [{"role": "user", "content": "Q"}, turn]}) == expected
    assert parse({"query": "Q", "response": "A </think> B", key: "why"}) == expected


def test_thinking_part_and_user_text_with_tags() -> None:
    parts = [{"type": "thinking", "thinking": "why"}, {"type": "text", "text": "A"}]
    ask = {"role": "user", "content": "What is <think>?"}
    found = parse({"messages": [ask, {"role": "assistant", "content": parts}]})
    assert found == [Message("user", "What is <think>?"), Message("assistant", "A", thinking="why")]


@pytest.mark.parametrize(
    ("value", "text"), [(42, "42"), (3.5, "3.5"), (True, "true"), (0, "0"), ("007", "007")]
)
def test_numbers_become_text(value: Any, text: str) -> None:
    assert parse({"query": "How many?", "response": value})[-1].content == text


# Columns -------------------------------------------------------------------------------------


def test_mapped_columns() -> None:
    row = {"主诉": ASKED, "回复": ANSWERED, "answer": "not this"}
    assert parse(row, columns={"主诉": "query", "回复": "response"}) == PAIR
    parser = RowParser({"主诉": "query", "回复": "response"})
    parser.parse(RawRow(row, "", 1))
    (layout,) = parser.layouts.values()
    assert layout.doubtful == ()


def test_mapping_of_pairs_and_chat() -> None:
    assert parse({"q": ASKED, "chosen": ANSWERED, "rejected": "?"},
                 columns={"q": "query", "chosen": "response"}) == PAIR  # fmt: skip
    assert parse({"log": TURNS}, columns={"log": "Messages"}) == PAIR


def test_unknown_meaning_in_mapping() -> None:
    with pytest.raises(DataError, match=r"unknown meaning 'respnse'; did you mean 'response'\?"):
        RowParser({"a": "respnse"})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"query": "a", "respnse": "b"}, "no answer column; found 'respnse', did you mean 'response'?"),
        ({"qeury": "a", "response": "b"}, "no question column; found 'qeury', did you mean 'query'?"),
        ({"mesages": []}, "no conversation column; found 'mesages', did you mean 'messages'?"),
        ({"query": "a", "foo": "b"}, "no answer column; found 'query', 'foo'; name it with --columns"),
        ({"foo": 1, "bar": 2}, "no columns of a conversation; found 'foo', 'bar'"),
        ({"text": "a"}, "plain text without a question"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference pairs"),
        ({}, "no columns of a conversation"),
    ],
)  # fmt: skip
def test_missing_columns(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(ColumnError) as caught:
        parse(row)
    assert reason in str(caught.value)


# Rows that are refused ------------------------------------------------------------------------


def chat(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"query": "a", "response": None}, "null answer (column 'response')"),
    ({"query": "a", "response": float("nan")}, "null answer (column 'response')"),
    ({"query": "a", "response": ""}, "empty answer (turn 2)"),
    ({"query": "a", "response": " \n"}, "empty answer (turn 2)"),
    ({"query": "a", "response": ["b", "c"]}, "column 'response' is a list of 2, not text"),
    ({"query": "a", "response": {"b": 1}}, "column 'response' is an object, not text"),
    ({"query": "a", "response": "b", "history": [["x"]]}, "list of 1, not a pair"),
    ({"query": "a", "response": "b", "history": [["x", None]]}, "null answer (turn 1)"),
    ({"query": "a", "response": "b", "history": "x, y"}, "'history' is text that is not a list"),
    ({"query": "a", "response": "b", "history": {"x": 1}}, "'history' is not a list of turns"),
    (chat(("user", "a"), ("assistant", None)), "null answer (turn 2)"),
    (chat(("user", "a"), ("assistant", "")), "empty answer (turn 2)"),
    (chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", " ")), "empty answer (turn 4)"),
    (chat(("assistant", "a"), ("user", "b"), ("assistant", "c")), "starts with the assistant"),
    (chat(("system", "s"), ("assistant", "a")), "starts with the assistant"),
    (chat(("user", "a"), ("assistant", "b"), ("user", "c")), "ends with the user"),
    (chat(("user", "a")), "ends with the user"),
    (chat(("user", "a"), ("user", "b"), ("assistant", "c")), "two user turns in a row (turns 1 and 2)"),
    (chat(("user", "a"), ("assistant", "b"), ("assistant", "c")), "two assistant turns in a row (turns 2 and 3)"),
    (chat(("system", "a")), "no turns"),
    (chat(("user", "a"), ("system", "s"), ("assistant", "b")), "a system message after turn 1"),
    (chat(("system", "s"), ("system", "t"), ("user", "a"), ("assistant", "b")), "a system message after turn 0"),
    ({"messages": []}, "no turns: column 'messages' is empty"),
    ({"messages": None}, "no turns: column 'messages' is null"),
    ({"messages": "hello"}, "column 'messages' is not a list of turns but 'hello'"),
    ({"messages": [1]}, "turn 1 of 'messages' is 1, not an object"),
    ({"messages": [{"role": "user"}]}, "turn 1 has no text (no 'content' or 'value')"),
    ({"messages": [{"role": "user", "contnet": "a"}]}, "did you mean 'content'?"),
    ({"messages": [{"content": "a"}]}, "turn 1 has no role and is no question–answer pair"),
    (chat(("usr", "a"), ("assistant", "b")), "unknown role 'usr' (turn 1); did you mean 'user'?"),
    (chat(("narrator", "a"), ("assistant", "b")), "unknown role 'narrator' (turn 1); known:"),
    (chat((3, "a"), ("assistant", "b")), "unknown role 3 (turn 1)"),
    (chat(("user", "a"), ("tool", "b"), ("assistant", "c")), "tool calls are not supported"),
    (chat(("user", "a"), ("function_call", "b")), "tool calls are not supported"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}]}, "tool calls are not supported"),
    ({"query": "a", "response": "b", "tools": [{"name": "f"}]}, "column 'tools': tool definitions are not supported"),
    ({"query": "a", "response": "b", "images": ["x.png"]}, "column 'images': only text is supported"),
    (chat(("user", [{"type": "image_url", "image_url": {}}]), ("assistant", "b")), "a part of type 'image_url'"),
    (chat(("user", "a"), ("assistant", {"x": 1})), "the text of turn 2 is an object, not text"),
    (chat(("user", "a"), ("assistant", "<think>why")), "never closed"),
    ({"messages": [*TURNS], "history": [["a", "b"]]}, "both 'messages' and 'history' hold turns"),
    ({"query": "a", "response": "<think>x</think>b", "reasoning": "y"}, "reasoning is given twice"),
    ({"query": "a\ud83d", "response": "b"}, "broken character in turn 1 (lone surrogate U+D83D)"),
    ({"query": "a", "response": "b", "system": "\udc80"}, "broken character in the system message"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
@pytest.mark.parametrize("strict", [True, False])
def test_refused_rows(row: dict[str, Any], reason: str, strict: bool) -> None:
    with pytest.raises(RowError) as caught:
        parse(row, strict=strict)
    assert reason in str(caught.value)


DOUBTED: list[tuple[dict[str, Any], str]] = [
    ({"query": "", "response": "b"}, "empty user turn (turn 1)"),
    ({"query": None, "response": "b"}, "empty user turn (turn 1)"),
    ({"query": "a", "response": "b\x00"}, "control character U+0000 in turn 2"),
    ({"query": "a", "response": "b\x85"}, "control character U+0085 in turn 2"),
    ({"query": "a", "response": "<think>\x07</think>b"}, "control character U+0007 in turn 2"),
]


@pytest.mark.parametrize(("row", "reason"), DOUBTED)
def test_quality_checks_are_off_under_none(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(RowQualityError) as caught:
        parse(row)
    assert reason in str(caught.value)
    assert parse(row, strict=False)[-1].role == "assistant"


def test_tabs_and_line_ends_are_no_control_characters() -> None:
    assert parse({"query": "a\tb\r\nc", "response": "d\n"})[0].content == "a\tb\r\nc"


def test_empty_tools_and_images_are_nothing() -> None:
    for empty in (None, "", [], "[]", {}):
        row = {"query": ASKED, "response": ANSWERED, "tools": empty, "images": empty}
        assert parse(row) == PAIR
