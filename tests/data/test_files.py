"""Files as they come: encodings, wrong suffixes, wrappers, broken places and their line numbers."""

from __future__ import annotations

import builtins
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from selfcog.data.files import detect_encoding
from selfcog.data.read import parse_source, read_rows
from selfcog.data.rows import RawRow
from selfcog.errors import DataError, MissingExtraError
from selfcog.types import Finding, RejectedRow

ROWS = [{"query": f"第{i}问 caffè?", "response": f"答{i}"} for i in range(1, 4)]
LINES = [json.dumps(row, ensure_ascii=False) for row in ROWS]


def read(path: Path, findings: list[Finding] | None = None) -> list[RawRow | RejectedRow]:
    return list(read_rows(parse_source(str(path)), findings))


def rows_of(path: Path) -> list[dict[str, Any]]:
    found = read(path)
    assert all(isinstance(raw, RawRow) for raw in found), found
    return [raw.row for raw in found if isinstance(raw, RawRow)]


def write(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


SAME = {
    "lines.jsonl": "\n".join(LINES),
    "lines.ndjson": "\n".join(LINES) + "\n",
    "lines in.json": "\n".join(LINES) + "\n",
    "blank lines.jsonl": "\n\n" + "\n\n".join(LINES) + "\n \n",
    "windows.jsonl": "\r\n".join(LINES) + "\r\n",
    "array.json": json.dumps(ROWS),
    "pretty array.json": json.dumps(ROWS, indent=2, ensure_ascii=False),
    "array in.jsonl": json.dumps(ROWS),
    "pretty array in.jsonl": json.dumps(ROWS, indent=1),
    "row per line.json": "[\n" + ",\n".join(LINES) + "\n]\n",
    "compact start.json": "[{\n" + json.dumps(ROWS, indent=0)[3:],
    "data.json": json.dumps({"data": ROWS}),
    "instances.json": json.dumps({"type": "text2text", "instances": ROWS}, indent=2),
    "wrapped in.jsonl": json.dumps({"rows": ROWS, "version": 1}),
    "objects.json": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "no suffix": "\n".join(LINES),
    "text.txt": "\n".join(LINES),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_in_every_dress(tmp_path: Path, name: str, encoding: str) -> None:
    assert rows_of(write(tmp_path / name, SAME[name], encoding)) == ROWS


def test_single_row_objects(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    for number, row in enumerate([chat, ROWS[0], {**ROWS[0], "history": []}]):
        assert rows_of(write(tmp_path / f"{number}.json", json.dumps(row, indent=2))) == [row]


@pytest.mark.parametrize("content", ["", "\n \n", "[]", " [ ] \n", '{"data": []}'])
def test_files_without_rows(tmp_path: Path, content: str) -> None:
    assert read(write(tmp_path / "a.json", content)) == []


def test_gzip(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", gzip.compress("\n".join(LINES).encode()))
    assert rows_of(path) == ROWS
    whole = path.read_bytes()
    with pytest.raises(DataError, match="incomplete gzip"):
        read(write(tmp_path / "cut.jsonl.gz", whole[:-20]))
    with pytest.raises(DataError, match="not a gzip file"):
        read(write(tmp_path / "no.jsonl.gz", "\n".join(LINES)))


def test_broken_lines_have_their_numbers(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        "\n".join([LINES[0], "", '{"query": "a", "resp', "[1]", '"text"', "17", "null", "{'a': 1}",
                   LINES[1] + "]", '{"a": "tab\there"}', "9" * 5000, "[" * 100_000, LINES[2]]),
    )  # fmt: skip
    found = read(path)
    assert [raw.line for raw in found] == [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    reasons = {row.line: row.reason for row in found if isinstance(row, RejectedRow)}
    assert all(raw.source == str(path) for raw in found)
    assert reasons.pop(3) == "broken JSON: Unterminated string starting at column 16"
    assert reasons.pop(4) == "not an object but a list"
    assert reasons.pop(5) == "not an object but a text"
    assert reasons.pop(6) == "not an object but a number"
    assert reasons.pop(7) == "not an object but null"
    assert reasons.pop(8).startswith("broken JSON: Expecting property name")
    assert reasons.pop(9).startswith("broken JSON: Extra data")
    assert reasons.pop(10).startswith("broken JSON: Invalid control character")
    assert reasons.pop(11).startswith("broken JSON: Exceeds the limit")
    assert reasons.pop(12).startswith("broken JSON")
    assert not reasons


def test_first_line_broken(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.jsonl", "\n".join(['{"query": "a', *LINES])))
    assert isinstance(found[0], RejectedRow) and found[0].line == 1
    assert [raw.line for raw in found[1:]] == [2, 3, 4]


def test_rows_of_an_array_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps([ROWS[0], [1], ROWS[1]], indent=2))
    found = read(path)
    assert [raw.line for raw in found] == [1, 2, 3]
    assert found[1] == RejectedRow(str(path), 2, "not an object but a list")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[\n{"a": 1},\n{"a" 2}\n]', "line 3, column 6: Expecting ':' delimiter"),
        ('[\n{"a": 1}\n{"a": 2}\n]', "line 3, column 1: expected ',' or ']'"),
        ('[\n{"a": 1},\n', "line 3, column 1: Expecting value"),
        ('[{"a": 1},]', "line 1, column 11: Expecting value"),
        ('[{"a": 1}] x', "line 1, column 11: text after the closing ']'"),
        ('{\n"data": [\n{"a": 1},\n}', "line 4, column 1: Expecting value"),
        ('{"data": [', "line 1, column 11: Expecting value"),
        (
            '{"data": [\n{"a": 1},\n{"a": 2},\n{"a": 3}\n',
            "line 5, column 1: Expecting ',' delimiter",
        ),
        ('{"a":\n' + "9" * 5000 + "}", "line 1: Exceeds the limit"),
    ],
)
def test_broken_documents(tmp_path: Path, content: str, problem: str) -> None:
    path = write(tmp_path / "a.json", content)
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: broken JSON at {problem}")


def test_two_lists_of_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps({"train": ROWS, "test": ROWS}))
    with pytest.raises(DataError, match="several lists of rows \\('train', 'test'\\)"):
        read(path)


# Encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_gb18030_is_recognised_and_noted(tmp_path: Path, name: str) -> None:
    content = {
        "a.jsonl": '{"query": "头痛挂什么科", "response": "神经内科。"}\n',
        "a.json": '[{"query": "头痛挂什么科", "response": "神经内科。"}]',
        "a.csv": "query,response\n头痛挂什么科,神经内科。\n",
    }[name]
    findings: list[Finding] = []
    path = write(tmp_path / name, content, "gb18030")
    (raw,) = read(path, findings)
    assert isinstance(raw, RawRow)
    assert raw.row == {"query": "头痛挂什么科", "response": "神经内科。"}
    assert [(finding.level, "GB18030" in finding.message) for finding in findings] == [
        ("note", True)
    ]


def test_damaged_utf8_stays_utf8(tmp_path: Path) -> None:
    good = '{"query": "头痛挂什么科", "response": "建议先挂神经内科，必要时做检查。"}\n'.encode()
    path = write(tmp_path / "a.jsonl", good * 5 + good.replace("头".encode(), b"\xe5\xa4") + good)
    encoding = detect_encoding(path)
    assert (encoding.name, encoding.damaged) == ("utf-8", True)
    found = read(path)
    assert len(found) == 7
    assert isinstance(found[5], RawRow) and "\udce5" in found[5].row["query"]


def test_latin1_is_not_taken_for_chinese(tmp_path: Path) -> None:
    text = "query,response\nQu'est-ce qu'un café crème ?,C'est un café à la crème fraîche\n"
    assert detect_encoding(write(tmp_path / "a.csv", text, "latin-1")).name == "utf-8"


def test_broken_utf16(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "query,response\na,b\n".encode("utf-16")[:-1])
    with pytest.raises(DataError, match="broken UTF-16"):
        read(path)


# Tables --------------------------------------------------------------------------------------


def test_csv_records_have_the_line_on_which_they_start(tmp_path: Path) -> None:
    content = (
        "id,query,response\n"
        '1,"one\nline more","an ""answer"", quoted"\n'
        "\n"
        "2,two,\n"
        "3,three,NaN\n"
        "4,four\n"
        "5,five,x,surplus\n"
        "6,six,yes,,\n"
        '7,"bad"quote,x\n'
        "8,None,null\n"
        ",,\n"
        '9,"never closed,\n'
        "10,ten,lost\n"
    )
    found = read(write(tmp_path / "a.csv", content))
    rows = {raw.line: raw.row for raw in found if isinstance(raw, RawRow)}
    assert rows == {
        2: {"id": "1", "query": "one\nline more", "response": 'an "answer", quoted'},
        5: {"id": "2", "query": "two", "response": None},
        6: {"id": "3", "query": "three", "response": None},
        7: {"id": "4", "query": "four", "response": None},
        9: {"id": "6", "query": "six", "response": "yes"},
        11: {"id": "8", "query": "None", "response": "null"},
        12: {"id": None, "query": None, "response": None},
    }
    refused = {row.line: row.reason for row in found if isinstance(row, RejectedRow)}
    assert refused[8] == "4 cells where the header has 3"
    assert refused[10].startswith("broken CSV: ',' expected")
    assert refused[13] == (
        "broken CSV: a quote that opens here is never closed (lines 13 to 14 are lost)"
    )
    assert len(found) == 10


@pytest.mark.parametrize(
    ("name", "mark"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters(tmp_path: Path, name: str, mark: str, encoding: str) -> None:
    content = f'query{mark} response \r\n你好{mark}"a, b; c"\r\n'
    path = write(tmp_path / name, content, encoding)
    assert rows_of(path) == [{"query": "你好", "response": "a, b; c"}]


def test_long_cells(tmp_path: Path) -> None:
    text = "x" * 300_000
    assert rows_of(write(tmp_path / "a.csv", f"query,response\na,{text}\n"))[0]["response"] == text


@pytest.mark.parametrize(
    ("header", "problem"),
    [("query,query,response", "'query' occurs twice"), (",,", "the first line is empty")],
)
def test_broken_headers(tmp_path: Path, header: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read(write(tmp_path / "a.csv", f"{header}\na,b,c\n"))


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

    rows = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"messages": None},
    ] * 1500
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    found = read(path)
    assert [raw.line for raw in found] == list(range(1, 3001))
    assert [raw.row for raw in found if isinstance(raw, RawRow)] == rows
    renamed = path.rename(tmp_path / "b.json")
    assert len(read(renamed)) == 3000
    cut = write(tmp_path / "cut.parquet", renamed.read_bytes()[:-50])
    with pytest.raises(DataError, match="broken Parquet after row 0"):
        read(cut)
    with pytest.raises(DataError, match="not a Parquet file"):
        read(write(tmp_path / "c.parquet", "query,response\n"))


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'selfcog\[data\]'"):
        read(write(tmp_path / "a.parquet", b"PAR1...."))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.xlsx", b"PK\x03\x04", "files of kind '.xlsx' cannot be read"),
        ("a.txt", b"plain words", "files of kind '.txt' cannot be read"),
        ("a", b"plain words", "files of kind 'no suffix' cannot be read"),
        ("a.csv", b"PK\x03\x04\x00\x00", "binary content"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid x\n", "git lfs pull"),
    ],
)
def test_files_that_are_no_data(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read(write(tmp_path / name, content))
