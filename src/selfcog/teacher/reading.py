"""What the kinds of rows have in common that take the model's own answer."""

from __future__ import annotations

from dataclasses import replace

from selfcog.evaluate.claims import Subjects, read_claims
from selfcog.types import Completion, Example, Message


def with_answer(row: Example, answer: Completion) -> Example:
    """``row`` with another last turn, its reasoning included."""
    reply = Message("assistant", answer.text.strip(), thinking=answer.thinking)
    return replace(row, messages=(*row.messages[:-1], reply))


def leaks_in_reasoning(answer: Completion, subjects: Subjects) -> bool:
    """Whether the reasoning, which is learnt along, claims an old name or maker."""
    return bool(answer.thinking) and bool(read_claims(answer.thinking or "", subjects).leaked)
