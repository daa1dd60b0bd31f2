"""The nouns that every floor shares. Data only, no behaviour beyond derived counts.

Token arrays are plain lists of ints here; tensors begin on the floors that train.
A label of −100 marks a token that is not trained (PyTorch's ``ignore_index``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]
Language = Literal["zh", "en"]

IGNORE_INDEX = -100


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``train`` only matters for assistant turns: False keeps it as context.

    ``thinking`` is the reasoning that precedes the answer of a thinking model: None for no
    statement about it, "" for an explicitly empty one.
    """

    role: Role
    content: str
    train: bool = True
    thinking: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation to learn from; it ends with an assistant turn.

    A missing system message leaves the template's default in place; a system message with empty
    text is an explicit empty system prompt. The two are different prompts.

    ``kind`` is the share it counts towards: identity, known, domain or replay.
    ``line`` is the 1-based line or row number in ``source``; 0 for rows that selfcog made.
    """

    messages: tuple[Message, ...]
    kind: str = "domain"
    source: str = ""
    line: int = 0
    language: str = ""
    intent: str = ""
    family: str = ""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is not trained, and why. ``line`` as in Example."""

    source: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class TokenizedExample:
    """One rendered conversation.

    ``input_ids`` and ``labels`` have the same length; a label is either −100 or equal to the
    input id at the same position (the shift by one happens in the loss). ``weight`` is how much
    each of its tokens counts in the loss, beside the 1 of an ordinary token.
    """

    input_ids: list[int]
    labels: list[int]
    kind: str = "domain"
    source: str = ""
    line: int = 0
    weight: float = 1.0

    @property
    def num_tokens(self) -> int:
        return len(self.input_ids)

    @property
    def num_supervised(self) -> int:
        """Tokens that the loss counts. The first token is never predicted, so never counted."""
        return sum(label != IGNORE_INDEX for label in self.labels[1:])


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered. ``finish_reason``: "stop" (end token) or "length" (cut off)."""

    text: str
    num_tokens: int
    finish_reason: Literal["stop", "length"]
    thinking: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something noticed in data or settings before training.

    ``level`` "error" stops the run, "warning" is shown, "note" is only reported.
    """

    level: Literal["error", "warning", "note"]
    message: str
    source: str = ""
    line: int = 0


@dataclass(slots=True)
class Mixture:
    """The rows of a run: what is trained and what the evaluation loss is measured on."""

    train: list[Example] = field(default_factory=list)
    dev: list[Example] = field(default_factory=list)
