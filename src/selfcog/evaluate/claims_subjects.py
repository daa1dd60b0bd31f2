"""Who claims may be about: the new identity and the old ones, and finding their words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from selfcog.evaluate.text import normalize_answer
from selfcog.identity import Identity
from selfcog.identity.bank import languages, load_bank
from selfcog.identity.text import is_han

Role = Literal["name", "maker", "old_name", "old_maker"]
# Mentions become single private-use characters, so that patterns can speak of them.
FIRST_TOKEN = 0xE000
# "Qwen2.5-7B", "Llama 3", "DeepSeek-V3": a version belongs to the mention.
_VERSION = r"(?:[- ]?v?\d+(?:\.\d+)*(?:[- ]?\d*b\b)?)?"
# Makers of the bank's assistants under one name each; the bank has one word a language.
_MAKER_ALIASES = (
    (
        "Alibaba Cloud",
        "Alibaba",
        "Alibaba Group",
        "阿里云",
        "阿里巴巴",
        "达摩院",
        "Tongyi Lab",
        "通义实验室",
    ),
    ("OpenAI", "Open AI"),
    ("Google", "谷歌", "Google DeepMind", "DeepMind"),
    ("Meta", "Meta AI", "Facebook", "脸书"),
    ("Microsoft", "微软", "Microsoft Research"),
    ("Baidu", "百度"),
    ("ByteDance", "字节跳动"),
    ("Tencent", "腾讯"),
    ("Moonshot AI", "Moonshot", "月之暗面"),
    ("DeepSeek-AI", "DeepSeek", "深度求索"),
    ("Zhipu AI", "Zhipu", "智谱AI", "智谱", "Z.ai"),
    ("iFLYTEK", "科大讯飞", "讯飞"),
    ("Huawei", "华为"),
    ("Apple", "苹果公司"),
    ("Amazon", "亚马逊"),
    ("Shanghai AI Laboratory", "Shanghai AI Lab", "上海人工智能实验室"),
    ("Baichuan Inc.", "百川智能"),
    ("MiniMax AI", "MiniMax"),
    ("Mistral AI", "Mistral"),
)


@dataclass(frozen=True)
class Subjects:
    """The words of the new identity and of all identities that a model must not claim.

    ``names`` and ``makers`` hold all aliases in all languages. Every group of ``old_names`` and
    ``old_makers`` is one identity, its first word the one under which it is reported; a word may
    stand among both (DeepSeek). Words of the new identity are never old ones. ``ordinary`` lists
    names that are everyday words (Echo, 晴天): they count only where something is claimed.
    """

    names: tuple[str, ...]
    makers: tuple[str, ...] = ()
    old_names: tuple[tuple[str, ...], ...] = ()
    old_makers: tuple[tuple[str, ...], ...] = ()
    ordinary: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Referent:
    """What one word may mean: at most one (role, key) as a name and one as a maker."""

    as_name: tuple[Role, str] | None
    as_maker: tuple[Role, str] | None
    ordinary: bool

    def meaning(self, as_maker: bool) -> tuple[Role, str]:
        """The role and the key in the role asked for, or in the only one that there is."""
        found = (self.as_maker or self.as_name) if as_maker else (self.as_name or self.as_maker)
        assert found is not None, "a word of the lexicon is a name or a maker"
        return found


@dataclass(frozen=True)
class Lexicon:
    """All words of some subjects as one pattern, longest first."""

    pattern: re.Pattern[str]
    words: dict[str, int]
    referents: tuple[Referent, ...]

    def mark(self, text: str) -> str:
        """A normalised text with every mention as one character, FIRST_TOKEN + its referent."""
        return self.pattern.sub(
            lambda match: chr(FIRST_TOKEN + self.words[_squeeze(match.group("word"))]), text
        )

    def referent(self, token: str) -> Referent:
        """What a character made by `mark` stands for."""
        return self.referents[ord(token) - FIRST_TOKEN]


def subjects_of(
    identity: Identity,
    *,
    old_names: Iterable[Iterable[str]] = (),
    old_makers: Iterable[Iterable[str]] = (),
    ordinary: Iterable[str] = (),
) -> Subjects:
    """An identity against every assistant of the bank and the old names given beside them.

    ``old_names`` and ``old_makers`` are groups of words, one group an identity; groups that share
    a word with one of the bank's are joined to it, under their own first word.
    """
    vendors = [vendor for language in languages() for vendor in load_bank(language).vendors]
    named = [tuple(group) for group in old_names]
    named += [(vendor.name, *vendor.aliases) for vendor in vendors]
    made = [tuple(group) for group in old_makers] + list(_MAKER_ALIASES)
    made += [(vendor.maker,) for vendor in vendors]
    return Subjects(
        identity.names, identity.authors, _join(named), _join(made), frozenset(ordinary)
    )


def _join(groups: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Groups that share a word are one."""
    joined: list[list[str]] = []
    for group in groups:
        keys = set(map(_key, group))
        same = [other for other in joined if keys & set(map(_key, other))]
        merged = [word for other in same for word in other] + list(group)
        joined = [other for other in joined if other not in same] + [merged]
    return tuple(tuple(dict.fromkeys(group)) for group in joined)


@lru_cache(maxsize=32)
def build_lexicon(subjects: Subjects) -> Lexicon:
    """Compile the words of some subjects."""
    as_name: dict[str, tuple[Role, str]] = {}
    as_maker: dict[str, tuple[Role, str]] = {}
    for word in subjects.names:
        as_name[_key(word)] = ("name", subjects.names[0])
    for word in subjects.makers:
        as_maker[_key(word)] = ("maker", subjects.makers[0])
    own = {*as_name, *as_maker}
    for group in subjects.old_names:
        for word in group:
            if _key(word) not in own:
                as_name[_key(word)] = ("old_name", group[0])
    for group in subjects.old_makers:
        for word in group:
            if _key(word) not in own:
                as_maker[_key(word)] = ("old_maker", group[0])
    ordinary = set(map(_key, subjects.ordinary))
    words = sorted({*as_name, *as_maker} - {""}, key=lambda word: (-len(word), word))
    referents = tuple(
        Referent(as_name.get(word), as_maker.get(word), word in ordinary) for word in words
    )
    spelled = {_spell(word): len(_key(word)) for word in _all_words(subjects) if _key(word)}
    choices = "|".join(sorted(spelled, key=lambda one: (-spelled[one], one))) or "(?!)"
    # Versions are outside the group, so that the word alone is looked up.
    pattern = re.compile(f"(?P<word>{choices}){_VERSION}")
    return Lexicon(pattern, {word: index for index, word in enumerate(words)}, referents)


def _all_words(subjects: Subjects) -> list[str]:
    groups = (subjects.names, subjects.makers, *subjects.old_names, *subjects.old_makers)
    return [word for group in groups for word in group]


def _key(word: str) -> str:
    return _squeeze(normalize_answer(word))


def _squeeze(word: str) -> str:
    return re.sub(r"[\s·\-]+", "", word)


def _spell(word: str) -> str:
    """A pattern for a word as it was given; spaces are optional at its own joints only.

    Joints are spaces, hyphens, dots and changes to upper case: BianCang is also "Bian Cang".
    """
    jointed = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word.strip())
    parts = [part for part in re.split(r"[\s·\-]+", normalize_answer(jointed)) if part]
    body = r"[\s·\-]?".join(map(re.escape, parts))
    before = "" if is_han(parts[0][0]) else r"(?<![a-z0-9])"
    after = "" if is_han(parts[-1][-1]) else r"(?![a-z])"
    return before + body + after
