"""Rows out of local files: JSONL, JSON, CSV, TSV and Parquet, found out by their content.

JSONL, CSV and Parquet are streamed. A JSON array keeps its text in memory and one row at a time.
Text is UTF-8 with or without a byte order mark, UTF-16 with one, or GB18030 (GBK, GB2312).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from selfcog.data.rows import RawRow, quote_all
from selfcog.errors import DataError, MissingExtraError, first_line
from selfcog.types import Finding, RejectedRow

Row = RawRow | RejectedRow

TABLE_SUFFIXES = (".csv", ".tsv")
SUFFIXES = (".jsonl", ".ndjson", ".json", *TABLE_SUFFIXES, ".parquet")

# Lists under these keys belong to one row; under any other key a list of objects is the rows.
_ROW_LISTS = frozenset(
    {"messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns", "texts"}
    | {"history", "prompt", "completion", "tools", "functions"}
)

_CHUNK = 1 << 20
_BOM_AND_SPACE = re.compile(rb"\A(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\x00\s]*")
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
# What a table has for "nothing here"; "None" and "null" stay text, they can be answers.
_MISSING = frozenset({"", "NaN", "nan"})
# A cell may hold a whole conversation; the csv module's own limit is 128 KiB.
_CELL_LIMIT = 2**31 - 1


def data_suffix(path: Path) -> str:
    """The suffix that names the kind of file: ``.jsonl`` for ``a.JSONL`` and ``a.jsonl.gz``."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == ".gz" else suffix


def read_file(path: Path, findings: list[Finding]) -> Iterator[Row]:
    """Rows of one file, and a RejectedRow for each line that is no row.

    What the user should know about the file as a whole is appended to ``findings``.

    Raises:
        DataError: the file is of no known kind, is binary, or is one broken JSON document.
        MissingExtraError: Parquet without pyarrow.
    """
    try:
        head = _read_head(path)
        return _choose_reader(path, head, findings)
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged or incomplete gzip file ({error})") from error


def _choose_reader(path: Path, head: bytes, findings: list[Finding]) -> Iterator[Row]:
    suffix = data_suffix(path)
    if head.startswith(b"PAR1"):
        return _read_parquet(path)
    if suffix == ".parquet":
        raise DataError(f"{path}: not a Parquet file (it does not start with PAR1)")
    if suffix not in SUFFIXES and _BOM_AND_SPACE.sub(b"", head)[:1] not in (b"{", b"["):
        raise DataError(
            f"{path}: files of kind '{suffix or 'no suffix'}' cannot be read; "
            f"give one of {', '.join(SUFFIXES)} (each also as .gz, Parquet aside)"
        )
    if head.startswith(b"version https://git-lfs"):
        raise DataError(f"{path}: a Git LFS pointer, not the data; run: git lfs pull")
    if b"\0" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: binary content, not text; save it as UTF-8 JSONL or CSV")
    encoding = detect_encoding(path)
    if encoding.name == "gb18030":
        findings.append(Finding("note", f"{path}: read as GB18030 (it is not UTF-8)", str(path)))
    if suffix in TABLE_SUFFIXES:
        return _read_table(path, encoding.name, "\t" if suffix == ".tsv" else None)
    return _read_json(path, encoding.name, suffix)


def _open_bytes(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(gzip.GzipFile(path))
    return path.open("rb")


def _open_text(path: Path, encoding: str, newline: str) -> IO[str]:
    # Bytes that do not fit become lone surrogates, which the row check refuses by line.
    errors = "strict" if encoding == "utf-16" else "surrogateescape"
    return io.TextIOWrapper(_open_bytes(path), encoding=encoding, errors=errors, newline=newline)


def _read_head(path: Path) -> bytes:
    try:
        with _open_bytes(path) as handle:
            return handle.read(4096)
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: not a gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec name; ``damaged`` when some bytes do not fit it."""

    name: str
    damaged: bool = False


def detect_encoding(path: Path) -> Encoding:
    """UTF-8 where every byte fits; else by the mark; else GB18030 where it reads as Chinese.

    A UTF-8 file with a few broken bytes stays UTF-8, so that only its broken rows are refused.
    """
    with _open_bytes(path) as handle:
        head = handle.read(4)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        if not _fits(path, "utf-16"):
            raise DataError(f"{path}: broken UTF-16 text; save it as UTF-8")
        return Encoding("utf-16")
    utf8 = "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"
    if _fits(path, utf8):
        return Encoding(utf8)
    with _open_bytes(path) as handle:
        sample = handle.read(4 * _CHUNK)
    text = sample.decode("utf-8", "replace")
    num_wide = len(text) - len(text.encode("ascii", "ignore"))
    # GBK read as UTF-8 breaks at nearly every character; a damaged UTF-8 file at few.
    if text.count("\ufffd") * 10 < num_wide or not _fits(path, "gb18030"):
        return Encoding(utf8, damaged=True)
    text = sample.decode("gb18030", "replace")
    num_ascii = len(text.encode("ascii", "ignore"))
    num_common = (len(text.encode("gb2312", "ignore")) - num_ascii) // 2
    # Accents of Latin-1 can pass for rare characters; running Chinese is mostly GB2312.
    if num_common * 10 >= 3 * (len(text) - num_ascii):
        return Encoding("gb18030")
    return Encoding(utf8, damaged=True)


def _fits(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with _open_bytes(path) as handle:
        try:
            while chunk := handle.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


# JSON ------------------------------------------------------------------------------------------


def _read_json(path: Path, encoding: str, suffix: str) -> Iterator[Row]:
    with _open_text(path, encoding, "\n") as handle:
        lines = (line for line in handle if not line.isspace())
        first, second = next(lines, ""), next(lines, "")
        opening = first.lstrip()[:1]
        if not first:
            return
        alone = _parse_line(first) if second else None
        if (
            opening not in ("{", "[")
            or isinstance(alone, dict)
            or (isinstance(alone, list) and opening == "[" and suffix != ".json")
        ):
            handle.seek(0)
            yield from _read_lines(handle, str(path))
            return
        handle.seek(0)
        # A document on one line is as large as the file; read() at once would copy it four times.
        del lines, first, alone
        text = "".join(iter(lambda: handle.read(1 << 16), ""))
        if opening == "[":
            yield from _read_array(text, str(path))
            return
        try:
            rows = _read_objects(text, str(path))
        except DataError:
            raise
        except json.JSONDecodeError as error:
            problem = _describe(error)
        except (ValueError, RecursionError) as error:
            problem = f"line 1: {error}"
        else:
            yield from rows
            return
        # Lines with a broken first one, or a broken document: the lines tell.
        handle.seek(0)
        parsed = [isinstance(_parse_line(line), dict) for line in handle if not line.isspace()]
        if sum(parsed) * 2 < len(parsed):
            raise DataError(f"{path}: broken JSON at {problem}")
        handle.seek(0)
        yield from _read_lines(handle, str(path))


def _parse_line(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _describe(error: json.JSONDecodeError) -> str:
    return f"line {error.lineno}, column {error.colno}: {error.msg}"


def _read_lines(handle: IO[str], source: str) -> Iterator[Row]:
    decode = _DECODER.decode
    for number, line in enumerate(handle, 1):
        try:
            row = decode(line.rstrip("\r\n"))
        except json.JSONDecodeError as error:
            if not line.isspace():
                message = error.msg.removesuffix(" at")
                reason = f"broken JSON: {message} at column {error.colno}"
                yield RejectedRow(source, number, reason)
            continue
        except (ValueError, RecursionError) as error:
            yield RejectedRow(source, number, f"broken JSON: {str(error).split(';')[0]}")
            continue
        yield _as_row(row, source, number)


def _as_row(value: Any, source: str, number: int) -> Row:
    if type(value) is dict:
        return RawRow(value, source, number)
    names = {list: "a list", str: "a text", type(None): "null", bool: "a truth value"}
    return RejectedRow(source, number, f"not an object but {names.get(type(value), 'a number')}")


def _read_array(text: str, source: str) -> Iterator[Row]:
    """Row by row, so that only one row is held as objects at a time."""
    position = text.index("[") + 1
    number = 0
    try:
        position = _skip(text, position)
        while text[position : position + 1] != "]" or number:
            row, position = _DECODER.raw_decode(text, position)
            number += 1
            yield _as_row(row, source, number)
            position = _skip(text, position)
            if text[position : position + 1] != ",":
                break
            position = _skip(text, position + 1)
        if text[position : position + 1] != "]":
            raise json.JSONDecodeError("expected ',' or ']'", text, position)
        if _skip(text, position + 1) != len(text):
            raise json.JSONDecodeError("text after the closing ']'", text, position + 1)
    except json.JSONDecodeError as error:
        raise DataError(f"{source}: broken JSON at {_describe(error)}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: broken JSON in row {number + 1}: {error}") from error


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _read_objects(text: str, source: str) -> list[Row]:
    """One object (a wrapper around rows, or a row), or several one after the other."""
    position = _skip(text, 0)
    found: list[Row] = []
    while position < len(text):
        start = position
        value, position = _DECODER.raw_decode(text, start)
        found.append(_as_row(value, source, text.count("\n", 0, start) + 1))
        position = _skip(text, position)
    if len(found) == 1 and isinstance(found[0], RawRow):
        rows = _unwrap(found[0].row, source)
        return [_as_row(row, source, number) for number, row in enumerate(rows, 1)]
    return found


def _unwrap(document: dict[str, Any], source: str) -> list[Any]:
    """The rows of ``{"data": […]}`` and the like; the object itself where it is a row."""
    lists = {key: value for key, value in document.items() if isinstance(value, list)}
    if any(key.lower() in _ROW_LISTS for key in lists):
        return [document]
    if len(document) == 1 and lists == {key: [] for key in document}:
        return []
    rows = {key: value for key, value in lists.items() if any(type(row) is dict for row in value)}
    if len(rows) > 1:
        raise DataError(f"{source}: several lists of rows ({quote_all(rows)}); keep one per file")
    return next(iter(rows.values())) if rows else [document]


# Tables ----------------------------------------------------------------------------------------


def _read_table(path: Path, encoding: str, delimiter: str | None) -> Iterator[Row]:
    source = str(path)
    csv.field_size_limit(_CELL_LIMIT)
    with _open_text(path, encoding, "") as handle:
        header_line = handle.readline()
        handle.seek(0)
        reader = csv.reader(handle, delimiter=delimiter or _delimiter(header_line), strict=True)
        header: list[str] | None = None
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = _explain(error, number, reader.line_num)
                yield RejectedRow(source, number, f"broken CSV: {reason}")
                continue
            if not cells:
                continue
            if header is None:
                header = _check_header(cells, source)
                continue
            if any(cells[len(header) :]):
                reason = f"{len(cells)} cells where the header has {len(header)}"
                yield RejectedRow(source, number, reason)
                continue
            filled = itertools.zip_longest(header, cells[: len(header)])
            row = {name: cell if cell not in _MISSING else None for name, cell in filled}
            yield RawRow(row, source, number)


def _delimiter(header: str) -> str:
    counts = {mark: header.count(mark) for mark in ",\t;"}
    return max(counts, key=lambda mark: counts[mark])


def _explain(error: csv.Error, first: int, last: int) -> str:
    if "unexpected end of data" in str(error):
        return f"a quote that opens here is never closed (lines {first} to {last} are lost)"
    return str(error)


def _check_header(cells: list[str], source: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    while header and not header[-1]:
        header.pop()
    if not header:
        raise DataError(f"{source}: the first line is empty; it must name the columns")
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise DataError(f"{source}: column {quote_all(doubled)} occurs twice in the header")
    return header


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: reading Parquet needs pyarrow: pip install 'selfcog[data]'"
        ) from error
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield RawRow(row, str(path), number)
    except (pyarrow.ArrowException, OSError) as error:
        message = first_line(error)
        raise DataError(f"{path}: broken Parquet after row {number}: {message}") from error
