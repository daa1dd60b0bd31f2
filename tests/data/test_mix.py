"""The arithmetic of splitting, sampling and mixing, and the report about it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfcog.data import data_report, load_dataset, mix, sample, select, split_dev, summary_lines
from selfcog.data.mix import draw
from selfcog.data.report import KindCount, count_tokens
from selfcog.errors import DataError
from selfcog.types import Example, Finding, Message, RejectedRow, TokenizedExample


def make_rows(count: int, kind: str = "domain", source: str = "a.jsonl") -> list[Example]:
    return [
        Example(
            (Message("user", f"{source} {i}"), Message("assistant", "yes")),
            kind, source, i, "zh" if i % 2 else "en",
        )
        for i in range(1, count + 1)
    ]  # fmt: skip


def test_the_arithmetic_of_the_tutorial() -> None:
    domain = make_rows(2000)
    chosen = select(domain, split_dataset_ratio=0.01, train_dataset_sample=1000)
    assert (len(chosen.train), len(chosen.dev)) == (1000, 10)
    assert chosen.findings == []
    mixture = mix(
        domain=chosen.train,
        identity=make_rows(450, "identity", "bank"),
        known=make_rows(50, "known", "bank"),
        dev=chosen.dev,
    )
    assert len(mixture.train) == 1500
    assert Counter(row.kind for row in mixture.train) == {
        "domain": 1000, "identity": 450, "known": 50
    }  # fmt: skip
    assert not {row.line for row in chosen.train} & {row.line for row in chosen.dev}


@pytest.mark.parametrize(
    ("num_rows", "ratio", "num_dev"),
    [(100, 0.01, 1), (101, 0.01, 2), (163, 0.01, 2), (1000, 0.01, 10), (5, 0.01, 1), (1, 0.5, 0),
     (2, 0.9, 1), (10, 0.0, 0), (0, 0.01, 0), (1000, 0.07, 70)],
)  # fmt: skip
def test_number_of_dev_rows(num_rows: int, ratio: float, num_dev: int) -> None:
    split = split_dev(make_rows(num_rows), ratio, 42)
    assert (len(split.train), len(split.dev)) == (num_rows - num_dev, num_dev)


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 2])
def test_wrong_ratio(ratio: float) -> None:
    with pytest.raises(DataError, match="split_dataset_ratio is"):
        split_dev(make_rows(3), ratio, 42)


@given(
    st.lists(st.integers(0, 12), max_size=40),
    st.floats(0, 0.99),
    st.integers(0, 5),
)
def test_equal_conversations_stay_on_one_side(keys: list[int], ratio: float, seed: int) -> None:
    pool = make_rows(13)
    rows = [pool[key] for key in keys]
    split = split_dev(rows, ratio, seed)
    assert Counter(split.train + split.dev) == Counter(rows)
    assert not set(split.train) & set(split.dev)
    if rows:
        assert split.train
    if ratio > 0 and len(set(keys)) > 1:
        assert split.dev
    assert split == split_dev(rows, ratio, seed)


def test_val_dataset_turns_the_split_off() -> None:
    domain, val = make_rows(300), make_rows(40, source="val.jsonl")
    chosen = select(domain, val)
    assert (len(chosen.train), len(chosen.dev)) == (300, 40)
    assert len(select(domain, val, val_dataset_sample=7).dev) == 7
    overlap = select(domain, domain[:3])
    assert overlap.findings == [
        Finding("warning", "3 training rows are also in the validation data")
    ]


@pytest.mark.parametrize(
    ("train_sample", "val_sample", "num_dev"),
    [(-1, None, 100), (1000, None, 10), (20, None, 1), (1000, -1, 100), (1000, 30, 30), (-1, 0, 0),
     (2900, None, 29)],
)  # fmt: skip
def test_val_dataset_sample(train_sample: int, val_sample: int | None, num_dev: int) -> None:
    chosen = select(
        make_rows(10_000), train_dataset_sample=train_sample, val_dataset_sample=val_sample
    )
    assert len(chosen.dev) == num_dev


def test_sample_is_fair_over_all_sources() -> None:
    rows = make_rows(5000) + make_rows(5000, source="b.jsonl")
    counts = Counter(row.source for row in sample(rows, 1000, 42))
    assert counts.total() == 1000
    # Binomial, n 1000, p 1/2: ±5 standard deviations are ±79.
    assert abs(counts["a.jsonl"] - 500) < 79


def test_sample_of_all_or_more_and_its_notice() -> None:
    rows = make_rows(100)
    assert sample(rows, -1, 1) == rows == sample(rows, 500, 1)
    assert sample(rows, 0, 1) == []
    chosen = select(rows, split_dataset_ratio=0, train_dataset_sample=500)
    assert chosen.train == rows
    (finding,) = chosen.findings
    assert "500 is more than the 100 domain rows there are" in finding.message


@given(st.integers(0, 30), st.integers(0, 100), st.integers(0, 9))
def test_draw_takes_every_row_equally_often_up_to_one(length: int, number: int, seed: int) -> None:
    rows = list(range(length))
    drawn = draw(rows, number, seed)
    assert len(drawn) == (number if rows else 0)
    counts = Counter(drawn)
    assert max(counts.values(), default=0) - min((counts[row] for row in rows), default=0) <= 1


def test_mixing_is_seeded_and_shuffles() -> None:
    domain, identity = make_rows(50), make_rows(50, "identity", "")
    one, two = (mix(domain=domain, identity=identity, seed=seed) for seed in (1, 2))
    assert one == mix(domain=domain, identity=identity, seed=1)
    assert one.train != two.train and Counter(one.train) == Counter(two.train)
    assert {row.kind for row in one.train[:20]} == {"domain", "identity"}


# Report ---------------------------------------------------------------------------------------


def render(row: Example, num_tokens: int, num_supervised: int) -> TokenizedExample:
    labels = [-100] * (num_tokens - num_supervised) + [7] * num_supervised
    return TokenizedExample([7] * num_tokens, labels, row.kind, row.source, row.line)


@pytest.fixture
def path(tmp_path: Path) -> str:
    rows = [json.dumps({"query": f"q{i}", "response": "yes"}) for i in range(8)]
    rows[2] = '{"query": "a", "response": ""}'
    rows[5] = '{"query": "a", "response": "b'
    rows[7] = '{"query": "a", "response": " "}'
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    return str(tmp_path / "a.jsonl")


def test_report_counts_rows_tokens_and_rejections(path: str) -> None:
    loaded = load_dataset([path])
    chosen = select(loaded.examples, split_dataset_ratio=0.2)
    identity = make_rows(2, "identity", "")
    mixture = mix(domain=chosen.train, identity=identity, dev=chosen.dev)
    late = RejectedRow(path, chosen.train[0].line, "9,000 tokens, more than max_length 2,048")
    kept = [row for row in mixture.train if (row.source, row.line) != (path, late.line)]
    train = [render(row, 20, 6 if row.kind == "domain" else 3) for row in kept]
    report = data_report(
        mixture,
        loaded=[loaded],
        train_tokens=train,
        dev_tokens={"domain": KindCount(1, 20, 6)},
        rejected=[late],
        findings=[Finding("warning", "look here"), Finding("note", "nothing")],
        seeds={"dataset_seed": 42},
    )
    assert json.loads(json.dumps(report)) == report
    assert report["sources"] == [
        {"source": path, "read": 8, "kept": 5, "rejected": 3, "taken": 5, "train": 3, "dev": 1}
    ]
    assert report["kinds"]["train"] == {
        "domain": {"rows": 3, "tokens": 60, "supervised_tokens": 18, "share": 0.75},
        "identity": {"rows": 2, "tokens": 40, "supervised_tokens": 6, "share": 0.25},
    }
    assert report["kinds"]["dev"]["domain"]["share"] == 1.0
    assert report["languages"] == {"train": {"en": 4, "zh": 1}, "dev": {"en": 1}}
    assert [(row["source"], row["line"]) for row in report["rejected"]] == [
        (path, 3), (path, 6), (path, 8), (path, late.line)
    ]  # fmt: skip
    assert report["seeds"] == {"dataset_seed": 42}
    lines = summary_lines(report)
    assert lines[0] == (
        "train: 5 rows: domain 3 (75% of the trained tokens), "
        "identity 2 (25% of the trained tokens)"
    )
    assert lines[2].startswith(
        f"rejected: 4 of 8 rows in {path}: empty answer: 2 rows (lines 3, 8)"
    )
    assert lines[3:] == ["warning: look here"]


def test_report_without_tokens_and_under_discard(path: str) -> None:
    loaded = load_dataset([path], strategy="discard")
    report = data_report(mix(domain=loaded.examples), loaded=[loaded])
    assert report["kinds"] == {
        "train": {"domain": {"rows": 5, "tokens": None, "supervised_tokens": None, "share": None}},
        "dev": {},
    }
    assert [row["line"] for row in report["rejected"]] == [3, 6, 8]
    assert summary_lines(report) == [
        "train: 5 rows: domain 5",
        f"rejected: 3 of 8 rows in {path}",
    ]


def test_supervised_tokens_are_those_of_the_loss() -> None:
    row = TokenizedExample([1, 2, 3], [1, -100, 3], "domain")
    assert count_tokens(iter([row, row])) == {"domain": KindCount(2, 6, 2)}
