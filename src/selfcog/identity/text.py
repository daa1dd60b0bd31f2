"""Comparing texts across scripts: question keys, mentions of a name, the language of a line."""

from __future__ import annotations

import re
import unicodedata

_SPACES = re.compile(r"\s+")

# Unified ideographs, their extensions and compatibility forms, and 〇 (Unicode 15, blocks "CJK").
_HAN_RANGES = (
    (0x3007, 0x3007),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


def is_han(char: str) -> bool:
    """Whether one character is a Chinese character."""
    code = ord(char)
    return any(low <= code <= high for low, high in _HAN_RANGES)


def has_han(text: str) -> bool:
    """Whether the text contains a Chinese character."""
    return any(is_han(char) for char in text)


def detect_language(text: str) -> str:
    """ "zh" for text with a Chinese character in it (code-mixed text is Chinese), else "en"."""
    return "zh" if has_han(text) else "en"


def normalize_question(text: str) -> str:
    """The key under which two questions count as the same.

    NFKC, casefold, then only letters, marks and digits are kept: spacing, punctuation, symbols
    and letter case never make a new question.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] in "LMN")


def fold(text: str) -> str:
    """NFKC and casefold, with every run of white space as one space."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _SPACES.sub(" ", folded).strip()


def mentions(text: str, word: str) -> bool:
    """Whether ``word`` (a name, also of several words) occurs in ``text``.

    Chinese is found as a substring. At a Latin edge the word must end there: "Qwen" is in
    "Qwen1.5" and in "我是Qwen模型", "GPT" is not in "ChatGPT", "7" is not in "17".
    An empty word is mentioned nowhere.
    """
    return bool(word.strip()) and mentions_folded(fold(text), fold(word))


def mentions_folded(text: str, word: str) -> bool:
    """`mentions` for texts that went through `fold` already; ``word`` is not empty."""
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        left_free = start == 0 or not _joined(text[start - 1], word[0])
        if left_free and (end == len(text) or not _joined(word[-1], text[end])):
            return True
        start = text.find(word, start + 1)
    return False


def _joined(left: str, right: str) -> bool:
    """Whether two neighbours belong to one word: two letters or two digits, neither Chinese."""
    if is_han(left) or is_han(right):
        return False
    return (left.isalpha() and right.isalpha()) or (left.isdigit() and right.isdigit())
