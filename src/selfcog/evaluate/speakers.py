"""Whoever answers the questions of a scorecard: a loaded model, its base, or a server.

A speaker answers conversations; what else it can do (score options, compare distributions) is
known by its type. Greedy answers are kept in a cache by model, prompt and decoding, so that an
unchanged base is not asked twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from selfcog.model.generate import Prompter, generate
from selfcog.types import Completion, Message

Progress = Callable[[int, int], None]
# Read from each end of a weight file for its fingerprint; small files are read whole.
_FINGERPRINT_BYTES = 1 << 20
# What decides on answers beside the weights; other files (cards, reports) come and go.
_FINGERPRINT_FILES = frozenset(
    {
        "config.json", "adapter_config.json", "tokenizer.json", "tokenizer_config.json",
        "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json",
        "special_tokens_map.json", "chat_template.jinja", "chat_template.json",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """One conversation to answer; it ends with a user turn. ``prefill``: forced beginning."""

    messages: tuple[Message, ...]
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How answers are decoded; the same for base and tuned. ``temperature`` 0 is greedy."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 42


class Speaker(Protocol):
    """Answers conversations. ``label`` is for the card; ``can_prefill``: forced beginnings work."""

    @property
    def label(self) -> str: ...

    @property
    def can_prefill(self) -> bool: ...

    def answer(
        self, asks: Sequence[Ask], decoding: Decoding, progress: Progress | None = None
    ) -> list[Completion]: ...


@dataclass
class AnswerCache:
    """Greedy answers on disk, one JSONL file a model. ``path`` None keeps them in memory only."""

    path: Path | None = None
    _known: dict[str, Completion] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None or not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            # A line that a crash cut off is asked anew.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                key = row.pop("key")
                self._known[key] = Completion(**row)

    def find(self, key: str) -> Completion | None:
        return self._known.get(key)

    def add(self, found: dict[str, Completion]) -> None:
        self._known |= found
        if self.path is None or not found:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as handle:
                for key, completion in found.items():
                    row = {"key": key, **asdict(completion)}
                    handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        except OSError:
            self.path = None  # a read-only or full disk costs time, not the scorecard


@dataclass
class LocalSpeaker:
    """A loaded model; with ``side`` "base" its adapter is off while it answers."""

    model: Any
    renderer: Prompter
    label: str
    side: Literal["base", "tuned"] = "tuned"
    batch_size: int = 32
    cache: AnswerCache = field(default_factory=AnswerCache)
    can_prefill: bool = True

    def answer(
        self, asks: Sequence[Ask], decoding: Decoding, progress: Progress | None = None
    ) -> list[Completion]:
        """The answers in the order of ``asks``; greedy ones are asked once and cached."""
        if decoding.temperature > 0:
            return self._generate(asks, decoding, progress)
        keys = [self._key(ask, decoding) for ask in asks]
        missing = {
            key: ask for key, ask in zip(keys, asks, strict=True) if self.cache.find(key) is None
        }
        found = self._generate(list(missing.values()), decoding, progress) if missing else []
        self.cache.add(dict(zip(missing, found, strict=True)))
        answers = [self.cache.find(key) for key in keys]
        assert all(answer is not None for answer in answers)
        return [answer for answer in answers if answer is not None]

    def as_side(self) -> AbstractContextManager[Any]:
        """Inside the block the model is the speaker's side of it."""
        from selfcog.model.adapter import adapter_off

        return adapter_off(self.model) if self.side == "base" else contextlib.nullcontext()

    def _generate(
        self, asks: Sequence[Ask], decoding: Decoding, progress: Progress | None
    ) -> list[Completion]:
        with self.as_side():
            return generate(
                self.model,
                self.renderer,
                [ask.messages for ask in asks],
                prefills=[ask.prefill for ask in asks],
                max_new_tokens=decoding.max_new_tokens,
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                seed=decoding.seed,
                batch_size=self.batch_size,
                progress=progress,
            )

    def _key(self, ask: Ask, decoding: Decoding) -> str:
        ids = self.renderer.prompt_ids(ask.messages)
        # Padding in a batch may change the last bit of a number, never on purpose an answer.
        text = json.dumps([ids, ask.prefill, decoding.max_new_tokens])
        return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(*folders: Path | None) -> str:
    """A hash of the weights, tokenizer and template of the folders together.

    Files up to 2 MiB are read whole. Of larger ones, quick for a hundred gigabytes: 1 MiB at either
    end (the safetensors header among it), the size, and where the file lies since when. The last
    two because a merge may change the middle only; a copy is asked anew, never taken for another.
    """
    digest = hashlib.sha256()
    for folder in folders:
        if folder is None:
            continue
        for path in sorted(folder.glob("*")):
            if path.suffix != ".safetensors" and path.name not in _FINGERPRINT_FILES:
                continue
            size = path.stat().st_size
            digest.update(f"{path.name}:{size}:".encode())
            with path.open("rb") as handle:
                if size <= 2 * _FINGERPRINT_BYTES:
                    digest.update(handle.read())
                else:
                    digest.update(f"{path.resolve()}:{path.stat().st_mtime_ns}:".encode())
                    digest.update(handle.read(_FINGERPRINT_BYTES))
                    handle.seek(-_FINGERPRINT_BYTES, os.SEEK_END)
                    digest.update(handle.read())
    return digest.hexdigest()[:32]


def cache_folder() -> Path:
    """``$SELFCOG_CACHE``, else ``$XDG_CACHE_HOME/selfcog``, else ``~/.cache/selfcog``."""
    if own := os.environ.get("SELFCOG_CACHE"):
        return Path(own).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "selfcog"
