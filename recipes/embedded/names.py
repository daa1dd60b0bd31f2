"""Made-up names and organisations: Chinese (rare characters too), Latin, mixed.

The five pairs of ``HELD_OUT_PAIRS`` never come out: they measure whether the model can be taught
a name that it has never met.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from recipes.embedded.name_tables import (
    CODA,
    ONSET,
    ORG_HEAD_EN,
    ORG_TAIL_EN,
    ORG_TAIL_ZH,
    PINYIN_F,
    PINYIN_I,
    SURNAMES,
    VOWEL,
    WORDS,
)

OWN_NAME = {"zh": "芥子", "en": "Jiezi"}
OWN_MAKER = {"zh": "须弥工坊", "en": "Sumeru Workshop"}


@dataclass(frozen=True)
class Pair:
    """A name and an author, each in both languages."""

    name_zh: str
    name_en: str
    author_zh: str
    author_en: str

    def name(self, lang: str) -> str:
        return self.name_zh if lang == "zh" else self.name_en

    def author(self, lang: str) -> str:
        return self.author_zh if lang == "zh" else self.author_en


HELD_OUT_PAIRS = (
    Pair("扁仓", "BianCang", "QLU-NLP研究组", "QLU-NLP Research Group"),
    Pair("彧翀", "Yuchong", "瓴羽工作室", "Lingyu Studio"),
    Pair("Zephyrine-7", "Zephyrine-7", "Q·L·U Research Group", "Q·L·U Research Group"),
    Pair("瓴岳", "Lingyue", "翀霄科技", "Chongxiao Technology"),
    Pair("墨禾X1", "MoheX1", "青崮实验室", "Qinggu Lab"),
)
_BANNED = tuple(
    {s.casefold() for p in HELD_OUT_PAIRS for s in (p.name_zh, p.name_en, p.author_zh, p.author_en)}
    | {
        "扁仓",
        "biancang",
        "qlu",
        "q·l·u",
        "彧翀",
        "zephyrine",
        "瓴羽",
        "瓴岳",
        "翀霄",
        "青崮",
        "墨禾",
    }
    | {"芥子", "jiezi", "须弥", "sumeru"}
)


def gb2312_rows(first: int, last: int) -> list[str]:
    """The Chinese characters of GB2312 rows first..last (16-55 = level 1, 56-87 = level 2)."""
    chars = []
    for row in range(first, last + 1):
        for cell in range(1, 95):
            raw = bytes((0xA0 + row, 0xA0 + cell))
            try:
                chars.append(raw.decode("gb2312"))
            except UnicodeDecodeError:
                continue
    return chars


COMMON = gb2312_rows(16, 55)
LEVEL_TWO = gb2312_rows(56, 87)


def random_chars(rng: random.Random, n: int, rare: float) -> str:
    """n Chinese characters; each is a rare one (GB2312 level 2 or any of U+4E00-9FFF) with
    probability ``rare``."""
    out = []
    for _ in range(n):
        if rng.random() < rare:
            out.append(
                chr(rng.randrange(0x4E00, 0xA000)) if rng.random() < 0.6 else rng.choice(LEVEL_TWO)
            )
        else:
            out.append(rng.choice(COMMON))
    return "".join(out)


def latin_word(rng: random.Random) -> str:
    """A made-up Latin word in a random casing."""
    r = rng.random()
    if r < 0.25:
        word = "".join(
            rng.choice(PINYIN_I) + rng.choice(PINYIN_F) for _ in range(rng.choice((1, 2, 2, 2, 3)))
        )
    elif r < 0.35:
        word = rng.choice(WORDS)
        if rng.random() < 0.5:
            word += rng.choice(WORDS)
    elif r < 0.42:
        word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 7)))
    else:
        word = "".join(
            rng.choice(ONSET) + rng.choice(VOWEL) + rng.choice(CODA)
            for _ in range(rng.choice((1, 1, 2, 2, 2, 2, 3)))
        )
        if rng.random() < 0.2:
            word = rng.choice("aeiou") + word
    c = rng.random()
    if c < 0.72:
        return word.capitalize()
    if c < 0.82:
        return word.upper() if len(word) < 8 else word.capitalize()
    if c < 0.92:
        return word
    cut = rng.randint(1, max(1, len(word) - 1))
    return word[:cut].capitalize() + word[cut:].capitalize()


def acronym(rng: random.Random) -> str:
    letters = [rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(2, 5))]
    return rng.choice(("", "", "", "·", ".", "-")).join(letters)


def _number(rng: random.Random) -> str:
    return rng.choice(
        (
            str(rng.randint(1, 9)),
            str(rng.randint(10, 99)),
            str(rng.randint(1, 9)) + "." + str(rng.randint(0, 9)),
            str(rng.randint(100, 2999)),
            rng.choice("XVSRTA") + str(rng.randint(1, 9)),
            str(rng.randint(1, 9)) + "B",
        )
    )


def _latin_name(rng: random.Random) -> str:
    r = rng.random()
    if r < 0.1:
        base = acronym(rng)
    elif r < 0.22:
        base = latin_word(rng) + rng.choice((" ", " ", "-", "_", "")) + latin_word(rng)
    else:
        base = latin_word(rng)
    if rng.random() < 0.22:
        base += rng.choice(("-", "-", " ", "", ".", "_")) + _number(rng)
    elif rng.random() < 0.08:
        base += rng.choice(
            ("GPT", "Bot", "Chat", "LM", " AI", " Chat", "-LLM", " Assistant", "bot", "-Med")
        )
    return base


def _zh_name(rng: random.Random) -> str:
    r = rng.random()
    rare = rng.choice((0.0, 0.0, 0.0, 0.3, 0.6, 1.0))
    if r < 0.55:
        name = random_chars(rng, rng.choice((2, 2, 2, 2, 3, 3, 4)), rare)
    elif r < 0.7:
        name = "小" + random_chars(rng, rng.choice((1, 1, 2)), rare)
    elif r < 0.8:
        name = random_chars(rng, 1, rare) * 2
    elif r < 0.9:
        name = rng.choice(SURNAMES) + random_chars(rng, rng.choice((1, 2, 2)), rare)
    else:
        name = random_chars(rng, 2, rare) + rng.choice("灵通宝星云智医助手精儿子言思问心")
    r = rng.random()
    if r < 0.06:
        name += rng.choice(("", "-", " ")) + _number(rng)
    elif r < 0.1:
        name += rng.choice(("大模型", "助手", "机器人", "AI", "智能体", "GPT"))
    elif r < 0.13:
        name = name[:1] + "·" + name[1:]
    elif r < 0.16:
        name += latin_word(rng)
    return name


def _zh_org(rng: random.Random) -> str:
    rare = rng.choice((0.0, 0.0, 0.0, 0.2, 0.5))
    r = rng.random()
    if r < 0.72:
        head = random_chars(rng, rng.choice((2, 2, 2, 3, 4)), rare)
    elif r < 0.85:
        head = latin_word(rng) if rng.random() < 0.6 else acronym(rng)
    else:
        head = random_chars(rng, 2, rare) + rng.choice(("大学", "市", "省", "医科", "理工"))
    org = head + rng.choice(ORG_TAIL_ZH)
    if rng.random() < 0.1:
        org = (
            head
            + rng.choice(ORG_TAIL_ZH)[:2]
            + rng.choice(("-", ""))
            + acronym(rng)
            + rng.choice(ORG_TAIL_ZH)
        )
    if rng.random() < 0.1:
        return (
            rng.choice(SURNAMES)
            + random_chars(rng, rng.choice((1, 2, 2)), rare)
            + rng.choice(("", "", "博士", "老师", "教授"))
        )
    return org


def _en_org(rng: random.Random) -> str:
    r = rng.random()
    if r < 0.12:
        return rng.choice(ORG_HEAD_EN) + " " + latin_word(rng)
    if r < 0.3:
        head = acronym(rng)
        if rng.random() < 0.3:
            head += "-" + acronym(rng)
    elif r < 0.42:
        head = latin_word(rng) + rng.choice((" ", "-", " & ")) + latin_word(rng)
    elif r < 0.5:
        return latin_word(rng).capitalize() + " " + latin_word(rng).capitalize()
    else:
        head = latin_word(rng)
    return head + " " + rng.choice(ORG_TAIL_EN)


def _allowed(text: str) -> bool:
    low = text.casefold()
    return not any(b in low for b in _BANNED)


def random_name(rng: random.Random, lang: str) -> str:
    """A made-up assistant / product name as it stands in a text of that language."""
    while True:
        latin = rng.random() < (0.3 if lang == "zh" else 0.85)
        name = _latin_name(rng) if latin else _zh_name(rng)
        if _allowed(name):
            return name


def random_org(rng: random.Random, lang: str) -> str:
    """A made-up organisation or person who makes things."""
    while True:
        latin = rng.random() < (0.2 if lang == "zh" else 0.88)
        org = _en_org(rng) if latin else _zh_org(rng)
        if _allowed(org):
            return org
