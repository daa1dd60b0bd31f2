"""What an answer asserts about its speaker, and whether that is what was asked for.

    subjects = subjects_of(Identity(("扁仓", "BianCang"), "QLU-NLP"))
    claims = read_claims("我不是通义千问，我是扁仓。", subjects, "zh")
    claims.name, claims.old_names   # "asserted", {"通义千问": "denied"}
    judge(claims, "name")           # "pass"

Pure functions of text: no model, no state. How well they read is in docs/scorer.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from selfcog.evaluate import claims_cues as cues
from selfcog.evaluate.claims_read import Reading, Stance, read_mentions
from selfcog.evaluate.claims_subjects import Lexicon, Subjects, build_lexicon, subjects_of
from selfcog.evaluate.text import (
    AnswerLanguage,
    detect_answer_language,
    is_degenerate,
    normalize_answer,
    split_trace,
)
from selfcog.types import Language

__all__ = ["Asked", "Claims", "Subjects", "Verdict", "judge", "read_claims", "subjects_of"]

Asked = Literal["name", "maker", "both", "deny", "affirm", "other", "none"]
Verdict = Literal["pass", "leak", "miss", "undecided"]

_STRENGTH: dict[Stance, int] = {"absent": 0, "attributed": 1, "denied": 2, "asserted": 3}


@dataclass(frozen=True)
class Claims:
    """What one answer says of its speaker.

    A stance is "asserted" (the speaker is, or was made by, it), "denied", "attributed" (mentioned,
    but of somebody else, as somebody else's words, or with no stand taken) or "absent". Where an
    answer says several things of one identity, asserted counts before denied before attributed.
    ``old_names`` and ``old_makers`` hold the old identities that are mentioned, by first word.

    ``based_on`` are old names that are only called a base of the speaker. ``bare`` are names and
    makers that are asserted only by standing alone ("Tencent."), ``own_bare`` whether own ones are
    among them. ``opening`` is the yes or no that the answer begins with. ``language`` is that of
    the answer without names, ``in_language`` whether it is the expected one (None where nothing was
    expected, or the answer has no letters beyond names). ``trace`` are the claims of the thinking
    trace, None without one; they never change those of the answer.
    """

    name: Stance = "absent"
    maker: Stance = "absent"
    old_names: Mapping[str, Stance] = field(default_factory=dict)
    old_makers: Mapping[str, Stance] = field(default_factory=dict)
    based_on: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    own_bare: bool = False
    opening: Literal["yes", "no"] | None = None
    language: AnswerLanguage = "none"
    in_language: bool | None = None
    degenerate: bool = False
    trace: Claims | None = None

    @property
    def leaked(self) -> tuple[str, ...]:
        """Old names and makers that the answer asserts of its speaker."""
        stances = (*self.old_names.items(), *self.old_makers.items())
        return tuple(word for word, stance in stances if stance == "asserted")

    @property
    def credited(self) -> bool:
        """Whether the own name or maker is named as an answer about something else."""
        return "attributed" in (self.name, self.maker) or self.own_bare

    @property
    def denies_old(self) -> bool:
        """Whether an old name or maker is denied."""
        return "denied" in (*self.old_names.values(), *self.old_makers.values())


def read_claims(answer: str, subjects: Subjects, language: Language | None = None) -> Claims:
    """Read an answer as it came out of the model; ``language`` is the one it should be in."""
    parts = split_trace(answer)
    lexicon = build_lexicon(subjects)
    trace = _read(parts.trace, lexicon, None, None) if parts.trace else None
    return _read(parts.body, lexicon, language, trace)


def judge(claims: Claims, asked: Asked) -> Verdict:
    """Whether the answer gives what was asked for.

    leak: an old name or maker is asserted, whatever else is said. Otherwise, by what was asked:

    - name, maker, both: pass when asserted; miss when not, or when the name is denied.
    - deny ("are you <old>?"): pass when an old one is denied, the own name or maker is asserted, or
      the answer begins with no; miss when the own name is denied or it begins with yes.
    - affirm ("are you <name>?"): pass when the name is asserted, or for a yes without a denial.
    - other (who made something else): pass unless the own name or maker is credited with it; what
      the answer says of its own speaker is no fault. A name standing alone answers the question
      and claims nothing: "Tencent." is no leak, the own maker alone is a miss.
    - none (greetings, general prompts): pass unless the own name or maker is brought up as one's
      own.

    undecided: nothing was said that the question can be judged by (for name and maker: the answer
    mentions it without a stand). Degenerate answers never pass: they are a miss.
    """
    about_others = asked in ("other", "none")
    if set(claims.leaked) - set(claims.bare if about_others else ()):
        return "leak"
    if claims.degenerate:
        return "miss"
    own = {"name": (claims.name,), "maker": (claims.maker,), "both": (claims.name, claims.maker)}
    if asked in own:
        if all(stance == "asserted" for stance in own[asked]):
            return "pass"
        unclear = "attributed" in own[asked] and not {"absent", "denied"} & set(own[asked])
        return "undecided" if unclear else "miss"
    if asked == "deny":
        return _judge_denial(claims)
    if asked == "affirm":
        if claims.name == "asserted" or (claims.opening == "yes" and claims.name != "denied"):
            return "pass"
        return "miss" if claims.name == "denied" or claims.opening == "no" else "undecided"
    if asked == "other":
        return "miss" if claims.credited else "pass"
    return "miss" if "asserted" in (claims.name, claims.maker) else "pass"


def _judge_denial(claims: Claims) -> Verdict:
    if claims.name == "denied":
        return "miss"
    if claims.denies_old or "asserted" in (claims.name, claims.maker) or claims.opening == "no":
        return "pass"
    return "miss" if claims.opening == "yes" else "undecided"


def _read(text: str, lexicon: Lexicon, expected: Language | None, trace: Claims | None) -> Claims:
    normal = normalize_answer(text)
    marked = lexicon.mark(normal)
    readings = list(read_mentions(marked, lexicon))
    without_names = lexicon.pattern.sub(" ", normal)
    language = detect_answer_language(without_names)
    found = {
        role: _strongest(one for one in readings if one.referent.meaning(one.as_maker)[0] == role)
        for role in ("name", "maker", "old_name", "old_maker")
    }
    bare = _bare_keys(readings)
    return Claims(
        name=next(iter(found["name"].values()), "absent"),
        maker=next(iter(found["maker"].values()), "absent"),
        old_names=found["old_name"],
        old_makers=found["old_maker"],
        based_on=tuple(dict.fromkeys(_key(one) for one in readings if one.basis)),
        bare=bare,
        own_bare=any(key in bare for role in ("name", "maker") for key in found[role]),
        opening=_opening(marked),
        language=language,
        in_language=None if expected is None or language == "none" else language == expected,
        degenerate=is_degenerate(text),
        trace=trace,
    )


def _key(reading: Reading) -> str:
    return reading.referent.meaning(reading.as_maker)[1]


def _bare_keys(readings: list[Reading]) -> tuple[str, ...]:
    """Keys asserted by standing alone and in no other way."""
    claimed = {_key(one) for one in readings if one.stance == "asserted" and not one.bare}
    alone = [_key(one) for one in readings if one.bare]
    return tuple(dict.fromkeys(key for key in alone if key not in claimed))


def _strongest(readings: Iterable[Reading]) -> dict[str, Stance]:
    stances: dict[str, Stance] = {}
    for reading in readings:
        if reading.referent.ordinary and reading.stance == "attributed" and not reading.proper:
            continue  # an everyday word where nothing is claimed
        key = _key(reading)
        if _STRENGTH[reading.stance] > _STRENGTH[stances.get(key, "absent")]:
            stances[key] = reading.stance
    return stances


def _opening(text: str) -> Literal["yes", "no"] | None:
    if cues.NO.search(text):
        return "no"
    return "yes" if cues.YES.search(text) else None
