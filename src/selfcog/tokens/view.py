"""A rendered conversation for the eye: what is learnt stands out."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from selfcog.types import IGNORE_INDEX, TokenizedExample


def show(tokenizer: Any, row: TokenizedExample, *, colour: bool = True) -> str:
    """The text of ``row``: rich markup with learnt tokens in green, or plain with ⟦…⟧ around them.

    Special tokens are shown as text, and everything in it is escaped.
    """
    from rich.markup import escape

    parts = []
    start, seen = 0, ""
    for is_learnt, group in groupby(row.labels, key=lambda label: label != IGNORE_INDEX):
        # From the beginning each time: some tokenizers drop a blank at the start of a text.
        start += sum(1 for _ in group)
        upto = tokenizer.decode(row.input_ids[:start], skip_special_tokens=False)
        text, seen = upto[len(seen) :], upto
        if colour:
            style = "bold green" if is_learnt else "dim"
            parts.append(f"[{style}]{escape(text)}[/{style}]")
        else:
            parts.append(f"⟦{text}⟧" if is_learnt else text)
    return "".join(parts)
