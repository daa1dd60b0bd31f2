"""Who the model is to be: a name and an author per language, and the facts that may be told."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from selfcog.errors import ConfigError
from selfcog.identity.bank import languages, load_bank
from selfcog.identity.text import fold, has_han, normalize_question

PerLanguage = str | tuple[str, ...] | Mapping[str, str]

FACTS = ("version", "based_on", "website", "license", "contact")

# Words that say what a thing is, not which one: a model "called" so cannot be told from any other.
_ORDINARY_WORDS = """
assistant, the assistant, ai, an ai, ai assistant, ai model, artificial intelligence, bot, robot,
chatbot, chat bot, language model, llm, model, machine, computer, program, helper, agent, system,
user, human, person, name, none, unknown,
助手, 助理, ai助手, ai助理, 智能助手, 智能助理, 人工智能, 人工智能助手, 机器人, 聊天机器人, 模型,
大模型, 语言模型, 大语言模型, 语言助手, 程序, 系统, 用户, 智能体, 名字, 无, 未知
"""
# What chat templates use as control tokens: <|im_end|>, <s>, [INST], <start_of_turn> …
_CONTROL_TOKEN = re.compile(r"<\|[^|]*\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")


@dataclass(frozen=True)
class Identity:
    """Name and author, each one text for all languages, a (Chinese, English) pair or a mapping.

        Identity(name=("扁仓", "BianCang"), author=("某大学某研究组", "QLU-NLP Research Group"))

    After construction ``name`` and ``author`` are mappings from language to text. Text is kept as
    it was typed, white space around it aside: 007, No, null and {{x}} are names like any other.
    Facts that are None are never mentioned. ``aliases`` are further names the model answers to.

    Raises ConfigError for a name or author that is empty, no text, or holds control characters.
    """

    name: PerLanguage
    author: PerLanguage
    aliases: tuple[str, ...] = ()
    version: str | None = None
    based_on: str | None = None
    website: str | None = None
    license: str | None = None
    contact: str | None = None
    reading_notes: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        notes = list(self.reading_notes)
        for key, value in (("name", self.name), ("author", self.author)):
            texts, note = _per_language(key, value)
            notes += [note] if note else []
            object.__setattr__(self, key, _clean_texts(key, texts))
        aliases = (self.aliases,) if isinstance(self.aliases, str) else tuple(self.aliases)
        object.__setattr__(self, "aliases", tuple(_clean("alias", alias) for alias in aliases))
        for fact in FACTS:
            text = self.fact(fact)
            object.__setattr__(self, fact, None if text is None else _clean(fact, text))
        object.__setattr__(self, "reading_notes", tuple(notes))

    def __hash__(self) -> int:
        return hash((self.name_in("zh"), self.name_in("en"), self.author_in("zh")))

    @classmethod
    def from_words(
        cls,
        names: Sequence[str],
        authors: Sequence[str],
        *,
        aliases: Sequence[str] = (),
        version: str | None = None,
        based_on: str | None = None,
        website: str | None = None,
        license: str | None = None,
        contact: str | None = None,
    ) -> Identity:
        """Read the words that a command line gives for the name and the author.

        One word serves every language; two are Chinese and English. Of more words, the Chinese
        ones at one end are the Chinese text and the rest, joined by spaces, the English one (an
        unquoted ``某大学某研究组 QLU-NLP Research Group``); words of one script are one text.
        How more than one word was understood is in `notices`.
        """
        name, name_notes = _split_words("name", names)
        author, author_notes = _split_words("author", authors)
        return cls(
            name,
            author,
            tuple(aliases),
            version,
            based_on,
            website,
            license,
            contact,
            reading_notes=(*name_notes, *author_notes),
        )

    def name_in(self, language: str) -> str:
        """The name in a language; the English one where that language has none of its own."""
        return _text_in(self.name, language)

    def author_in(self, language: str) -> str:
        """The author in a language; the English one where that language has none of its own."""
        return _text_in(self.author, language)

    def fact(self, fact: str) -> str | None:
        """One of FACTS, or None when it was not given."""
        facts: dict[str, str | None] = {
            "version": self.version,
            "based_on": self.based_on,
            "website": self.website,
            "license": self.license,
            "contact": self.contact,
        }
        return facts[fact]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name in every language, aliases included, without repeats."""
        return tuple(dict.fromkeys((*_texts(self.name), *self.aliases)))

    @property
    def authors(self) -> tuple[str, ...]:
        """Every author text in every language, without repeats."""
        return tuple(dict.fromkeys(_texts(self.author)))

    def slot_values(self, language: str) -> dict[str, str]:
        """What fills {name}, {author} and the slots of the facts that were given."""
        values = {"name": self.name_in(language), "author": self.author_in(language)}
        for fact in FACTS:
            value = self.fact(fact)
            if value is not None:
                values[fact] = value
        return values

    def notices(self) -> list[str]:
        """One-line remarks for the user: how words were read, and names that will make trouble."""
        return [*self.reading_notes, *self._warn_of_control_tokens(), *self._warn_of_names()]

    def _warn_of_control_tokens(self) -> list[str]:
        return [
            f"{text!r} looks like a control token of a chat template; models cannot say it as text"
            for text in (*self.names, *self.authors)
            if _CONTROL_TOKEN.search(text)
        ]

    def _warn_of_names(self) -> list[str]:
        notes = []
        ordinary = {normalize_question(word) for word in _ORDINARY_WORDS.split(",")}
        for name in self.names:
            if normalize_question(name) in ordinary:
                notes.append(
                    f"the name {name!r} is an ordinary word: answers that carry it cannot be told "
                    f"from any assistant's; choose a name of its own"
                )
            vendors = _vendors_in(name)
            if vendors:
                notes.append(
                    f"the name {name!r} contains the name of another maker's assistant "
                    f"({', '.join(vendors)}); users and scores will confuse the two"
                )
        return notes


def _vendors_in(name: str) -> list[str]:
    found = {
        fold(vendor.name): f"{vendor.name} of {vendor.maker}"
        for language in languages()
        for vendor in load_bank(language).vendors_mentioned(name)
    }
    return list(found.values())


def _texts(value: PerLanguage) -> tuple[str, ...]:
    assert isinstance(value, dict), "normalised on construction"
    return tuple(value.values())


def _text_in(value: PerLanguage, language: str) -> str:
    assert isinstance(value, dict), "normalised on construction"
    for key in (language, "en"):
        if key in value:
            return str(value[key])
    return str(next(iter(value.values())))


def _per_language(key: str, value: object) -> tuple[dict[str, object], str]:
    """Any of the accepted forms as {"zh": …, "en": …}, and a notice when one text serves both."""
    if isinstance(value, Mapping):
        return dict(value), ""
    parts = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(parts) == 1:
        note = f"{key}: {parts[0]!r} serves Chinese and English alike"
        return {"zh": parts[0], "en": parts[0]}, note
    if len(parts) == 2:
        return {"zh": parts[0], "en": parts[1]}, _swapped_note(key, parts[0], parts[1])
    raise ConfigError(
        f"{key}: found {len(parts)} texts {parts!r}; give one, or a pair of Chinese and English"
    )


def _swapped_note(key: str, first: object, second: object) -> str:
    if isinstance(first, str) and isinstance(second, str) and has_han(second) > has_han(first):
        return (
            f"{key}: the Chinese text comes first; {first!r} was taken as Chinese and "
            f"{second!r} as English. Swap them if that is the wrong way round"
        )
    return ""


def _split_words(key: str, words: Sequence[str]) -> tuple[PerLanguage, list[str]]:
    """The words of a command line as one text or as a (Chinese, English) pair, with notices."""
    if isinstance(words, str):
        words = (words,)
    if len(words) == 0:
        raise ConfigError(
            f"{key}: no text given; name one, for example --model_{key} 扁仓 BianCang"
        )
    if len(words) <= 2:
        guessed = len(words) == 2 and words[0] != words[1] and not has_han("".join(words))
        note = (
            f"{key}: {words[0]!r} was taken as Chinese and {words[-1]!r} as English; "
            f"put quotes around them if they are one text"
        )
        return tuple(words), [note] if guessed else []
    for word in words:
        _clean(key, word)
    leading = next((i for i, word in enumerate(words) if not has_han(word)), len(words))
    trailing = next((i for i, word in enumerate(reversed(words)) if not has_han(word)), len(words))
    if leading == len(words) or not any(has_han(word) for word in words):
        text = " ".join(words)
        return text, [f"{key}: {len(words)} words were read as one text, {text!r}"]
    if leading == 0 and trailing > 0:
        pair = " ".join(words[-trailing:]), " ".join(words[:-trailing])
    else:
        first = max(leading, 1)
        pair = " ".join(words[:first]), " ".join(words[first:])
    return pair, [f"{key}: read as {pair[0]!r} in Chinese and {pair[1]!r} in English"]


def _clean_texts(key: str, texts: Mapping[str, object]) -> dict[str, str]:
    if not texts:
        raise ConfigError(f"{key}: no text given; give one, or one per language")
    return {language: _clean(key, text) for language, text in texts.items()}


def _clean(key: str, text: object) -> str:
    if not isinstance(text, str):
        raise ConfigError(
            f"{key}: must be text, found {text!r} ({type(text).__name__}); put it in quotes"
        )
    stripped = text.strip()
    if not stripped:
        raise ConfigError(f"{key}: is empty; give a text, or leave it out altogether")
    for char in stripped:
        if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
            raise ConfigError(
                f"{key}: {stripped!r} holds the control character {char!r}; give one line of text"
            )
    return stripped
