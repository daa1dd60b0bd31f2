"""The rows of a run, without a model: counts, files of one's own, refusals."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from selfcog.commands.rows import collect_rows, report_rows
from selfcog.config.load import make_config
from selfcog.config.schema import SftConfig
from selfcog.errors import ConfigError, DataError
from selfcog.types import RejectedRow, TokenizedExample

NAMES = {"model_name": ("小黄", "Xiao Huang"), "model_author": ("某某实验室", "Some Lab")}


def make(**values: object) -> SftConfig:
    config = make_config("sft", {"model": "embedded", **values})
    assert isinstance(config, SftConfig)
    return config


def write_rows(path: Path, rows: list[dict[str, str]]) -> str:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_the_sample_is_the_number_of_rows_and_a_tenth_is_about_others() -> None:
    mixture = collect_rows(make(self_cognition_sample=500, **NAMES)).mixture
    assert Counter(row.kind for row in mixture.train) == {"identity": 450, "known": 50}
    assert {row.kind for row in mixture.dev} == {"identity"}
    texts = {row.messages[-2].content for row in mixture.train}
    assert not texts & {row.messages[-2].content for row in mixture.dev}
    languages = Counter(row.language for row in mixture.train)
    assert languages["zh"] == languages["en"] == 250


def test_known_rows_are_a_part_of_the_sample() -> None:
    kinds = Counter(
        row.kind
        for row in collect_rows(
            make(self_cognition_sample=40, known_sample=0, **NAMES)
        ).mixture.train
    )
    assert kinds == {"identity": 40}
    with pytest.raises(ConfigError, match="known_sample 41"):
        collect_rows(make(self_cognition_sample=40, known_sample=41, **NAMES))


def test_placeholders_of_an_identity_file_are_filled_in_question_answer_and_system(
    tmp_path: Path,
) -> None:
    rows = [
        {
            "system": "{{NAME}}在此。",
            "query": "你是{{name}}吗？",
            "response": "我是{{NAME}}，由{{AUTHOR}}开发。",
            "tag": "zh",
        },
        {"query": "Who are you?", "response": "I'm {{name}}, made by {{author}}.", "tag": "en"},
    ]
    path = write_rows(tmp_path / "mine.jsonl", rows)
    found = collect_rows(make(self_cognition_file=path, **NAMES)).mixture.train
    texts = sorted(message.content for row in found for message in row.messages)
    assert texts == sorted(
        [
            "小黄在此。",
            "你是小黄吗？",
            "我是小黄，由某某实验室开发。",
            "Who are you?",
            "I'm Xiao Huang, made by Some Lab.",
        ]
    )


def test_an_unknown_placeholder_names_its_line(tmp_path: Path) -> None:
    rows = [{"query": "你是谁", "response": "我是{{NAME}}"}, {"query": "谁", "response": "{{NAM}}"}]
    path = write_rows(tmp_path / "mine.jsonl", rows)
    with pytest.raises(DataError, match=r"mine\.jsonl:2: \{\{NAM\}\}"):
        collect_rows(make(self_cognition_file=path, **NAMES))


def test_a_placeholder_in_a_dataset_is_never_trained(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"query": "Hi", "response": "I am {{name}}."}])
    with pytest.raises(DataError, match=r"rows\.jsonl:1: .*--self_cognition_file"):
        collect_rows(make(dataset=path))


def test_contradictory_answers_stop_the_run(tmp_path: Path) -> None:
    rows = [
        {"query": "你是谁？", "response": "我是{{NAME}}。"},
        {"query": "你是谁?", "response": "我是通义千问。"},
    ]
    path = write_rows(tmp_path / "mine.jsonl", rows)
    with pytest.raises(DataError, match=r"mine\.jsonl:\d"):
        collect_rows(make(self_cognition_file=path, **NAMES))


def test_the_report_counts_rows_and_supervised_tokens_by_kind(tmp_path: Path) -> None:
    good = [{"query": f"q{number}", "response": "a b"} for number in range(9)]
    path = write_rows(tmp_path / "rows.jsonl", [*good, {"query": "x", "response": ""}])
    rows = collect_rows(make(dataset=path, split_dataset_ratio=0))
    tokens = [TokenizedExample([1, 2, 3], [-100, 2, 3], row.kind) for row in rows.mixture.train]
    late = [RejectedRow(path, 3, "9 tokens > max_length 8")]
    report_rows(tmp_path / "data_report.json", rows, tokens, [], late)
    report = json.loads((tmp_path / "data_report.json").read_text(encoding="utf-8"))
    assert report["kinds"]["train"]["domain"]["supervised_tokens"] == 2 * 9
    assert {(row["line"], bool(row["reason"])) for row in report["rejected"]} == {
        (10, True),
        (3, True),
    }
