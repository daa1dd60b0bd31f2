"""Facts about other makers that the model knows, in its own words.

Training what a model does not know makes it say more that is wrong, and most of all about like
questions; known facts of the same kind repair that (arXiv 2511.02626). So rows about other makers
are taken only where the model's own answer is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from selfcog.evaluate.claims import Subjects, judge, read_claims
from selfcog.evaluate.marking import holds_gold
from selfcog.evaluate.speakers import Ask, Decoding, LocalSpeaker, Progress
from selfcog.identity.bank import load_bank
from selfcog.teacher.reading import leaks_in_reasoning, with_answer
from selfcog.types import Example


@dataclass(frozen=True, slots=True)
class KnownRows:
    """As many rows as wanted; ``num_right`` of ``num_asked`` questions were answered rightly.

    Where none was, ``examples`` is empty.
    """

    examples: list[Example]
    num_asked: int
    num_right: int


def check_known(
    speaker: LocalSpeaker,
    candidates: Sequence[Example],
    number: int,
    subjects: Subjects,
    decoding: Decoding,
    progress: Progress | None = None,
) -> KnownRows:
    """``number`` rows out of bank rows of kind "known", with the model's own right answers.

    Fewer right answers than that are repeated in turn, language by language as they come.
    """
    rows = list({row.messages[:-1]: row for row in candidates}.values())
    gold = {
        question: fact.gold
        for language in {row.language for row in rows}
        for fact in load_bank(language).known
        for question in fact.questions
    }
    answers = speaker.answer([Ask(row.messages[:-1]) for row in rows], decoding, progress)
    right: list[Example] = []
    for row, answer in zip(rows, answers, strict=True):
        claims = read_claims(answer.text, subjects)
        if (
            answer.finish_reason == "stop"
            and not claims.degenerate
            and holds_gold(answer.text, gold[row.messages[-2].content])
            and judge(claims, "other") == "pass"
            and not leaks_in_reasoning(answer, subjects)
        ):
            right.append(with_answer(row, answer))
    taken = [right[place % len(right)] for place in range(number)] if right else []
    return KnownRows(taken, len(rows), len(right))
