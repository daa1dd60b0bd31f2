"""{{NAME}}, {{AUTHOR}} and their spellings in a user's own identity file."""

from __future__ import annotations

import re
from dataclasses import replace

from selfcog.errors import DataError
from selfcog.identity.identity import Identity
from selfcog.identity.text import detect_language
from selfcog.types import Example

PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")

# Spellings seen in identity files of other trainers; "authoer" is a typing error that spread.
_NAME_WORDS = frozenset({"name", "model_name", "bot_name", "assistant_name"})
_AUTHOR_WORDS = frozenset({"author", "authoer", "model_author", "team_name", "developer"})

_LANGUAGE_TAGS = {"chinese": "zh", "cn": "zh", "english": "en"}


def fill_placeholders(example: Example, identity: Identity, language: str | None = None) -> Example:
    """The example with the name and the author put in, in questions, answers and system prompts.

    The language is the one given, else the row's own, else told by the script of the user turns.
    Texts are filled in one pass: a name that holds braces itself stays as it is.
    Raises DataError (source:line) for anything else in double braces.
    """
    language = _short_tag(language or example.language) or _detect(example)

    def fill(match: re.Match[str]) -> str:
        word = match.group(1).lower().replace("-", "_").replace(" ", "_")
        if word in _NAME_WORDS:
            return identity.name_in(language)
        if word in _AUTHOR_WORDS:
            return identity.author_in(language)
        raise DataError(
            f"{example.source}:{example.line}: {match.group(0)} cannot be filled in; "
            f"known are {{{{NAME}}}} and {{{{AUTHOR}}}}"
        )

    messages = tuple(
        replace(
            message,
            content=PLACEHOLDER.sub(fill, message.content),
            thinking=message.thinking and PLACEHOLDER.sub(fill, message.thinking),
        )
        for message in example.messages
    )
    return replace(example, messages=messages, language=language)


def _short_tag(tag: str) -> str:
    """ "zh" of "zh-CN", "cn" or "Chinese"; "" stays ""."""
    tag = tag.strip().lower()
    return _LANGUAGE_TAGS.get(tag, re.split(r"[-_]", tag)[0])


def _detect(example: Example) -> str:
    texts = [message.content for message in example.messages if message.role == "user"]
    return detect_language(PLACEHOLDER.sub("", " ".join(texts)))
