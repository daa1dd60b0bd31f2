"""What readers hand to the formats, and how a row is refused. Nothing here opens a file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RawRow:
    """One object of a data file, untouched.

    ``line`` is what a user can look up: the line in JSONL, the line on which a CSV record starts,
    the row number (from 1) in a JSON array, a Parquet file or a hub data set.
    """

    row: dict[str, Any]
    source: str
    line: int


class RowError(ValueError):
    """One row cannot be used. The message is the reason that the report shows.

    ``fatal`` says that no setting makes the row usable; the others are refused by the row checks
    and pass under ``check_dataset_strategy none``.
    """

    fatal = True


class RowQualityError(RowError):
    """The row could be trained, but should not be."""

    fatal = False


class ColumnError(RowError):
    """The row has no column for its question or its answer."""


def nearest(word: str, choices: Iterable[str], cutoff: float = 0.75) -> str | None:
    """The choice that looks most like ``word`` apart from its case, or None."""
    by_fold = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(word.casefold(), list(by_fold), n=1, cutoff=cutoff)
    return by_fold[found[0]] if found else None


def quote_all(names: Iterable[str], limit: int = 12) -> str:
    """``'a', 'b'``; what exceeds the limit is counted."""
    listed = [repr(name) for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
