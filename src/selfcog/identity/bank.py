"""The bank of identity questions and answers: one JSONL file a language, read and expanded.

Patterns are strings with alternatives and slots: ``[Please |]tell me your name`` stands for two
questions; ``{name}`` is filled when rows are generated. Everything here is returned with its
alternatives expanded and its slots still open; `fill_slots` fills them in one pass.

Every question belongs to a family (one wording template) and every family to one split, so that
no wording is both learnt and measured. The line types are those of _LINE_READERS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from selfcog.errors import ConfigError, DataError
from selfcog.identity.text import fold, mentions_folded, normalize_question
from selfcog.types import Message

if TYPE_CHECKING:
    from importlib.abc import Traversable

__all__ = [
    "SPLITS",
    "Bank",
    "BankQuestion",
    "KnownFact",
    "Persona",
    "Smalltalk",
    "Split",
    "Vendor",
    "expand",
    "fill_slots",
    "find_slots",
    "languages",
    "load_bank",
    "normalize_question",
]

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

_SLOT = re.compile(r"\{([a-z_]+)\}([.!?。！？]?)")


@dataclass(frozen=True, slots=True)
class BankQuestion:
    """One question, alternatives chosen; slots ({name}, {other}, {other_maker}) may be open."""

    text: str
    intent: str
    family: str
    split: Split
    register: str
    language: str


@dataclass(frozen=True, slots=True)
class Vendor:
    """A well-known assistant of somebody else, and who makes it."""

    name: str
    maker: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Persona:
    """System prompts that set another name ({persona}), and questions and answers under them."""

    systems: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Smalltalk:
    """Ordinary turns; each answer suits each question, and none says a name."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownFact:
    """A true fact about a third party. ``gold``: any one of these in an answer makes it right."""

    questions: tuple[str, ...]
    answer: str
    gold: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    intent: str
    split: Split
    register: str
    patterns: tuple[str, ...]


@dataclass
class Bank:
    """Everything one language's file holds. Read-only; made by `load_bank`.

    ``asks`` maps each intent to what every answer must carry: "name", "author", both or nothing.
    """

    language: str
    asks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    vendors: tuple[Vendor, ...] = ()
    personas: tuple[Persona, ...] = ()
    persona_names: tuple[str, ...] = ()
    smalltalk: tuple[Smalltalk, ...] = ()
    preludes: tuple[tuple[Message, ...], ...] = ()
    claims: tuple[str, ...] = ()
    known: tuple[KnownFact, ...] = ()
    _families: list[_Family] = field(default_factory=list)
    _answers: dict[str, list[str]] = field(default_factory=dict)
    _systems: dict[str, list[str]] = field(default_factory=dict)
    _expanded: dict[str, tuple[BankQuestion, ...]] = field(default_factory=dict)

    @property
    def intents(self) -> tuple[str, ...]:
        return tuple(self.asks)

    def questions(
        self, intent: str | None = None, split: Split | None = None
    ) -> list[BankQuestion]:
        """All questions of an intent and a split (None: of all), in the order of the file."""
        return [
            question
            for family in self._families
            if intent in (None, family.intent) and split in (None, family.split)
            for question in self._questions_of(family)
        ]

    def _questions_of(self, family: _Family) -> tuple[BankQuestion, ...]:
        if family.name not in self._expanded:
            self._expanded[family.name] = tuple(
                BankQuestion(
                    text, family.intent, family.name, family.split, family.register, self.language
                )
                for text in _expand_all(family.patterns)
            )
        return self._expanded[family.name]

    def answers(self, intent: str) -> list[str]:
        """All answers of an intent, alternatives chosen, slots open."""
        return list(_expand_all(tuple(self._answers[intent])))

    def answer_patterns(self, intent: str) -> list[tuple[str, ...]]:
        """The answers of an intent, grouped by the pattern they were expanded from."""
        return [tuple(expand(pattern)) for pattern in self._answers[intent]]

    def systems(self, kind: str | None = None) -> list[str]:
        """System prompts: "generic", "empty" or "vendor" ({other}, {other_maker} open)."""
        kinds = self._systems if kind is None else {kind: self._systems.get(kind, [])}
        return [text for patterns in kinds.values() for text in _expand_all(tuple(patterns))]

    def find_vendor(self, text: str) -> Vendor | None:
        """The vendor whose name or alias is ``text``, spelling variants aside; None if unknown."""
        key = normalize_question(text)
        for vendor in self.vendors:
            if key in {normalize_question(word) for word in (vendor.name, *vendor.aliases)}:
                return vendor
        return None

    def vendors_mentioned(self, text: str) -> list[Vendor]:
        """The vendors whose name or alias occurs in ``text`` as a word."""
        folded = fold(text)
        return [
            vendor
            for vendor in self.vendors
            if any(mentions_folded(folded, fold(word)) for word in (vendor.name, *vendor.aliases))
        ]


def expand(pattern: str) -> list[str]:
    """All texts that a pattern stands for, in order, without repeats.

    ``[a|b|]`` chooses one alternative, which may be empty or hold such choices itself.
    Raises DataError when the brackets do not pair up.
    """
    texts, end = _expand_sequence(pattern, 0, nested=False)
    if end != len(pattern):
        raise DataError(f"pattern {pattern!r}: unexpected {pattern[end]!r} at position {end}")
    return list(dict.fromkeys(texts))


def _expand_sequence(pattern: str, start: int, *, nested: bool) -> tuple[list[str], int]:
    """Texts of the sequence at ``start``, up to a "|" or "]" of its own level or the end."""
    texts, position = [""], start
    while position < len(pattern):
        char = pattern[position]
        if char == "[":
            choices: list[str] = []
            while True:
                branch, position = _expand_sequence(pattern, position + 1, nested=True)
                choices += branch
                if position >= len(pattern):
                    raise DataError(f"pattern {pattern!r}: a '[' is never closed")
                if pattern[position] == "]":
                    break
            texts = [text + choice for text in texts for choice in choices]
            position += 1
        elif char == "]" or (char == "|" and nested):
            break
        else:
            stop = position
            while stop < len(pattern) and pattern[stop] not in "[]|":
                stop += 1
            stop = max(stop, position + 1)
            texts = [text + pattern[position:stop] for text in texts]
            position = stop
    return texts, position


@lru_cache(maxsize=4096)
def _expand_all(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for pattern in patterns for text in expand(pattern)))


def find_slots(text: str) -> frozenset[str]:
    """The names of the slots in a text: {"name", "author"} for "{name}, by {author}."."""
    return frozenset(match.group(1) for match in _SLOT.finditer(text))


def fill_slots(text: str, values: Mapping[str, str]) -> str:
    """The text with every slot filled, in one pass: braces inside a value mean nothing.

    A full stop that follows a value ending in the same character is not doubled ("Acme Inc.").
    Raises KeyError for a slot without a value.
    """

    def fill(match: re.Match[str]) -> str:
        value, stop = values[match.group(1)], match.group(2)
        return value if stop and value.endswith(stop) else value + stop

    return _SLOT.sub(fill, text)


def languages() -> tuple[str, ...]:
    """The languages with a bank, Chinese and English first."""
    folder = _bank_folder()
    found = {entry.name[:-6] for entry in folder.iterdir() if entry.name.endswith(".jsonl")}
    first = [language for language in ("zh", "en") if language in found]
    return (*first, *sorted(found.difference(first)))


def _bank_folder() -> Traversable:
    # Imported here because it pulls in tempfile and shutil, a fifth of this floor's import time.
    from importlib import resources

    return resources.files(__package__).joinpath("bank")


@cache
def load_bank(language: str) -> Bank:
    """Read bank/<language>.jsonl. The result is shared: do not change it.

    Raises ConfigError for a language without a bank, DataError (file:line) for a broken file.
    """
    if language not in languages():
        known = ", ".join(languages())
        raise ConfigError(f"there is no identity bank for language {language!r}; known: {known}")
    path = _bank_folder().joinpath(f"{language}.jsonl")
    return read_bank(path.read_text(encoding="utf-8"), language, f"bank/{language}.jsonl")


def read_bank(text: str, language: str, source: str) -> Bank:
    """Parse the text of a bank file; ``source`` is what errors call it."""
    bank = Bank(language)
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            _LINE_READERS[row["type"]](bank, row)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{source}:{number}: {type(error).__name__}: {error}") from error
    used = {family.intent for family in bank._families} | set(bank._answers)
    if used != set(bank.asks):
        odd = ", ".join(sorted(used ^ set(bank.asks)))
        raise DataError(f"{source}: intents without a declaration, or without questions: {odd}")
    return bank


def _read_questions(bank: Bank, row: dict[str, Any]) -> None:
    if row["split"] not in SPLITS:
        raise ValueError(f"split {row['split']!r} is not one of {SPLITS}")
    if any(family.name == row["family"] for family in bank._families):
        raise ValueError(f"family {row['family']!r} occurs twice")
    bank._families.append(
        _Family(row["family"], row["intent"], row["split"], row["register"], tuple(row["patterns"]))
    )


def _read_persona(bank: Bank, row: dict[str, Any]) -> None:
    names = row.get("personas", [])
    bank.persona_names = tuple(dict.fromkeys((*bank.persona_names, *names)))
    if row.get("patterns"):
        persona = Persona(
            _expand_all(tuple(row["patterns"])),
            _expand_all(tuple(row["questions"])),
            _expand_all(tuple(row["answers"])),
        )
        bank.personas = (*bank.personas, persona)


def _read_smalltalk(bank: Bank, row: dict[str, Any]) -> None:
    pair = Smalltalk(_expand_all(tuple(row["questions"])), _expand_all(tuple(row["answers"])))
    bank.smalltalk = (*bank.smalltalk, pair)


def _read_prelude(bank: Bank, row: dict[str, Any]) -> None:
    turns = tuple(
        Message(role, content, train=role != "assistant") for role, content in row["messages"]
    )
    bank.preludes = (*bank.preludes, turns)


def _read_known(bank: Bank, row: dict[str, Any]) -> None:
    fact = KnownFact(_expand_all(tuple(row["question"])), row["answer"], tuple(row["gold"]))
    bank.known = (*bank.known, fact)


def _read_intent(bank: Bank, row: dict[str, Any]) -> None:
    bank.asks[row["intent"]] = tuple(row["asks"])


def _read_answers(bank: Bank, row: dict[str, Any]) -> None:
    bank._answers.setdefault(row["intent"], []).extend(row["patterns"])


def _read_system(bank: Bank, row: dict[str, Any]) -> None:
    bank._systems.setdefault(row["kind"], []).extend(row["patterns"])


def _read_claim(bank: Bank, row: dict[str, Any]) -> None:
    bank.claims = (*bank.claims, *_expand_all(tuple(row["patterns"])))


def _read_vendor(bank: Bank, row: dict[str, Any]) -> None:
    vendor = Vendor(row["name"], row["maker"], tuple(row.get("aliases", ())))
    bank.vendors = (*bank.vendors, vendor)


_LINE_READERS: dict[str, Callable[[Bank, dict[str, Any]], None]] = {
    "intent": _read_intent,
    "questions": _read_questions,
    "answers": _read_answers,
    "system": _read_system,
    "persona": _read_persona,
    "smalltalk": _read_smalltalk,
    "prelude": _read_prelude,
    "claim": _read_claim,
    "vendor": _read_vendor,
    "known": _read_known,
}
