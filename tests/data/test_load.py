"""From specs to examples: strategies, samples, findings, real files, what is imported."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from selfcog.data import load_dataset, load_questions
from selfcog.data.check import find_vendor_claim
from selfcog.data.load import SourceCount, Strategy
from selfcog.errors import DataError
from selfcog.types import Message

GOOD = {"query": "q", "response": "r"}


def write_lines(path: Path, rows: list[Any]) -> str:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def numbered(count: int) -> list[dict[str, str]]:
    return [{"query": f"q{i}", "response": f"r{i}"} for i in range(1, count + 1)]


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    """Six rows: two good, four that the checks refuse, the empty question only if strict."""
    return write_lines(
        tmp_path / "mixed.jsonl",
        [
            GOOD,
            {"query": "a", "respnse": "b"},
            '{"query": "a"',
            {"query": "a", "response": ""},
            {"query": "", "response": "b"},
            {"query": "c", "response": "d"},
        ],
    )


@pytest.mark.parametrize("strategy", ["warning", "discard"])
def test_rejected_rows_are_listed(mixed: str, strategy: Strategy) -> None:
    data = load_dataset([mixed], strategy=strategy)
    assert [row.line for row in data.examples] == [1, 6]
    assert [(row.line, row.reason) for row in data.rejected] == [
        (2, "no answer column; found 'respnse', did you mean 'response'?"),
        (3, "broken JSON: Expecting ',' delimiter at column 14"),
        (4, "empty answer (turn 2)"),
        (5, "empty user turn (turn 1)"),
    ]
    assert {row.source for row in data.rejected} == {mixed}
    assert data.counts == [SourceCount(mixed, 6, 4, 2)]
    assert data.strategy == strategy


def test_strategy_none_keeps_what_can_be_trained(mixed: str) -> None:
    data = load_dataset([mixed], strategy="none")
    assert [row.line for row in data.examples] == [1, 5, 6]
    assert [row.line for row in data.rejected] == [2, 3, 4]


def test_strategy_error_stops_with_the_first_row(mixed: str) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset([mixed], strategy="error")
    assert str(caught.value) == (
        f"{mixed}:2: no answer column; found 'respnse', did you mean 'response'? "
        "(4 rejected rows of 6; check_dataset_strategy warning leaves them out)"
    )


@pytest.mark.parametrize("strategy", ["none", "discard", "warning", "error"])
def test_a_file_that_lacks_a_column_is_one_error(tmp_path: Path, strategy: Strategy) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"query": "a", "respnse": "b"}] * 20)
    with pytest.raises(DataError) as caught:
        load_dataset([path], strategy=strategy)
    assert str(caught.value) == (
        f"{path}: no answer column; found 'respnse', did you mean 'response'? (in all 20 rows)"
    )


def test_csv_without_an_answer_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,anwser\na,b\nc,d\n")
    with pytest.raises(
        DataError, match=r"found 'anwser', did you mean 'answer'\? \(in all 2 rows\)"
    ):
        load_dataset([str(tmp_path / "a.csv")])


def test_no_rows_and_no_usable_rows(tmp_path: Path) -> None:
    empty = write_lines(tmp_path / "empty.jsonl", [])
    with pytest.raises(DataError, match=r"empty.jsonl: no rows$"):
        load_dataset([empty])
    bad = write_lines(tmp_path / "bad.jsonl", [{"query": "a", "response": None}] * 3 + ["{"])
    with pytest.raises(DataError) as caught:
        load_dataset([bad])
    assert str(caught.value).startswith(
        f"{bad}: no usable row; null answer (column 'response'): 3 rows (lines 1, 2, 3) · broken"
    )


def test_every_path_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    broken = write_lines(tmp_path / "broken.jsonl", ["{"])
    with pytest.raises(DataError, match="no data at"):
        load_dataset([broken, str(tmp_path / "missing.jsonl")])


def test_mapping(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"主诉": "头痛", "建议": "休息"}])
    data = load_dataset([path], columns={"主诉": "query", "建议": "response"})
    assert data.examples[0].messages == (Message("user", "头痛"), Message("assistant", "休息"))
    with pytest.raises(DataError) as caught:
        load_dataset([path], columns={"主述": "query", "建议": "response"})
    assert "no question column" in str(caught.value)
    assert "there is no column '主述', which --columns names" in str(caught.value)
    with pytest.raises(DataError, match="unknown meaning 'frage'"):
        load_dataset([path], columns={"主诉": "frage"})


def test_mapping_for_another_file_is_only_mentioned(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [GOOD])
    (finding,) = load_dataset([path], columns={"respose": "response"}).findings
    assert finding.level == "warning"
    assert "no column 'respose', which --columns names; did you mean 'response'?" in finding.message
    assert load_dataset([], columns={"respose": "response"}).findings == []


def test_sample_of_a_path(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", numbered(50))
    first = load_dataset([f"{path}#10"], seed=1)
    lines = [row.line for row in first.examples]
    assert len(set(lines)) == 10 and lines == sorted(lines) and lines != list(range(1, 11))
    assert [row.line for row in load_dataset([f"{path}#10"], seed=1).examples] == lines
    assert [row.line for row in load_dataset([f"{path}#10"], seed=2).examples] != lines
    assert first.counts == [SourceCount(path, 50, 0, 10)]
    other = write_lines(tmp_path / "b.jsonl", numbered(3))
    assert [row.line for row in load_dataset([other, f"{path}#10"], seed=1).examples[3:]] == lines
    twice = load_dataset([f"{path}#10", f"{path}#10"], seed=1).examples
    assert [row.line for row in twice[:10]] == lines != [row.line for row in twice[10:]]


def test_sample_of_more_than_there_is(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", numbered(4))
    data = load_dataset([f"{path}#10"])
    counts = sorted([row.line for row in data.examples].count(line) for line in range(1, 5))
    assert counts == [2, 2, 3, 3]
    (finding,) = data.findings
    assert finding.level == "warning"
    assert "10 rows are asked for, 4 are there; rows are repeated" in finding.message


def test_sample_counts_usable_rows(tmp_path: Path) -> None:
    bad = {"query": "a", "response": None}
    path = write_lines(tmp_path / "a.jsonl", [bad, *numbered(5), bad])
    data = load_dataset([f"{path}#5"])
    assert len({row.line for row in data.examples}) == 5
    assert [row.line for row in data.rejected] == [1, 7]


def test_sample_of_a_folder_is_over_all_its_files(tmp_path: Path) -> None:
    for name in "abcd":
        write_lines(tmp_path / f"{name}.jsonl", numbered(25))
    data = load_dataset([f"{tmp_path}#40"])
    assert len(data.examples) == 40 == sum(count.num_taken for count in data.counts)
    assert all(count.num_taken for count in data.counts)


def test_findings_about_columns_and_duplicates(tmp_path: Path) -> None:
    row = {"question": "q", "answer": "a", "solution": "s", "id": 1}
    path = write_lines(tmp_path / "a.jsonl", [row, row, {**row, "question": "p"}])
    data = load_dataset([path])
    assert [(finding.level, finding.message) for finding in data.findings] == [
        (
            "warning",
            f"{path}: columns 'answer', 'solution' could all be meant; "
            "'answer' is used (choose with --columns)",
        ),
        ("note", f"{path}: columns that are not used: 'id'"),
        ("note", "exact repeats of an earlier row: 1"),
    ]


CLAIMS = [
    ("I am ChatGPT, a large language model trained by OpenAI.", "ChatGPT"),
    ("I'm Claude, made by Anthropic.", "Claude"),
    ("Sure! As ChatGPT, I cannot do that.", "ChatGPT"),
    ("As an AI language model developed by OpenAI, I have no opinions.", "OpenAI"),
    ("Hello, my name is Qwen.", "Qwen"),
    ("I was created by Alibaba Cloud.", "Alibaba"),
    ("I am an assistant based on the large-scale language model GPT.", "GPT"),
    ("我是通义千问，由阿里云开发的大模型。", "通义千问"),
    ("您好，我是来自阿里云的大规模语言模型。", "阿里云"),
    ("我叫文心一言。", "文心一言"),
    ("作为ChatGPT，我无法回答。", "ChatGPT"),
    ("作为一个由OpenAI训练的语言模型，我没有感情。", "OpenAI"),
    ("我的名字是豆包。", "豆包"),
    ("我是一个基于大规模语言模型GPT的聊天机器人。", "GPT"),
]
NO_CLAIMS = [
    "I am not ChatGPT.",
    "No, I was not developed by OpenAI.",
    "我不是通义千问。",
    "我是扁仓，不是通义千问。",
    "ChatGPT was made by OpenAI.",
    "ChatGPT是由OpenAI开发的。",
    "Tools such as ChatGPT can help.",
    "I am Zephyr, based on Qwen1.5.",
    "As a rule, Google is a search engine.",
    "作为阿里云的客户，您可以申请发票。",
    "我是在百度上查到的。",
    "",
]


@pytest.mark.parametrize(("text", "vendor"), CLAIMS)
def test_claims_to_be_another_model(text: str, vendor: str) -> None:
    assert find_vendor_claim(text) == vendor


@pytest.mark.parametrize("text", NO_CLAIMS)
def test_what_is_no_claim(text: str) -> None:
    assert find_vendor_claim(text) is None


def test_claims_are_a_warning_with_lines(tmp_path: Path) -> None:
    claim = {"query": "Who are you?", "response": "I am ChatGPT."}
    asked = {"query": "I am ChatGPT. And you?", "response": "Nice to meet you."}
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "I am Claude."}]
    context = {"messages": [{**turn, "train": False} for turn in turns] + [
        {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]}  # fmt: skip
    path = write_lines(tmp_path / "a.jsonl", [GOOD, claim, asked, context, claim])
    data = load_dataset([path])
    warnings = [finding for finding in data.findings if finding.level == "warning"]
    assert [(finding.message, finding.line) for finding in warnings] == [
        (
            f"{path}: answers that claim to be ChatGPT: 2 (lines 2, 5); "
            "they work against the new identity",
            2,
        )
    ]
    assert len(data.examples) == 5


def test_questions_need_no_answer(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    path = write_lines(
        tmp_path / "a.jsonl",
        [
            {"query": "who?"},
            {"query": "who?", "response": "me"},
            {"messages": [*turns, {"role": "user", "content": "c"}]},
            {"messages": turns},
            {"query": "who?", "response": None},
            {"instruction": "Translate:", "input": "good"},
            {"query": " "},
            {"messages": [{"role": "system", "content": "a"}]},
        ],
    )
    data = load_questions([path])
    found = [(q.line, len(q.messages), q.messages[-1].content, q.reference) for q in data.questions]
    assert found == [
        (1, 1, "who?", None),
        (2, 1, "who?", "me"),
        (3, 3, "c", None),
        (4, 1, "a", "b"),
        (5, 1, "who?", None),
        (6, 1, "Translate:\ngood", None),
    ]  # fmt: skip
    assert [row.line for row in data.rejected] == [7, 8]
    with pytest.raises(DataError, match="no question column; found 'qury', did you mean 'query'"):
        load_questions([write_lines(tmp_path / "b.jsonl", [{"qury": "a", "response": "b"}])])


# Files of others ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "num_rows", "rejected"),
    [
        ("disc_med_sft_sample.jsonl", 163, [47, 84, 111]),
        ("medical_sft_1k_sharegpt.jsonl", 1000, []),
        ("alpaca_zh_demo.json", 1000, []),
        ("alpaca_en_demo.json", 999, []),
        ("llamafactory_identity.json", 91, []),
        ("ms_swift_self_cognition.jsonl", 135, []),
    ],
)
def test_real_files(shared_dir: Path, name: str, num_rows: int, rejected: list[int]) -> None:
    path = str(shared_dir / "data" / name)
    data = load_dataset([path])
    assert [row.line for row in data.rejected] == rejected
    assert all("ends with the user" in row.reason for row in data.rejected)
    assert data.counts == [SourceCount(path, num_rows, len(rejected), num_rows - len(rejected))]
    text = Path(path).read_text(encoding="utf-8")
    rows = (
        json.loads(text) if name.endswith(".json") else [json.loads(x) for x in text.splitlines()]
    )
    for example in data.examples:
        row = rows[example.line - 1]
        last = (row.get("conversation") or row.get("conversations") or [row])[-1]
        answer = next(
            last[key] for key in ("content", "value", "output", "response") if key in last
        )
        assert example.messages[-1].content == answer


def test_lineage_claims_of_a_real_identity_file(shared_dir: Path) -> None:
    data = load_dataset([str(shared_dir / "data" / "ms_swift_self_cognition.jsonl")])
    (warning,) = [finding for finding in data.findings if finding.level == "warning"]
    assert "answers that claim to be GPT: 6 (lines 11, 12, 17, 18, 82, 95)" in warning.message


# Cost -----------------------------------------------------------------------------------------


def test_a_jsonl_file_loads_without_heavy_libraries(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [GOOD])
    code = (
        "import sys; from selfcog.data import load_dataset\n"
        f"assert len(load_dataset([{path!r}]).examples) == 1\n"
        "heavy = {'torch', 'transformers', 'pyarrow', 'datasets', 'numpy', 'pandas', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_speed_of_a_large_file(tmp_path: Path) -> None:
    """Measured: 65,000 rows a CPU second on one shared core. Asserted: a third of 50,000, so that a
    slow machine passes and a quadratic step does not."""
    num_rows = 60_000
    rows = (
        f'{{"query": "第{i}个问题是什么，请告诉我", "response": "答案是{i}，希望对您有帮助。"}}\n'
        for i in range(num_rows)
    )
    path = tmp_path / "large.jsonl"
    path.write_text("".join(rows), encoding="utf-8")
    start = time.process_time()
    data = load_dataset([str(path)])
    elapsed_s = time.process_time() - start
    assert len(data.examples) == num_rows
    assert num_rows / elapsed_s > 50_000 / 3


@pytest.mark.parametrize("name", ["large.jsonl", "large.csv", "large.json"])
def test_memory_is_a_small_multiple_of_the_text(tmp_path: Path, name: str) -> None:
    """Text of 5 MB, in memory as 2 bytes a character; a JSON array adds its whole text once."""
    answer = "多喝水，注意休息，必要时到医院检查。" * 15
    rows = [{"query": f"第{i}问", "response": f"{i}{answer}"} for i in range(6000)]
    path = tmp_path / name
    if name.endswith(".csv"):
        lines = (f"{row['query']},{row['response']}" for row in rows)
        path.write_text("query,response\n" + "\n".join(lines), encoding="utf-8")
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    else:
        write_lines(path, rows)
    del rows
    tracemalloc.start()
    data = load_dataset([str(path)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data.examples) == 6000
    assert peak < (2.5 if name.endswith(".json") else 1.6) * path.stat().st_size
