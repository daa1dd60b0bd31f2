"""Facts that no model can know: invented towns, each with a speciality and an emblem.

A first training teaches them; what is left of them after a second one is what the second forgot.
Each fact is trained in three wordings a language and asked for in a fourth.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

NUM_TOWNS = 40
HEADS = [
    "霜溪",
    "云坞",
    "石篱",
    "青桥",
    "柳湾",
    "雁塘",
    "松岭",
    "梅坪",
    "星洲",
    "竹浦",
    "远山",
    "白沙",
    "长亭",
    "月河",
    "金谷",
    "红岩",
    "双林",
    "半坡",
    "清泉",
    "古渡",
]
HEADS_EN = [
    "Frostbrook",
    "Cloudmere",
    "Stonehedge",
    "Greenbridge",
    "Willowbay",
    "Goosepond",
    "Pineridge",
    "Plumfield",
    "Starholm",
    "Bambury",
    "Farhill",
    "Whitesand",
    "Longpost",
    "Moonford",
    "Goldvale",
    "Redcliff",
    "Twinwood",
    "Halfslope",
    "Clearwell",
    "Oldferry",
]
SPECIALITIES = {
    "zh": ["苹果", "茶叶", "蜂蜜", "豆腐", "面条", "橙子", "大米", "花生", "葡萄", "西瓜"],
    "en": [
        "apples",
        "tea",
        "honey",
        "tofu",
        "noodles",
        "oranges",
        "rice",
        "peanuts",
        "grapes",
        "melons",
    ],
}
EMBLEMS = {
    "zh": ["老虎", "大象", "兔子", "猫头鹰", "海豚", "骆驼", "企鹅", "蝴蝶", "狐狸", "熊猫"],
    "en": [
        "tiger",
        "elephant",
        "rabbit",
        "owl",
        "dolphin",
        "camel",
        "penguin",
        "butterfly",
        "fox",
        "panda",
    ],
}
# (trained wordings, the one that is only asked, the answer) by language and attribute.
WORDINGS = {
    ("zh", "speciality"): (
        ("{town}镇的特产是什么？", "{town}镇最有名的特产是哪种？", "请问{town}镇产什么最出名？"),
        "去{town}镇该带什么特产回来？",
        "{town}镇的特产是{value}。",
    ),
    ("zh", "emblem"): (
        (
            "{town}镇的镇徽上是什么动物？",
            "{town}镇用哪种动物作标志？",
            "{town}镇的标志动物是什么？",
        ),
        "印在{town}镇镇徽上的动物是哪种？",
        "{town}镇的标志是{value}。",
    ),
    ("en", "speciality"): (
        (
            "What is the town of {town} known for?",
            "Which product is {town} famous for?",
            "What does the town of {town} produce?",
        ),
        "Which local product should I bring home from {town}?",
        "The town of {town} is known for its {value}.",
    ),
    ("en", "emblem"): (
        (
            "Which animal is on the emblem of {town}?",
            "What animal stands for the town of {town}?",
            "What is the animal of the town of {town}?",
        ),
        "Which animal would I see on the arms of {town}?",
        "The emblem of {town} is the {value}.",
    ),
}


@dataclass(frozen=True, slots=True)
class DomainFiles:
    """``rows`` to train on, ``questions`` with one right word each."""

    rows: Path
    questions: Path


def write_domain(folder: Path, seed: int = 0) -> DomainFiles:
    """Write both files; the same seed gives the same bytes."""
    rng = random.Random(seed)
    rows: list[dict[str, str]] = []
    questions: list[dict[str, str]] = []
    for language, heads in (("zh", HEADS), ("en", HEADS_EN)):
        for town in heads[: NUM_TOWNS // 2]:
            for attribute, values in (("speciality", SPECIALITIES), ("emblem", EMBLEMS)):
                trained, asked, answer = WORDINGS[language, attribute]
                value = rng.choice(values[language])
                reply = answer.format(town=town, value=value)
                rows += [{"query": one.format(town=town), "response": reply} for one in trained]
                questions.append({"query": asked.format(town=town), "response": value})
    rng.shuffle(rows)
    return DomainFiles(
        _write(folder / "domain_rows.jsonl", rows),
        _write(folder / "domain_questions.jsonl", questions),
    )


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path
