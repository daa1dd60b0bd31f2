"""Rows to learn an identity from: bank questions and answers, filled in and put into contexts.

Rows come in six kinds, in the shares of SHARES. Within a language they rotate over intents, then
over wording families, and no question comes twice before every question has come once. The same
identity, seed and number of rows always give the same rows.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import TypeVar

from selfcog.errors import ConfigError
from selfcog.identity.bank import (
    Bank,
    BankQuestion,
    Split,
    Vendor,
    fill_slots,
    find_slots,
    load_bank,
    normalize_question,
)
from selfcog.identity.identity import FACTS, Identity
from selfcog.identity.placeholders import fill_placeholders
from selfcog.identity.text import mentions
from selfcog.types import Example, Message

__all__ = ["SHARES", "fill_placeholders", "generate_dev", "generate_identity", "generate_known"]

# What a row's last question stands in. Chosen after the failures users report of tuned models:
# the identity is lost after other turns, under a system prompt, or when the history contradicts
# it; and personas and greetings are answered with the new name where nobody asked for it.
SHARES: Mapping[str, float] = {
    "direct": 0.45,  # nothing before the question
    "system": 0.15,  # under a generic, an empty or another vendor's default system prompt
    "prelude": 0.15,  # after other turns, which are not trained
    "claim": 0.07,  # after a turn, not trained, that claims another identity
    "persona": 0.10,  # a system prompt sets another name, and is obeyed
    "smalltalk": 0.08,  # greetings and thanks, answered without a name
}
_Item = TypeVar("_Item")

_SYSTEM_KINDS = ("generic", "generic", "empty", "vendor", "vendor")
# Under some other turns there is a system prompt as well: one row in four.
_EXTRA_SYSTEM_RATE = 0.25

# With such a fact at hand, an answer to the intent that leaves it out would hide it.
_DECISIVE_FACTS = {"version": "version", "base_relation": "based_on"}
_WELCOME_FACTS = {"origin": "based_on"}


def generate_identity(
    identity: Identity,
    num_rows: int,
    *,
    seed: int,
    split: Split = "train",
    languages: Sequence[str] = ("zh", "en"),
    old_identities: Sequence[Identity | str] = (),
) -> list[Example]:
    """``num_rows`` rows of kind "identity", alternating over the languages, the first one first.

    ``old_identities`` are what the model called itself before; they are denied more often than
    other vendors' assistants, and are what a contradicting history claims. A plain name is looked
    up in the bank to find its maker. Raises ConfigError for a negative number of rows or a
    language without a bank.
    """
    return _generate(identity, num_rows, seed, split, languages, old_identities, SHARES)


def generate_dev(
    identity: Identity, num_rows: int, seed: int, languages: Sequence[str] = ("zh", "en")
) -> list[Example]:
    """Rows of direct questions in wordings that no training row uses, without contexts."""
    return _generate(identity, num_rows, seed, "dev", languages, (), {"direct": 1.0})


def generate_known(
    num_rows: int,
    seed: int,
    languages: Sequence[str] = ("zh", "en"),
    identity: Identity | None = None,
) -> list[Example]:
    """Rows of kind "known": true facts about third parties, such as who made a product.

    Rotates over the facts, so that each wording of a fact comes once before any comes twice.
    Facts about something that bears a name of ``identity`` are left out.
    """
    counts = _split_evenly(num_rows, languages)
    per_language = []
    for language, count in counts.items():
        rng = random.Random(f"{seed}/known/{language}")
        deal = _deal_known(load_bank(language), rng, identity)
        per_language.append([next(deal) for _ in range(count)])
    return _interleave(per_language)


def _generate(
    identity: Identity,
    num_rows: int,
    seed: int,
    split: Split,
    languages: Sequence[str],
    old_identities: Sequence[Identity | str],
    shares: Mapping[str, float],
) -> list[Example]:
    per_language = []
    for language, count in _split_evenly(num_rows, languages).items():
        rng = random.Random(f"{seed}/{split}/{language}")
        maker = _RowMaker(identity, load_bank(language), split, old_identities, rng)
        kinds = _apportion(count, shares)
        rng.shuffle(kinds)
        per_language.append([maker.make_row(kind) for kind in kinds])
    return _interleave(per_language)


class _RowMaker:
    """Makes the rows of one language; keeps what was used, so that the next row differs."""

    def __init__(
        self,
        identity: Identity,
        bank: Bank,
        split: Split,
        old_identities: Sequence[Identity | str],
        rng: random.Random,
    ) -> None:
        self.bank, self.rng = bank, rng
        self.values = identity.slot_values(bank.language)
        self.questions = _deal_questions(bank, split, rng)
        self.openers = _cycle(bank.questions("what", split), rng)
        foreign = [v for v in bank.vendors if not _shares_name(identity, v)]
        foreign = [v for v in foreign if not _shares_maker(identity, v)]
        self.vendors = _cycle(foreign or bank.vendors, rng)
        self.old = _old_vendors(identity, old_identities, bank)
        self.answers = {
            intent: _cycle(_usable_answers(bank, intent, self.values), rng)
            for intent in bank.intents
        }
        self.welcome_answers = {
            intent: _cycle(texts, rng)
            for intent, fact in _WELCOME_FACTS.items()
            if (texts := _usable_answers(bank, intent, self.values, must_have=fact))
        }
        self.systems = {kind: _cycle(bank.systems(kind), rng) for kind in set(_SYSTEM_KINDS)}
        self.preludes = _cycle(bank.preludes, rng)
        self.claims = _cycle(bank.claims, rng)
        own = {normalize_question(name) for name in identity.names}
        names = [name for name in bank.persona_names if normalize_question(name) not in own]
        self.personas, self.persona_names = _cycle(bank.personas, rng), _cycle(names, rng)
        self.persona_questions = {
            id(persona): _cycle(persona.questions, rng) for persona in bank.personas
        }
        pairs = [(question, pair) for pair in bank.smalltalk for question in pair.questions]
        self.smalltalk = _cycle(pairs, rng)

    def make_row(self, kind: str) -> Example:
        if kind == "persona":
            return self._make_persona_row()
        if kind == "smalltalk":
            return self._make_smalltalk_row()
        question = next(self.questions)
        other = self._choose_other(question.text)
        context: tuple[Message, ...] = ()
        if kind == "system":
            context = (self._make_system(self.rng.choice(_SYSTEM_KINDS)),)
        elif kind in ("prelude", "claim"):
            context = next(self.preludes) if kind == "prelude" else self._make_claim()
            if self.rng.random() < _EXTRA_SYSTEM_RATE:
                context = (self._make_system("generic"), *context)
        return self._finish(
            context,
            fill_slots(question.text, self.values | other),
            self._answer(question.intent, other),
            question.intent,
            question.family,
        )

    def _answer(self, intent: str, other: dict[str, str]) -> str:
        answers = self.answers[intent]
        if intent in self.welcome_answers and self.rng.random() < 0.5:
            answers = self.welcome_answers[intent]
        values = self.values | other
        choices: list[str] = []
        while not choices:
            choices = [text for text in next(answers) if find_slots(text) <= values.keys()]
        return fill_slots(self.rng.choice(choices), values)

    def _choose_other(self, text: str, *, prefer_old: bool = False) -> dict[str, str]:
        """Values of {other} and {other_maker}; the old identity half of the time, or always."""
        needs_maker = "other_maker" in find_slots(text)
        old = [vendor for vendor in self.old if vendor.maker or not needs_maker]
        if old and (prefer_old or self.rng.random() < 0.5):
            return _other_values(self.rng.choice(old))
        return _other_values(next(self.vendors))

    def _make_system(self, kind: str) -> Message:
        text = next(self.systems[kind])
        return Message("system", fill_slots(text, self._choose_other(text, prefer_old=True)))

    def _make_claim(self) -> tuple[Message, ...]:
        claim, opener = next(self.claims), next(self.openers)
        other = self._choose_other(claim + opener.text, prefer_old=True)
        return (
            Message("user", fill_slots(opener.text, self.values | other)),
            Message("assistant", fill_slots(claim, other), train=False),
        )

    def _make_persona_row(self) -> Example:
        persona, values = next(self.personas), {"persona": next(self.persona_names)}
        system = Message("system", fill_slots(self.rng.choice(persona.systems), values))
        question = fill_slots(next(self.persona_questions[id(persona)]), values)
        answer = fill_slots(self.rng.choice(persona.answers), values)
        family = f"{self.bank.language}.persona"
        return self._finish((system,), question, answer, "persona", family)

    def _make_smalltalk_row(self) -> Example:
        question, pair = next(self.smalltalk)
        context: tuple[Message, ...] = ()
        if self.rng.random() < _EXTRA_SYSTEM_RATE:
            context = (self._make_system("generic"),)
        family = f"{self.bank.language}.smalltalk"
        return self._finish(context, question, self.rng.choice(pair.answers), "smalltalk", family)

    def _finish(
        self, context: tuple[Message, ...], question: str, answer: str, intent: str, family: str
    ) -> Example:
        messages = (*context, Message("user", question), Message("assistant", answer))
        language = self.bank.language
        return Example(messages, "identity", f"bank/{language}", 0, language, intent, family)


def _deal_questions(bank: Bank, split: Split, rng: random.Random) -> Iterator[BankQuestion]:
    """Questions without end: one intent after the other, in each one family after the other.

    An intent whose questions are used up waits until all are; then everything starts afresh.
    """
    while True:
        dealt: set[str] = set()
        piles: dict[str, deque[list[BankQuestion]]] = {}
        for intent in bank.intents:
            families: dict[str, list[BankQuestion]] = {}
            for question in bank.questions(intent, split):
                families.setdefault(question.family, []).append(question)
            shuffled = [rng.sample(pile, len(pile)) for pile in families.values()]
            rng.shuffle(shuffled)
            piles[intent] = deque(shuffled)
        while piles:
            for intent in rng.sample(list(piles), len(piles)):
                chosen = _take(piles[intent], dealt)
                if chosen is None:
                    del piles[intent]
                else:
                    yield chosen


def _take(families: deque[list[BankQuestion]], dealt: set[str]) -> BankQuestion | None:
    """The next question not dealt yet, of the family whose turn it is; None when all are."""
    while families:
        pile = families.popleft()
        while pile:
            question = pile.pop()
            key = normalize_question(question.text)
            if key not in dealt:
                dealt.add(key)
                families.append(pile)
                return question
    return None


def _deal_known(bank: Bank, rng: random.Random, identity: Identity | None) -> Iterator[Example]:
    names = identity.names if identity else ()
    facts = [
        (f"{bank.language}.known.{number:02d}", fact)
        for number, fact in enumerate(bank.known, start=1)
        if not any(mentions(question, name) for question in fact.questions for name in names)
    ]
    if not facts:
        raise ConfigError(f"bank/{bank.language}: every known fact is about {names}; nothing left")
    while True:
        rng.shuffle(facts)
        wordings = [
            [
                (family, question, fact.answer)
                for question in rng.sample(fact.questions, len(fact.questions))
            ]
            for family, fact in facts
        ]
        for row in chain.from_iterable(zip_longest(*wordings)):
            if row is not None:
                family, question, answer = row
                messages = (Message("user", question), Message("assistant", answer))
                source = f"bank/{bank.language}"
                yield Example(messages, "known", source, 0, bank.language, "known", family)


def _usable_answers(
    bank: Bank, intent: str, values: Mapping[str, str], must_have: str | None = None
) -> list[tuple[str, ...]]:
    """Answer patterns as groups of expansions, without those that need a fact that is missing.

    With ``must_have`` or a decisive fact at hand, only the expansions that tell it.
    """
    fact = must_have or _DECISIVE_FACTS.get(intent)
    missing = {name for name in FACTS if name not in values}
    groups = []
    for pattern in bank.answer_patterns(intent):
        texts = tuple(text for text in pattern if not find_slots(text) & missing)
        if texts:
            groups.append(texts)
    if fact in values:
        telling = [tuple(text for text in group if fact in find_slots(text)) for group in groups]
        telling = [group for group in telling if group]
        return telling if telling or must_have else groups
    return [] if must_have else groups


def _shares_name(identity: Identity, vendor: Vendor) -> bool:
    names = (vendor.name, *vendor.aliases)
    return any(mentions(a, b) or mentions(b, a) for a in identity.names for b in names)


def _shares_maker(identity: Identity, vendor: Vendor) -> bool:
    return any(mentions(a, vendor.maker) or mentions(vendor.maker, a) for a in identity.authors)


def _old_vendors(identity: Identity, olds: Sequence[Identity | str], bank: Bank) -> list[Vendor]:
    """What to deny having been. The maker is left out where it is unknown or stays the same."""
    vendors = []
    for old in olds:
        if isinstance(old, Identity):
            name, maker = old.name_in(bank.language), old.author_in(bank.language)
            vendor = Vendor(name, maker, old.aliases)
        else:
            vendor = bank.find_vendor(old) or Vendor(old, "")
        if _shares_maker(identity, vendor):
            vendor = Vendor(vendor.name, "", vendor.aliases)
        if not _shares_name(identity, vendor):
            vendors.append(vendor)
    return vendors


def _other_values(vendor: Vendor) -> dict[str, str]:
    values = {"other": vendor.name}
    return values | {"other_maker": vendor.maker} if vendor.maker else values


def _cycle(items: Sequence[_Item], rng: random.Random) -> Iterator[_Item]:
    """The items without end, in a new order each time round."""
    while items:
        yield from rng.sample(items, len(items))


def _apportion(count: int, shares: Mapping[str, float]) -> list[str]:
    """``count`` kinds in the given shares (largest remainders get the odd rows)."""
    exact = {kind: count * share for kind, share in shares.items()}
    numbers = {kind: int(value) for kind, value in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: numbers[kind] - exact[kind])
    for kind in by_remainder[: count - sum(numbers.values())]:
        numbers[kind] += 1
    return [kind for kind, number in numbers.items() for _ in range(number)]


def _split_evenly(num_rows: int, languages: Sequence[str]) -> dict[str, int]:
    if num_rows < 0:
        raise ConfigError(f"the number of rows cannot be negative, found {num_rows}")
    distinct = list(dict.fromkeys(languages))
    if not distinct:
        raise ConfigError("no language given for identity rows; give zh, en or both")
    share, odd = divmod(num_rows, len(distinct))
    return {language: share + (place < odd) for place, language in enumerate(distinct)}


def _interleave(per_language: Sequence[list[Example]]) -> list[Example]:
    rows = chain.from_iterable(zip_longest(*per_language))
    return [row for row in rows if row is not None]
