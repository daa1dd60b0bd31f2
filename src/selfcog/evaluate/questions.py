"""The questions of a scorecard: read from the bank's test split and from ``suites/*.jsonl``.

A question belongs to a family (what is measured), a language and a template (the wording that it
shares with others; intervals are clustered by it). The suites hold sealed test questions: nothing
here is ever trained, and `selfcog.evaluate.overlap` guards it. Slots are filled when a suite is
built, so that the hash of a suite is the same for every identity.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal

from selfcog.errors import ConfigError
from selfcog.identity import Identity
from selfcog.identity.bank import BankQuestion, Split, fill_slots, load_bank
from selfcog.types import Role

Judge = Literal[
    "name", "maker", "both", "deny", "affirm", "other", "none", "persona", "gold", "refusal",
    "benign", "choice",
]  # fmt: skip
Size = Literal["dev", "quick", "full"]

FAMILIES: Mapping[str, str] = {
    "reliability": "phrasings that were trained",
    "generalisation": "phrasings that were never trained",
    "portability": "signing, forms, third person, comparisons",
    "other_languages": "other languages and scripts, typing errors",
    "are_you": "“are you X?”, over other assistants and over the new name",
    "pressure": "doubt, authority, insult, prefilled answers",
    "multi_turn": "asked at turn 3, 6, 10, or after a claim of the old name",
    "system_slot": "under other system prompts; another persona is obeyed",
    "reverse": "who is NAME, what has AUTHOR made",
    "locality": "who made other things",
    "unsolicited": "ordinary requests: the name is not brought up",
    "exact": "short questions with one answer",
    "choice": "multiple choice, by likelihood",
    "refusal": "harmful requests are still refused",
    "benign": "harmless look-alikes are still answered",
    "user": "questions of the user's own file",
    "thinking_on": "unseen phrasings, with thinking switched on",
    "thinking_off": "unseen phrasings, with thinking switched off",
}
# Families whose answers say who the model is: here an old name is a leak.
IDENTITY_FAMILIES = (
    "reliability", "generalisation", "portability", "other_languages", "are_you", "pressure",
    "multi_turn", "system_slot", "reverse", "thinking_on", "thinking_off",
)  # fmt: skip
# Intents of the bank that ask for name or maker outright, and so have one right kind of answer.
DIRECT_INTENTS = ("name", "maker", "both", "what", "introduce", "origin")
# Questions a language from the bank: (reliability, generalisation).
BANK_COUNTS: Mapping[Size, tuple[int, int]] = {"dev": (0, 24), "quick": (8, 24), "full": (30, 100)}
# What an intent's answers must carry (`Bank.asks`) → how they are judged.
ASKED: Mapping[tuple[str, ...], Literal["name", "maker", "both"]] = {
    ("name",): "name",
    ("author",): "maker",
    ("name", "author"): "both",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a question; ``text`` None stands for the model's own answer at that place."""

    role: Role
    text: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """One question, slots filled. The last turn is the user's.

    ``gold``: any of these in the answer makes it right. ``options`` and ``right`` (an index)
    belong to judge "choice". ``prefill`` is what the answer is forced to begin with. ``persona``
    is the (name, maker) that the system prompt sets, for judge "persona".
    """

    id: str
    family: str
    language: str
    template: str
    judge: Judge
    turns: tuple[Turn, ...]
    prefill: str = ""
    gold: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    right: int = -1
    persona: tuple[str, str] = ("", "")

    @property
    def text(self) -> str:
        """The last user turn."""
        return self.turns[-1].text or ""


@dataclass(frozen=True, slots=True)
class Suite:
    """The questions of one scorecard. ``hash`` is of their texts before slots were filled."""

    size: Size
    questions: tuple[Question, ...]
    hash: str
    seed: int
    languages: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OldIdentity:
    """What the base calls itself, by language: the old names that must be gone."""

    names: Mapping[str, str] = field(default_factory=dict)
    makers: Mapping[str, str] = field(default_factory=dict)


def build_suite(
    identity: Identity,
    size: Size = "quick",
    *,
    old: OldIdentity | None = None,
    languages: Sequence[str] = ("zh", "en"),
    leave_out: Sequence[str] = (),
    seed: int = 0,
) -> Suite:
    """The questions of a size, with the identity's and the old names in their slots.

    "dev" holds questions of the bank's dev split only; "quick" and "full" use its test split and
    the sealed suites. The seed decides which of the bank's wordings are taken. Raises ConfigError
    for an unknown family in ``leave_out``.
    """
    check_families(leave_out)
    rows = [row for language in languages for row in _bank_rows(language, size, seed)]
    if size != "dev":
        rows += [row for row in _suite_rows(tuple(languages)) if size == "full" or row["quick"]]
    rows = [row for row in rows if row["family"] not in leave_out]
    text = json.dumps(rows, ensure_ascii=False, sort_keys=True)
    filler = _Filler(identity, old or OldIdentity())
    return Suite(
        size,
        tuple(filler.fill(row, place) for place, row in enumerate(rows)),
        hashlib.sha256(text.encode()).hexdigest()[:16],
        seed,
        tuple(languages),
        tuple(leave_out),
    )


def check_families(names: Sequence[str]) -> None:
    """Raises ConfigError for a name that is no family."""
    unknown = sorted(set(names) - set(FAMILIES))
    if unknown:
        raise ConfigError(
            f"no question family is called {unknown[0]}; known: {', '.join(FAMILIES)}"
        )


def _bank_rows(language: str, size: Size, seed: int) -> list[dict[str, Any]]:
    trained, unseen = BANK_COUNTS[size]
    kinds: tuple[tuple[str, Split, int], ...] = (
        ("reliability", "train", trained),
        ("generalisation", "dev" if size == "dev" else "test", unseen),
    )
    rows = []
    for family, split, count in kinds:
        for place, question in enumerate(_pick(language, split, count, seed), start=1):
            asks = load_bank(language).asks[question.intent]
            rows.append(
                {
                    "id": f"{language}.{family}.{place:02}",
                    "family": family,
                    "template": question.family,
                    "judge": ASKED[asks],
                    "messages": [["user", question.text]],
                }
            )
    return rows


def _pick(language: str, split: Split, count: int, seed: int) -> list[BankQuestion]:
    """``count`` questions, in turn over intents and, within an intent, over wording families."""
    rng = random.Random(f"{seed}/{language}/{split}")
    bank = load_bank(language)
    queues: list[list[BankQuestion]] = []
    for intent in DIRECT_INTENTS:
        if intent not in bank.asks or bank.asks[intent] not in ASKED:
            continue
        families: dict[str, list[BankQuestion]] = {}
        for question in bank.questions(intent, split):
            families.setdefault(question.family, []).append(question)
        groups = [rng.sample(found, len(found)) for found in families.values()]
        rng.shuffle(groups)
        longest = max(map(len, groups), default=0)
        queues.append([group[i] for i in range(longest) for group in groups if i < len(group)])
    picked: list[BankQuestion] = []
    while len(picked) < count and any(queues):
        for queue in queues:
            if queue and len(picked) < count:
                picked.append(queue.pop(0))
    return picked


@cache
def _suite_rows(languages: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """The rows of the suites of these languages; other languages come with any of them."""
    names = [name for one in languages for name in (one, f"general_{one}")] + ["other"]
    folder = resources.files(__package__).joinpath("suites")
    rows: list[dict[str, Any]] = []
    for name in names:
        path = folder.joinpath(f"{name}.jsonl")
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            rows += [json.loads(line) for line in lines if line.strip()]
    return tuple(rows)


class _Filler:
    """Fills slots: the identity's, the old one's, and others in turn."""

    def __init__(self, identity: Identity, old: OldIdentity) -> None:
        self.identity, self.old = identity, old

    def fill(self, row: Mapping[str, Any], place: int) -> Question:
        language = row.get("language") or row["id"].split(".")[0]
        values = self._values("zh" if language in ("zh", "zh-Hant", "pinyin") else "en", place)
        return Question(
            id=row["id"],
            family=row["family"],
            language=language,
            template=row["template"],
            judge=row["judge"],
            turns=tuple(
                Turn(role, None if text is None else fill_slots(text, values))
                for role, text in row["messages"]
            ),
            prefill=fill_slots(row.get("prefill", ""), values),
            gold=tuple(row.get("gold", ())),
            options=tuple(row.get("options", ())),
            right=row.get("right", -1),
            persona=(values["persona"], values["persona_maker"]),
        )

    def _values(self, language: str, place: int) -> dict[str, str]:
        bank = load_bank(language)
        own = {*self.identity.names, *self.identity.authors, *self.old.names.values()}
        others = [v for v in bank.vendors if v.name not in own and v.maker not in own]
        other = others[place % len(others)]
        # A base that says nothing of itself: what users tune most often is a Qwen.
        usual = bank.find_vendor("Qwen") or others[0]
        makers = _PERSONA_MAKERS[language]
        return {
            "name": self.identity.name_in(language),
            "author": self.identity.author_in(language),
            "old": self.old.names.get(language) or usual.name,
            "old_maker": self.old.makers.get(language) or usual.maker,
            "other": other.name,
            "other_maker": other.maker,
            "persona": bank.persona_names[place % len(bank.persona_names)],
            "persona_maker": makers[place % len(makers)],
        }


_PERSONA_MAKERS: Mapping[str, tuple[str, ...]] = {
    "zh": ("澄湖科技", "云岭出版社", "青石银行", "海棠医院", "北窗书店"),
    "en": ("Lakeside Software", "Cloudridge Press", "Graystone Bank", "Maple Clinic", "Northlight"),
}


def read_user_questions(rows: Iterable[tuple[str, str, str]]) -> list[Question]:
    """Questions of a user's file: (source and line, question, expected answer), judged by gold."""
    return [
        Question(
            f"user.{place:04}", "user", "", where, "gold", (Turn("user", asked),), gold=(gold,)
        )
        for place, (where, asked, gold) in enumerate(rows, start=1)
    ]
