"""Text out of token ids as they come, and an answer apart from the reasoning before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# What a decoder writes for bytes that are no character (yet).
BROKEN = "\ufffd"
THINK_START, THINK_END = "<think>", "</think>"


class PieceDecoder:
    """Turns ids into text piece by piece; the pieces joined are the decoded whole.

    A token may hold a part of a character only. Text that ends in a broken character is held back
    until the next ids complete it, or until the end. Only the ids since the last piece but one are
    decoded again: decoders may treat the first token of a text differently, so it needs one piece
    of context.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self.decode = decode
        self.context: list[int] = []
        self.pending: list[int] = []

    def push(self, token: int) -> str:
        """The text that ``token`` completes; "" while it is part of a character."""
        self.pending.append(token)
        piece = self._piece()
        if not piece or piece.endswith(BROKEN):
            return ""
        self.context, self.pending = self.pending, []
        return piece

    def end(self, *, cut_off: bool) -> str:
        """What is still held back. A broken last character is dropped if the text is cut off;
        otherwise the model itself wrote it that way."""
        rest = self._piece()
        return rest.rstrip(BROKEN) if cut_off else rest

    def _piece(self) -> str:
        before = self.decode(self.context)
        return self.decode(self.context + self.pending)[len(before) :]


def split_thinking(text: str, *, opened: bool) -> tuple[str | None, str]:
    """(reasoning, answer) of a generated text; reasoning is None where there was none.

    ``opened``: the prompt already ended with <think>. Reasoning that was cut off before its end
    tag leaves an empty answer.
    """
    stripped = text.lstrip()
    if not opened and not stripped.startswith(THINK_START):
        return None, text
    body = stripped.removeprefix(THINK_START)
    thinking, closed, answer = body.partition(THINK_END)
    if not closed:
        return thinking.strip(), ""
    return thinking.strip(), answer.lstrip()
