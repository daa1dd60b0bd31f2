"""Reading and writing safetensors files one tensor at a time.

A safetensors file is eight bytes (little-endian length of the header), a JSON header
``{name: {dtype, shape, data_offsets}}`` and the raw bytes of the tensors, in the header's order
and without gaps. So a tensor that does not change is copied as bytes, and the memory needed is
that of one tensor, however large the model.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import FileIO
from math import prod
from pathlib import Path
from typing import Any

from selfcog.errors import ExportError

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
# Bytes of one element by the format's own dtype names; the format's documentation lists them.
ELEMENT_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
FLOAT_NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
COPY_BYTES = 8 << 20
# The reference reader refuses longer headers.
MAX_HEADER_BYTES = 100_000_000
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file: ``start`` is its first byte counted from the beginning of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    start: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """A tensor to write: copied from ``source``, or made by ``compute`` when its turn comes.

    ``compute`` returns exactly ``num_bytes`` bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: StoredTensor | None = None
    compute: Callable[[], memoryview] | None = None

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * ELEMENT_BYTES[self.dtype]


def parse_size(text: str) -> int:
    """Bytes of "5GB", "200 MiB" …, with the units that transformers uses."""
    for unit, factor in UNITS.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    raise ExportError(f"size {text!r} has no known unit; write it as 5GB, 500MB or 2GiB")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, in order.

    Raises ExportError where there are none (pickled weights are never read) or one is missing.
    """
    index = folder / INDEX_FILE
    if index.is_file():
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = [folder / name for name in sorted(set(weight_map.values()))]
        missing = [path.name for path in files if not path.is_file()]
        if missing:
            raise ExportError(f"{folder} lacks {missing[0]}, which {INDEX_FILE} names")
        return files
    if (folder / SINGLE_FILE).is_file():
        return [folder / SINGLE_FILE]
    pickles = sorted(folder.glob("*.bin"))
    found = f"only {pickles[0].name}, a pickle, which can run code" if pickles else "no weights"
    raise ExportError(
        f"{folder} has no {SINGLE_FILE} (found: {found}); save the model as safetensors first"
    )


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of one file, in the order of their bytes."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
            raise ExportError(f"{path} is not a complete safetensors file ({size:,} bytes)")
        header: dict[str, Any] = json.loads(handle.read(length))
    tensors = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        start = 8 + length + begin
        if start + end - begin > size:
            raise ExportError(f"{path} is cut off: {name} ends after the file does")
        tensors.append(
            StoredTensor(name, entry["dtype"], tuple(entry["shape"]), path, start, end - begin)
        )
    return {item.name: item for item in sorted(tensors, key=lambda item: item.start)}


def read_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a model folder by name, shard after shard."""
    found: dict[str, StoredTensor] = {}
    for path in weight_files(folder):
        found.update(read_header(path))
    return found


def read_bytes(tensor: StoredTensor, target: memoryview) -> None:
    """Fill ``target`` with the bytes of a stored tensor."""
    with tensor.path.open("rb", buffering=0) as handle:
        handle.seek(tensor.start)
        while target:
            number = handle.readinto(target)
            if not number:
                raise ExportError(f"{tensor.path} is shorter than its header says; copy it again")
            target = target[number:]


def fingerprint(folder: Path) -> str:
    """Hash that changes when the weights do: names, sizes, times and headers, not the data."""
    digest = hashlib.sha256()
    for path in weight_files(folder):
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            digest.update(handle.read(min(length, MAX_HEADER_BYTES)))
    return digest.hexdigest()


def split_shards(
    shards: Iterable[Sequence[OutputTensor]], max_bytes: int
) -> list[list[OutputTensor]]:
    """The same shards, those above ``max_bytes`` cut in order; a larger tensor stands alone."""
    result: list[list[OutputTensor]] = []
    for shard in shards:
        current: list[OutputTensor] = []
        num_bytes = 0
        for tensor in shard:
            if current and num_bytes + tensor.num_bytes > max_bytes:
                result.append(current)
                current, num_bytes = [], 0
            current.append(tensor)
            num_bytes += tensor.num_bytes
        result.append(current)
    return result


def write_shards(folder: Path, shards: Sequence[Sequence[OutputTensor]]) -> None:
    """Write the files and, where there are several, their index."""
    if len(shards) == 1:
        write_file(folder / SINGLE_FILE, shards[0])
        return
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_file(folder / name, shard)
        weight_map.update({tensor.name: name for tensor in shard})
    total = sum(tensor.num_bytes for shard in shards for tensor in shard)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def write_file(path: Path, tensors: Sequence[OutputTensor]) -> None:
    """Write one safetensors file, one tensor after the other."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in tensors:
        end = offset + tensor.num_bytes
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data starts on a multiple of eight
    with path.open("wb", buffering=0) as target:
        target.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            if tensor.compute is not None:
                _write_all(target, tensor.compute())
            elif tensor.source is not None:
                _copy(tensor.source, target)
        os.fsync(target.fileno())


def _write_all(target: FileIO, data: memoryview) -> None:
    # One write() takes at most 2 GiB on Linux and says how much it took.
    while data:
        data = data[target.write(data) :]


def _copy(source: StoredTensor, target: FileIO) -> None:
    with source.path.open("rb", buffering=0) as handle:
        position, left = source.start, source.num_bytes
        if sys.platform == "linux":  # inside the kernel; elsewhere sendfile needs a socket
            while left:
                sent = os.sendfile(target.fileno(), handle.fileno(), position, left)
                if sent == 0:
                    raise ExportError(f"{source.path} became shorter while it was being copied")
                position, left = position + sent, left - sent
            return
        handle.seek(position)
        while left:
            block = handle.read(min(left, COPY_BYTES))
            if not block:
                raise ExportError(f"{source.path} became shorter while it was being copied")
            _write_all(target, memoryview(block))
            left -= len(block)
