"""Any conversation, written in a shape that people use, comes back equal."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfcog.data import load_dataset
from selfcog.types import Message

# Any character that a row may hold; reasoning marks are the one markup that is read.
TEXT = (
    st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t\r"), min_size=1)
    .filter(lambda text: not text.isspace())
    .filter(lambda text: "think>" not in text)
)
CELL = TEXT.filter(lambda text: text not in ("NaN", "nan"))


@st.composite
def conversations(draw: st.DrawFn, text: st.SearchStrategy[str] = TEXT) -> list[Message]:
    system = draw(st.none() | text | st.just(""))
    turns = [] if system is None else [Message("system", system)]
    for _ in range(draw(st.integers(1, 3))):
        turns += [Message("user", draw(text)), Message("assistant", draw(text))]
    return turns


def as_openai(turns: list[Message]) -> dict[str, Any]:
    return {"messages": [{"role": turn.role, "content": turn.content} for turn in turns]}


def as_sharegpt(turns: list[Message]) -> dict[str, Any]:
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[t.role], "value": t.content} for t in turns]}


def as_query(turns: list[Message]) -> dict[str, Any]:
    system = turns[0].content if turns[0].role == "system" else None
    texts = [turn.content for turn in turns if turn.role != "system"]
    pairs = [list(pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
    return {
        "query": texts[-2], "response": texts[-1], "history": pairs[:-1], "system": system
    }  # fmt: skip


def as_alpaca(turns: list[Message]) -> dict[str, Any]:
    row = as_query(turns)
    question, answer = row.pop("query"), row.pop("response")
    return {"instruction": question, "input": "", "output": answer, **row}


def as_parts(turns: list[Message]) -> dict[str, Any]:
    row = as_openai(turns)
    for turn in row["messages"]:
        turn["content"] = [{"type": "text", "text": turn["content"]}]
    return row


SHAPES = [as_openai, as_sharegpt, as_query, as_alpaca, as_parts]


def load_back(path: Path) -> list[list[Message]]:
    return [list(example.messages) for example in load_dataset([str(path)]).examples]


@pytest.mark.parametrize("shape", SHAPES)
@given(chats=st.lists(conversations(), min_size=1, max_size=4), escape=st.booleans())
@settings(max_examples=60, deadline=None)
def test_json(
    shape: Callable[[list[Message]], dict[str, Any]], chats: list[list[Message]], escape: bool
) -> None:
    rows = [shape(turns) for turns in chats]
    with tempfile.TemporaryDirectory() as folder:
        lines, array = Path(folder) / "a.jsonl", Path(folder) / "b.json"
        text = "\n".join(json.dumps(row, ensure_ascii=escape) for row in rows)
        lines.write_text(text, encoding="utf-8")
        array.write_text(json.dumps(rows, ensure_ascii=escape, indent=1), encoding="utf-8")
        assert load_back(lines) == chats
        assert load_back(array) == chats


@given(
    chats=st.lists(conversations(CELL), min_size=1, max_size=4),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    mark=st.sampled_from([",", ";", "\t"]),
)
@settings(max_examples=100, deadline=None)
def test_csv(chats: list[list[Message]], encoding: str, mark: str) -> None:
    # A cell cannot tell an empty system prompt from none: empty is none.
    expected = [turns[1:] if turns[0] == Message("system", "") else turns for turns in chats]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        with path.open("w", encoding=encoding, newline="") as handle:
            writer = csv.DictWriter(
                handle, ["query", "response", "history", "system"], delimiter=mark,
                quoting=csv.QUOTE_ALL,
            )  # fmt: skip
            writer.writeheader()
            writer.writerows(as_query(turns) for turns in chats)
        assert load_back(path) == expected


@given(conversations())
@settings(max_examples=30, deadline=None)
def test_parquet(turns: list[Message]) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        rows = [as_openai(turns), as_sharegpt(turns), as_query(turns)]
        columns = {key: None for row in rows for key in row}
        table = pyarrow.Table.from_pylist([{**columns, **row} for row in rows])
        parquet.write_table(table, path)
        assert load_back(path) == [turns] * 3


@given(TEXT, st.none() | st.just("") | TEXT.map(str.strip).filter(bool))
@settings(deadline=None)
def test_reasoning(answer: str, thinking: str | None) -> None:
    answer = answer.lstrip("\r\n")
    expected = [Message("user", "q"), Message("assistant", answer, thinking=thinking)]
    block = "" if thinking is None else f"<think>\n{thinking}\n</think>\n\n"
    rows = [
        {"query": "q", "response": block + answer},
        {"query": "q", "response": answer, "reasoning_content": thinking},
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        assert load_back(path) == [expected, expected]
