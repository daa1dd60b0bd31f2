"""data_report.json and its summary on screen: what is trained, what is not, and why.

    {"sources":  [{"source", "read", "kept", "rejected", "taken", "train", "dev"}, …],
     "kinds":    {"train": {"domain": {"rows", "tokens", "supervised_tokens", "share"}, …},
                  "dev": {…}},
     "languages": {"train": {"zh": 900, "en": 600}, "dev": {…}},
     "rejected": [{"source", "line", "reason"}, …],      every one
     "findings": [{"level", "message", "source", "line"}, …],
     "strategy": "warning", "seeds": {"dataset_seed": 42}}

``share`` is the part of the supervised tokens of its split, the number that decides how strongly
a kind of row is learnt; null while tokens are not counted. ``train`` and ``dev`` of a source are
the rows that are left of it in the end; rows that selfcog made have no source entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from selfcog.data.check import count
from selfcog.data.load import LoadedData, summarize
from selfcog.types import Example, Finding, Mixture, RejectedRow, TokenizedExample


@dataclass(slots=True)
class KindCount:
    """Rows, tokens and supervised tokens (those the loss counts) of one kind of rows."""

    rows: int = 0
    tokens: int = 0
    supervised_tokens: int = 0


TokenCounts = Mapping[str, KindCount]
"""By kind: identity, known, domain, replay."""


def count_tokens(rows: Iterable[TokenizedExample]) -> dict[str, KindCount]:
    """Sums of rendered rows by kind. Takes an iterator, so that rows need not be kept."""
    counts: dict[str, KindCount] = {}
    for row in rows:
        kind = counts.setdefault(row.kind, KindCount())
        kind.rows += 1
        kind.tokens += row.num_tokens
        kind.supervised_tokens += row.num_supervised
    return counts


def data_report(
    mixture: Mixture,
    *,
    loaded: Sequence[LoadedData] = (),
    train_tokens: TokenCounts | Sequence[TokenizedExample] | None = None,
    dev_tokens: TokenCounts | Sequence[TokenizedExample] | None = None,
    rejected: Sequence[RejectedRow] = (),
    findings: Sequence[Finding] = (),
    seeds: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The report as plain JSON values (keys: module docstring).

    ``train_tokens`` and ``dev_tokens`` are rendered rows or their sums; without them, rows are
    counted from the mixture and tokens are null. ``rejected`` and ``findings`` are those of later
    stages (too long, not renderable); the ones of ``loaded`` are included by themselves. Rows of
    the mixture that ``rejected`` names are not counted as train or dev rows of their source.
    """
    late = {(row.source, row.line) for row in rejected}
    train = [row for row in mixture.train if (row.source, row.line) not in late or not row.source]
    dev = [row for row in mixture.dev if (row.source, row.line) not in late or not row.source]
    all_rejected = [row for data in loaded for row in data.rejected] + list(rejected)
    all_findings = [finding for data in loaded for finding in data.findings] + list(findings)
    strategies = {data.strategy for data in loaded}
    return {
        "sources": _describe_sources(loaded, train, dev),
        "kinds": {
            "train": _describe_kinds(train, train_tokens),
            "dev": _describe_kinds(dev, dev_tokens),
        },
        "languages": {"train": _count_languages(train), "dev": _count_languages(dev)},
        "rejected": [asdict(row) for row in all_rejected],
        "findings": [asdict(finding) for finding in all_findings],
        "strategy": "discard" if strategies == {"discard"} else next(iter(strategies), "warning"),
        "seeds": dict(seeds or {}),
    }


def _describe_sources(
    loaded: Sequence[LoadedData], train: Sequence[Example], dev: Sequence[Example]
) -> list[dict[str, Any]]:
    num_train, num_dev = Counter(row.source for row in train), Counter(row.source for row in dev)
    sources: dict[str, dict[str, Any]] = {}
    for data in loaded:
        for found in data.counts:
            entry = sources.setdefault(
                found.source,
                {"source": found.source, "read": 0, "kept": 0, "rejected": 0, "taken": 0},
            )
            entry["read"] += found.num_read
            entry["kept"] += found.num_kept
            entry["rejected"] += found.num_rejected
            entry["taken"] += found.num_taken
    for name, entry in sources.items():
        entry["train"], entry["dev"] = num_train[name], num_dev[name]
    return list(sources.values())


def _describe_kinds(
    rows: Sequence[Example], tokens: TokenCounts | Sequence[TokenizedExample] | None
) -> dict[str, dict[str, Any]]:
    if tokens is None:
        return {
            kind: {"rows": number, "tokens": None, "supervised_tokens": None, "share": None}
            for kind, number in sorted(Counter(row.kind for row in rows).items())
        }
    counts = tokens if isinstance(tokens, Mapping) else count_tokens(tokens)
    total = sum(found.supervised_tokens for found in counts.values())
    return {
        kind: {**asdict(found), "share": found.supervised_tokens / total if total else None}
        for kind, found in sorted(counts.items())
    }


def _count_languages(rows: Sequence[Example]) -> dict[str, int]:
    return dict(sorted(Counter(row.language or "other" for row in rows).items()))


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """The report for the screen, plain text: rows and tokens by kind, rejected rows, warnings.

    Under "warning" every file with rejected rows shows its most frequent reasons with their first
    lines, under "discard" their number. Notes stay in the file.
    """
    lines = [_kinds_line(split, report["kinds"][split]) for split in ("train", "dev")]
    lines = [line for line in lines if line]
    refused: dict[str, list[RejectedRow]] = {}
    for row in report["rejected"]:
        refused.setdefault(row["source"], []).append(RejectedRow(**row))
    num_read = {entry["source"]: entry["read"] for entry in report["sources"]}
    for source, rows in refused.items():
        read = num_read.get(source)
        number = count(len(rows), "row") if read is None else f"{len(rows):,} of {read:,} rows"
        line = f"rejected: {number} in {source or 'generated rows'}"
        lines.append(line if report["strategy"] == "discard" else f"{line}: {summarize(rows)}")
    lines += [
        f"{finding['level']}: {finding['message']}"
        for finding in report["findings"]
        if finding["level"] != "note"
    ]
    return lines


def _kinds_line(split: str, kinds: Mapping[str, Mapping[str, Any]]) -> str:
    if not kinds:
        return ""
    parts = [
        f"{kind} {found['rows']:,}"
        + ("" if found["share"] is None else f" ({found['share']:.0%} of the trained tokens)")
        for kind, found in kinds.items()
    ]
    num_rows = sum(found["rows"] for found in kinds.values())
    return f"{split}: {count(num_rows, 'row')}: {', '.join(parts)}"
