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
    body = text
    if not opened:
        if not text.lstrip().startswith(THINK_START):
            return None, text
        body = text.lstrip().removeprefix(THINK_START)
    thinking, closed, answer = body.partition(THINK_END)
    if not closed:
        return thinking.strip(), ""
    return thinking.strip(), answer.lstrip()


class ThinkingSplitter:
    """The same for a text that comes in pieces: says of every part whether it is reasoning.

    A tag may be spread over pieces, so that what could be the beginning of one is held back.
    """

    def __init__(self, *, opened: bool) -> None:
        self.buffer = ""
        self.at_start = not opened
        self.is_thinking = opened
        self.after_thinking = False

    def push(self, piece: str) -> list[tuple[bool, str]]:
        """Parts as (is reasoning, text), in order; none of them empty."""
        self.buffer += piece
        parts: list[tuple[bool, str]] = []
        if self.at_start:
            start = self.buffer.lstrip()
            if start != THINK_START and THINK_START.startswith(start):
                return []
            self.at_start = False
            if start.startswith(THINK_START):
                self.is_thinking = True
                self.buffer = start.removeprefix(THINK_START)
        if self.is_thinking:
            thought, closed, answer = self.buffer.partition(THINK_END)
            if not closed:
                keep = _overlap(thought, THINK_END)
                self.buffer = thought[len(thought) - keep :]
                return [(True, text)] if (text := thought[: len(thought) - keep]) else []
            self.is_thinking = False
            self.buffer = answer
            if thought:
                parts.append((True, thought))
            self.after_thinking = True
        if self.after_thinking:
            self.buffer = self.buffer.lstrip()
            self.after_thinking = not self.buffer
        if self.buffer:
            parts.append((False, self.buffer))
            self.buffer = ""
        return parts

    def end(self) -> list[tuple[bool, str]]:
        """What was held back for a tag that did not come."""
        rest, self.buffer = self.buffer, ""
        return [(self.is_thinking, rest)] if rest else []


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of ``text`` that ``tag`` begins with."""
    return next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)
