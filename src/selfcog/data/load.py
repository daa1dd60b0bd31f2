"""Sources → examples: read, parse, check, count, draw. The entry of this floor."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from selfcog.data.check import DuplicateCounter, VendorClaims, count, format_lines
from selfcog.data.columns import check_mapping
from selfcog.data.formats import Question, RowParser
from selfcog.data.mix import draw
from selfcog.data.read import Source, expand, parse_source, read_rows
from selfcog.data.rows import ColumnError, RawRow, RowError, nearest, quote_all
from selfcog.errors import DataError
from selfcog.types import Example, Finding, RejectedRow

# Left out when reasons are counted, so that one fault is one line.
_DETAIL = re.compile(r" \(turns? [^)]*\)| (?:at column|of turn|in turn) \d+")

Strategy = Literal["none", "discard", "warning", "error"]
_Parsed = TypeVar("_Parsed", Example, Question)


@dataclass(frozen=True, slots=True)
class SourceCount:
    """Rows of one file or hub data set: read = kept + rejected; ``num_taken`` after ``#N``."""

    source: str
    num_read: int
    num_rejected: int
    num_taken: int

    @property
    def num_kept(self) -> int:
        return self.num_read - self.num_rejected


@dataclass(frozen=True, slots=True)
class LoadedData:
    """What came out of the sources, and everything that did not."""

    examples: list[Example] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counts: list[SourceCount] = field(default_factory=list)
    strategy: Strategy = "warning"


@dataclass(frozen=True, slots=True)
class LoadedQuestions:
    """Questions with or without reference answers, for generation."""

    questions: list[Question] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counts: list[SourceCount] = field(default_factory=list)


def load_dataset(
    specs: Sequence[str],
    *,
    columns: Mapping[str, str] | None = None,
    strategy: Strategy = "warning",
    seed: int = 42,
    kind: str = "domain",
    system: str | None = None,
) -> LoadedData:
    """All usable rows of the sources, in order (``read.parse_source`` says how one is written).

    ``strategy`` is what happens to a row that fails the checks: "warning" and "discard" leave it
    out and list it (they differ in what the screen shows, ``report.summary_lines``), "error"
    raises, "none" keeps what can be rendered at all and lists the rest. ``system`` goes into rows
    without a system message. ``seed`` decides which rows ``#N`` takes; each source draws for
    itself, so that adding a source does not change the rows of another.

    Raises:
        DataError: a missing path (before anything is read), an unreadable file, a file in which
            every row lacks a column, a source without usable rows, a row under "error".
        MissingExtraError: Parquet or a hub without its package.
    """
    claims, duplicates = VendorClaims(), DuplicateCounter()

    def parser() -> RowParser:
        return RowParser(columns, kind=kind, system=system, strict=strategy != "none")

    loader = _Loader(parser, RowParser.parse, columns or {}, strategy, seed)
    loader.load(specs)
    for example in loader.kept:
        claims.add(example)
        duplicates.add(example)
    findings = loader.findings + claims.findings()
    if duplicates.count:
        findings.append(Finding("note", f"exact repeats of an earlier row: {duplicates.count:,}"))
    return LoadedData(loader.taken, loader.rejected, findings, loader.counts, strategy)


def load_questions(
    specs: Sequence[str],
    *,
    columns: Mapping[str, str] | None = None,
    seed: int = 42,
    system: str | None = None,
) -> LoadedQuestions:
    """The same for questions: answers may be missing; where they are given they are references.

    Raises:
        DataError, MissingExtraError: as ``load_dataset``.
    """
    loader = _Loader(
        lambda: RowParser(columns, system=system),
        RowParser.parse_question,
        columns or {},
        "warning",
        seed,
    )
    loader.load(specs)
    return LoadedQuestions(loader.taken, loader.rejected, loader.findings, loader.counts)


class _Loader(Generic[_Parsed]):
    """The loop over sources, files and rows that both entries share."""

    def __init__(
        self,
        make_parser: Callable[[], RowParser],
        parse: Callable[[RowParser, RawRow], _Parsed],
        columns: Mapping[str, str],
        strategy: Strategy,
        seed: int,
    ) -> None:
        check_mapping(columns)
        self._make_parser = make_parser
        self._parse: Callable[[RowParser, RawRow], _Parsed] = parse
        self._unseen = dict.fromkeys(columns)
        self._strategy = strategy
        self._seed = seed
        self._seen_columns: dict[str, None] = {}
        self.kept: list[_Parsed] = []
        self.taken: list[_Parsed] = []
        self.rejected: list[RejectedRow] = []
        self.findings: list[Finding] = []
        self.counts: list[SourceCount] = []

    def load(self, specs: Sequence[str]) -> None:
        sources = [parse_source(spec) for spec in specs]
        for position, source in enumerate(sources):
            earlier = sum(other.path == source.path for other in sources[:position])
            self._load_source(source, earlier)
        # No error: one mapping serves several calls, and these sources may not need it.
        if self._unseen and sources:
            names = quote_all(source.name for source in sources)
            self.findings.append(Finding("warning", f"{names}: {self._explain_unseen()}"))

    def _explain_unseen(self) -> str:
        missing = next(iter(self._unseen))
        close = nearest(missing, self._seen_columns)
        hint = f"did you mean '{close}'?" if close else f"found {quote_all(self._seen_columns)}"
        return f"there is no column '{missing}', which --columns names; {hint}"

    def _load_source(self, source: Source, earlier: int) -> None:
        first_rejected = len(self.rejected)
        rows: list[_Parsed] = []
        read: Counter[str] = Counter()
        for part in expand(source, self.findings):
            read[part.name] = self._read_part(part, rows)
        rejected = self.rejected[first_rejected:]
        if not sum(read.values()):
            raise DataError(f"{source.name}: no rows")
        if not rows:
            raise DataError(f"{source.name}: no usable row; {summarize(rejected)}")
        self.kept += rows
        if source.sample is not None:
            if source.sample > len(rows):
                message = (
                    f"{source.name}: {source.sample:,} rows are asked for, {len(rows):,} are there;"
                    " rows are repeated"
                )
                self.findings.append(Finding("warning", message, source.name))
            rows = draw(rows, source.sample, f"{self._seed}/{source.name}/{earlier}")
        self.taken += rows
        num_taken = Counter(row.source for row in rows)
        num_rejected = Counter(row.source for row in rejected)
        for name, number in read.items():
            self.counts.append(SourceCount(name, number, num_rejected[name], num_taken[name]))

    def _read_part(self, part: Source, rows: list[_Parsed]) -> int:
        parser, parse = self._make_parser(), self._parse
        rejected: list[RejectedRow] = []
        num_read = 0
        column_errors: list[RejectedRow] = []
        for raw in read_rows(part, self.findings):
            num_read += 1
            if isinstance(raw, RejectedRow):
                rejected.append(raw)
                continue
            try:
                rows.append(parse(parser, raw))
            except RowError as error:
                refused = RejectedRow(raw.source, raw.line, str(error))
                rejected.append(refused)
                if isinstance(error, ColumnError):
                    column_errors.append(refused)
        self._note_columns(part, parser)
        if num_read and len(column_errors) == num_read:
            reason = Counter(row.reason for row in column_errors).most_common(1)[0][0]
            message = f"{part.name}: {reason} (in all {count(num_read, 'row')})"
            raise DataError(f"{message}; {self._explain_unseen()}" if self._unseen else message)
        self.rejected += rejected
        if rejected and self._strategy == "error":
            first = rejected[0]
            raise DataError(
                f"{first.source}:{first.line}: {first.reason} "
                f"({count(len(rejected), 'rejected row')} of {num_read:,}; "
                "check_dataset_strategy warning leaves them out)"
            )
        return num_read

    def _note_columns(self, part: Source, parser: RowParser) -> None:
        unused: dict[str, None] = {}
        doubtful: dict[tuple[str, ...], None] = {}
        for layout in parser.layouts.values():
            for column in layout.columns:
                self._unseen.pop(column, None)
            self._seen_columns |= dict.fromkeys(layout.columns)
            unused |= dict.fromkeys(layout.unused)
            doubtful |= dict.fromkeys(layout.doubtful)
        for group in doubtful:
            message = (
                f"{part.name}: columns {quote_all(group)} could all be meant; "
                f"'{group[0]}' is used (choose with --columns)"
            )
            self.findings.append(Finding("warning", message, part.name))
        if unused:
            message = f"{part.name}: columns that are not used: {quote_all(unused)}"
            self.findings.append(Finding("note", message, part.name))


def summarize(rejected: Sequence[RejectedRow], limit: int = 3) -> str:
    """Reasons with counts and first lines, the most frequent first: for one line on screen."""
    lines: dict[str, list[int]] = {}
    for row in rejected:
        lines.setdefault(_DETAIL.sub("", row.reason), []).append(row.line)
    ranked = sorted(lines.items(), key=lambda item: -len(item[1]))
    parts = [
        f"{reason}: {count(len(found), 'row')} ({format_lines(found, 5)})"
        for reason, found in ranked[:limit]
    ]
    if len(ranked) > limit:
        parts.append(f"{len(ranked) - limit} other reasons")
    return " · ".join(parts)
