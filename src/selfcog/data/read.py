"""What a user names as data: a file, a folder, ``path#N``, or a hub id said to be one.

    train.jsonl            all rows of a file          data/          all data files of a folder
    train.jsonl#500        500 of its rows             hf::org/name   Hugging Face, ms:: ModelScope
    hf::org/name:sub#500   a subset, 500 rows of it    hf::org/name:a/b  two subsets

A path that exists is taken as it is, whatever ``#`` and ``:`` it contains. Only ``hf::`` and
``ms::`` ever reach for the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from selfcog.data import files, hub
from selfcog.data.rows import RawRow, nearest, quote_all
from selfcog.errors import DataError
from selfcog.types import Finding, RejectedRow

_HUBS: dict[str, Literal["hf", "ms"]] = {"hf::": "hf", "ms::": "ms"}
_SAMPLE = re.compile(r"(.*)#(-?\d+)\Z", re.DOTALL)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+\Z")
# Descriptions that data sets carry beside their rows.
_NOT_ROWS = frozenset(
    {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
)
_HELD_OUT = frozenset({"test", "val", "valid", "validation", "dev", "eval"})


@dataclass(frozen=True, slots=True)
class Source:
    """One source of rows. ``sample`` is the number of rows to draw, None for all.

    ``path`` is a file, a folder or a hub id; ``subset`` a configuration of a hub data set, several
    joined by "/".
    """

    kind: Literal["file", "folder", "hf", "ms"]
    path: str
    sample: int | None = None
    subset: str | None = None

    @property
    def name(self) -> str:
        """How reports call it."""
        if self.kind in ("hf", "ms"):
            return f"{self.kind}::{self.path}" + (f":{self.subset}" if self.subset else "")
        return self.path


def parse_source(text: str) -> Source:
    """Reads one ``--dataset`` value. Touches the file system, never the network.

    Raises:
        DataError: nothing lies at the path (the nearest name in its folder is given), or the row
            count is not a positive number.
    """
    if not text.strip():
        raise DataError("the name of a data file is empty; give a path, a folder or hf::org/name")
    prefix = text[:4].lower()
    if prefix in _HUBS:
        return _parse_hub(_HUBS[prefix], text[4:])
    found = _existing(text)
    if found is not None:
        return found
    match = _SAMPLE.match(text)
    if match:
        found = _existing(match[1])
        if found is not None:
            return replace(found, sample=_parse_sample(match[2], text))
    elif "#" in text and _existing(text.rpartition("#")[0]) is not None:
        wrong = text.rpartition("#")[2]
        raise DataError(f"{text}: after # comes a number of rows, found '{wrong}'")
    raise DataError(_explain_missing(match[1] if match else text))


def _parse_sample(digits: str, text: str) -> int | None:
    number = int(digits)
    if number == -1:
        return None
    if number < 1:
        raise DataError(f"{text}: #{number} takes no rows; give 1 or more, or leave it out")
    return number


def _parse_hub(kind: Literal["hf", "ms"], text: str) -> Source:
    name, sample, subset = text, None, None
    if not Path(text).expanduser().exists():
        match = _SAMPLE.match(text)
        if match:
            name, sample = match[1], _parse_sample(match[2], f"{kind}::{text}")
        if not Path(name).expanduser().exists():
            name, _, subset = name.partition(":")
    if not name:
        raise DataError(f"{kind}::{text}: no data set named; write {kind}::org/name")
    return Source(kind, name, sample, subset or None)


def _existing(text: str) -> Source | None:
    path = Path(text).expanduser()
    if path.is_dir():
        return Source("folder", str(path))
    return Source("file", str(path)) if path.exists() else None


def _explain_missing(text: str) -> str:
    path = Path(text).expanduser()
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    siblings = [entry.name for entry in missing.parent.iterdir()] if missing.parent.is_dir() else []
    close = nearest(missing.name, siblings, cutoff=0.6)
    message = f"no data at {path}"
    if missing != path:
        message += f": there is no folder {missing}"
    if not missing.parent.is_dir():
        message += f": {missing.parent} is not a folder"
    elif close is not None:
        message += f"; did you mean {missing.parent / close}?"
    if _HUB_ID.match(text) and close is None and missing.parent.is_dir():
        message += f" (for a data set on a hub write hf::{text} or ms::{text})"
    return message


def expand(source: Source, findings: list[Finding]) -> list[Source]:
    """The files of a folder, the subsets of a hub id; anything else as it is.

    Files are sorted by path, folders within are searched. Where a folder has files named after
    the train split, its files named after other splits are left out; what is left out is noted.
    """
    if source.kind == "folder":
        return [Source("file", str(path)) for path in _list_files(Path(source.path), findings)]
    if source.subset and "/" in source.subset:
        return [replace(source, subset=part, sample=None) for part in source.subset.split("/")]
    return [source]


def _list_files(folder: Path, findings: list[Finding]) -> list[Path]:
    entries = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part[0] in "._" for part in path.relative_to(folder).parts)
    )
    found = [
        path
        for path in entries
        if files.data_suffix(path) in files.SUFFIXES and path.name not in _NOT_ROWS
    ]
    if any("train" in _words(path) for path in found):
        found = [path for path in found if not _words(path) & _HELD_OUT]
    left_out = sorted(str(path.relative_to(folder)) for path in set(entries) - set(found))
    if not found:
        raise DataError(
            f"{folder}: a folder without data files ({', '.join(files.SUFFIXES)}); "
            + (f"found {quote_all(left_out, 5)}" if left_out else "it is empty")
        )
    if left_out:
        message = f"{folder}: files that are not read as training rows: {quote_all(left_out)}"
        findings.append(Finding("note", message, str(folder)))
    return found


def _words(path: Path) -> set[str]:
    return set(re.split(r"[^a-z]+", path.name.lower()))


def read_rows(
    source: Source, findings: list[Finding] | None = None
) -> Iterator[RawRow | RejectedRow]:
    """All rows of a source, in order, ``sample`` not applied; a RejectedRow for each line that
    is no row (broken JSON, not an object).

    What concerns a whole file (its encoding, files left out) is appended to ``findings``.

    Raises:
        DataError: a file that cannot be read as rows at all.
        MissingExtraError: Parquet or a hub without the package for it.
    """
    notes = findings if findings is not None else []
    for part in expand(source, notes):
        if part.kind == "file":
            yield from files.read_file(Path(part.path), notes)
        elif part.kind == "hf":
            yield from hub.read_hf(part.path, part.subset, part.name)
        else:
            yield from hub.read_ms(part.path, part.subset, part.name)
