"""Text patterns: ``[a|b|]`` chooses one branch (may be empty, may nest), ``{slot}`` is filled.

The same syntax as the identity bank, so that bank questions and the recipe's own grammar mix.
"""

from __future__ import annotations

import random
import re
import unicodedata
from functools import cache
from typing import Any

Node = tuple[
    str, tuple[Any, ...]
]  # ("text", (str,)) | ("choice", (seq, seq, ...)) with seq = tuple of Node


@cache
def _parse(pattern: str) -> tuple[Node, ...]:
    nodes, end = _parse_sequence(pattern, 0)
    assert end == len(pattern), f"unbalanced brackets in pattern: {pattern}"
    return nodes


def _parse_sequence(pattern: str, i: int) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    text: list[str] = []
    while i < len(pattern) and pattern[i] not in "|]":
        if pattern[i] == "[":
            if text:
                nodes.append(("text", ("".join(text),)))
                text = []
            branches = []
            i += 1
            while True:
                branch, i = _parse_sequence(pattern, i)
                branches.append(branch)
                assert i < len(pattern), f"unclosed [ in pattern: {pattern}"
                if pattern[i] == "]":
                    i += 1
                    break
                i += 1
            nodes.append(("choice", tuple(branches)))
        else:
            text.append(pattern[i])
            i += 1
    if text:
        nodes.append(("text", ("".join(text),)))
    return tuple(nodes), i


def expand(pattern: str, rng: random.Random, slots: dict[str, str] | None = None) -> str:
    """One random expansion of the pattern with its slots filled."""
    out: list[str] = []

    def walk(nodes: tuple[Node, ...]) -> None:
        for kind, value in nodes:
            if kind == "text":
                out.append(value[0])
            else:
                walk(value[rng.randrange(len(value))])

    walk(_parse(pattern))
    text = "".join(out)
    if slots and "{" in text:
        text = re.sub(r"\{(\w+)\}", lambda m: slots.get(m.group(1), m.group(0)), text)
    return text


def count_expansions(pattern: str) -> int:
    """How many expansions the pattern has (equal ones counted twice)."""

    def count(nodes: tuple[Node, ...]) -> int:
        total = 1
        for kind, value in nodes:
            if kind == "choice":
                total *= sum(count(branch) for branch in value)
        return total

    return count(_parse(pattern))


def normalise(text: str) -> str:
    """NFKC, casefold, letters and digits only: two questions equal after this are one question."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LNM")


def expand_all(pattern: str, limit: int = 5000) -> list[str]:
    """All expansions of the pattern (slots kept), at most ``limit``."""

    def walk(nodes: tuple[Node, ...]) -> list[str]:
        texts = [""]
        for kind, value in nodes:
            tails = [value[0]] if kind == "text" else [t for branch in value for t in walk(branch)]
            texts = [a + b for a in texts for b in tails][:limit]
        return texts

    return walk(_parse(pattern))
