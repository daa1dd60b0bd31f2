"""What does a model say of itself today? The old names that a new identity must replace.

A few identity questions of the bank's dev split, greedy, with and without system prompts, in each
language. Known assistants and makers are found by their names; names that nobody knows by the
frames in which models introduce themselves ("我是芥子，由须弥工坊开发").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from selfcog.evaluate.claims import read_claims
from selfcog.evaluate.claims_subjects import Subjects, subjects_of
from selfcog.evaluate.marking import holds_word
from selfcog.evaluate.questions import OldIdentity
from selfcog.evaluate.speakers import Ask, Decoding, Progress, Speaker
from selfcog.identity import Identity
from selfcog.identity.bank import load_bank
from selfcog.types import Message

INTENTS = ("name", "maker", "both", "what", "introduce")
QUESTIONS_AN_INTENT = 3
# A name that stands in one answer of fifteen may be a slip; in a fifth of them it is a habit.
LEAST_SHARE = 0.2
_NAME = {
    "zh": re.compile(
        r"(?:我是|我叫|名字是|名字叫|称呼我为?|叫我)(?!由|一[个款名位]|谁|来自)[“\"《]?([^，。,.！!？?、：:；;\s”\"》的由]{1,16})"
    ),
    "en": re.compile(
        r"\b(?:I am|I'm|my name is|I'm called|call me)\s+(?!an?\b|the\b|not\b|sorry\b|here\b|from\b"
        r"|made\b|created\b|developed\b|trained\b|glad\b|happy\b)"
        r"([A-Z][\w·.\-]*(?:\s[A-Z0-9][\w·.\-]*){0,3})"
    ),
}
_MAKER = {
    "zh": re.compile(
        r"(?:由|来自|出自)([^，。,.！!？?、：:；;\s]{2,20}?)(?:开发|研发|训练|创造|打造|推出|制作|创建|的|$|，|。)"
    ),
    "en": re.compile(
        r"\b(?:developed|created|made|built|trained|designed) (?:by|at)\s+"
        r"((?:[A-Z](?:[\w·&'\-]|\.(?=\w))*|of|and|&)"
        r"(?:\s(?:[A-Z0-9](?:[\w·&'\-]|\.(?=\w))*|of|and|&|the))*)"
    ),
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One answer of the interview. ``system`` None: the template's own default stood there."""

    language: str
    system: str | None
    question: str
    answer: str
    thinking: str | None = None


@dataclass(frozen=True, slots=True)
class Interview:
    """What a model says of itself: counts of answers by language, name and maker.

    ``default_system`` is the text that the chat template adds by itself. ``trace_names`` are those
    asserted in thinking traces.
    """

    model: str
    names: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    makers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    trace_names: Mapping[str, int] = field(default_factory=dict)
    default_system: str | None = None
    num_answers: Mapping[str, int] = field(default_factory=dict)
    statements: tuple[Statement, ...] = ()

    @property
    def old(self) -> OldIdentity:
        """The commonest name and maker of each language."""
        return OldIdentity(
            {lang: next(iter(found)) for lang, found in self.names.items() if found},
            {lang: next(iter(found)) for lang, found in self.makers.items() if found},
        )

    @property
    def as_identity(self) -> Identity | None:
        """The model's present identity, for asking how firmly it holds it; None without a name."""
        old = self.old
        if not old.names:
            return None
        name, maker = (_both_languages(part) for part in (old.names, old.makers))
        return Identity(name, maker or name)

    def subjects_for(self, identity: Identity, ordinary: Iterable[str] = ()) -> Subjects:
        """``identity`` against what the model calls itself and every known assistant."""
        old = self.old
        return subjects_of(
            identity,
            ordinary=ordinary,
            old_names=[tuple(dict.fromkeys(old.names.values()))] if old.names else (),
            old_makers=[tuple(dict.fromkeys(old.makers.values()))] if old.makers else (),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Interview:
        statements = tuple(Statement(**one) for one in data.get("statements", ()))
        return cls(**{**data, "statements": statements})


def interview(
    speaker: Speaker,
    *,
    languages: Sequence[str] = ("zh", "en"),
    default_system: str | None = None,
    decoding: Decoding | None = None,
    progress: Progress | None = None,
) -> Interview:
    """Ask a model who it is."""
    decoding = decoding or Decoding()
    asked: list[tuple[str, str | None, str]] = []
    for language in languages:
        bank = load_bank(language)
        systems = [None, "", *bank.systems("generic")[:1]]
        for intent in INTENTS:
            questions = [one.text for one in bank.questions(intent, "dev")]
            step = max(1, len(questions) // QUESTIONS_AN_INTENT)
            for place, text in enumerate(questions[::step][:QUESTIONS_AN_INTENT]):
                asked.append((language, systems[place % len(systems)], text))
    asks = [
        Ask(
            (
                *(() if system is None else (Message("system", system),)),
                Message("user", text),
            )
        )
        for _, system, text in asked
    ]
    answers = speaker.answer(asks, decoding, progress)
    statements = tuple(
        Statement(language, system, text, answer.text, answer.thinking)
        for (language, system, text), answer in zip(asked, answers, strict=True)
    )
    nobody = Identity("nobody", "nobody")
    known = replace(subjects_of(nobody), names=(), makers=())
    names = {lang: _names(statements, lang, known) for lang in languages}
    makers = {lang: _makers(statements, lang, known) for lang in languages}
    traces: Counter[str] = Counter()
    for one in statements:
        if one.thinking:
            claims = read_claims(one.thinking, known)
            traces.update(w for w, stance in claims.old_names.items() if stance == "asserted")
    return Interview(
        speaker.label,
        names,
        makers,
        dict(traces.most_common()),
        default_system,
        {lang: sum(one.language == lang for one in statements) for lang in languages},
        statements,
    )


def _names(statements: Sequence[Statement], language: str, known: Subjects) -> dict[str, int]:
    return _count(statements, language, known, _NAME, of_maker=False)


def _makers(statements: Sequence[Statement], language: str, known: Subjects) -> dict[str, int]:
    return _count(statements, language, known, _MAKER, of_maker=True)


def _count(
    statements: Sequence[Statement],
    language: str,
    known: Subjects,
    frames: Mapping[str, re.Pattern[str]],
    *,
    of_maker: bool,
) -> dict[str, int]:
    """Answers by the name they assert, the commonest first, those below LEAST_SHARE left out."""
    counts: Counter[str] = Counter()
    answers = [one.answer for one in statements if one.language == language]
    for answer in answers:
        claims = read_claims(answer, known)
        stances = claims.old_makers if of_maker else claims.old_names
        groups = known.old_makers if of_maker else known.old_names
        keys = {word for word, stance in stances.items() if stance == "asserted"}
        found = {_as_said(answer, group) for group in groups if group[0] in keys}
        if not found:
            frame = frames.get(language, frames["en"])
            found = {match.group(1).strip(" .") for match in frame.finditer(answer)}
        counts.update(word for word in found if word)
    least = LEAST_SHARE * len(answers) / (2 if of_maker else 1)  # fewer questions ask for a maker
    return {word: count for word, count in counts.most_common() if count >= least}


def _as_said(answer: str, group: Sequence[str]) -> str:
    """The longest word of a group of aliases that the answer uses."""
    said = [word for word in group if holds_word(answer, word)]
    return max(said, key=len, default=group[0])


def _both_languages(part: Mapping[str, str]) -> tuple[str, str] | str:
    zh, en = part.get("zh"), part.get("en")
    return (zh, en) if zh and en else (zh or en or "")
