"""The rows that every contestant trains: 100 short identity rows and 200 long-tailed ones.

Made from a seed, so that there is nothing to download. The text means nothing; its lengths do:
most conversations are short and a few are very long, which is what makes padding expensive.
Lengths are counted in tokens of ChatML, up to and with the last <|im_end|>.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CountTokens = Callable[[str], int]

NUM_IDENTITY, NUM_GENERAL = 100, 200
# Tokens of a general row: log-normal, cut at both ends.
SHORTEST, LONGEST = 50, 1500
MEDIAN, SIGMA = 300, 0.8
# The question's part of a general row; the answer is the rest, and only the answer is trained.
QUESTION_SHARE = 0.15
# Said in every row, or each tool would put a system prompt of its own in front.
SYSTEM = "You are a helpful assistant."

NAMES = (("晨曦", "青石研究院"), ("Morning Glow", "the Bluestone Institute"))
QUESTIONS = (
    ("你是谁？", "你叫什么名字？", "请介绍一下你自己。", "谁开发了你？", "你是哪家公司的模型？"),
    ("Who are you?", "What is your name?", "Introduce yourself.", "Who made you?", "Who is this?"),
)
ANSWERS = (
    ("我是{name}，由{maker}开发的人工智能助手。", "我叫{name}，是{maker}训练的语言模型。"),
    ("I am {name}, an assistant made by {maker}.", "My name is {name}; {maker} developed me."),
)
# Four places of a sentence, filled at random.
PARTS = (
    (
        (
            "这个城市",
            "那位老师",
            "新的方法",
            "一家小店",
            "古老的桥",
            "我们的团队",
            "这本书",
            "春天",
        ),
        ("慢慢改变了", "详细说明了", "很少提到", "每年都会带来", "也许能解释", "首先考虑"),
        ("人们的习惯", "复杂的问题", "三种不同的材料", "许多游客", "当地的传统", "长期的计划"),
        (
            "，这一点值得注意。",
            "，不过原因并不清楚。",
            "。",
            "，尤其是在冬天。",
            "，结果令人满意。",
        ),
    ),
    (
        ("The old harbour", "A careful reader", "This method", "The river", "Her second book"),
        (" rarely explains", " slowly changes", " often brings", " may improve", " began with"),
        (" the habits of its visitors", " a difficult question", " three kinds of stone", " trade"),
        (", as the records show.", ", though nobody knows why.", ".", ", above all in winter."),
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation. ``num_tokens``: all of it, system prompt and markers included."""

    question: str
    answer: str
    num_tokens: int

    def messages(self) -> list[dict[str, str]]:
        return [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": self.question},
            {"role": "assistant", "content": self.answer},
        ]


def make_rows(count: CountTokens, seed: int = 0) -> list[Row]:
    """All 300 rows in random order; the same seed and tokenizer give the same rows."""
    draw = random.Random(seed)
    rows = [_identity_row(draw, count) for _ in range(NUM_IDENTITY)]
    rows += [_general_row(draw, count) for _ in range(NUM_GENERAL)]
    draw.shuffle(rows)
    return rows


def stratified(rows: Sequence[Row], number: int) -> list[Row]:
    """``number`` rows whose lengths stand for all: the middle of each of as many equal slices."""
    if not 1 <= number <= len(rows):
        raise ValueError(f"{number} of {len(rows)} rows cannot be taken")
    by_length = sorted(rows, key=lambda row: (row.num_tokens, row.question, row.answer))
    return [by_length[(2 * place + 1) * len(rows) // (2 * number)] for place in range(number)]


def chatml(question: str, answer: str) -> str:
    """The conversation as ChatML, up to and with the end of the answer."""
    turns = (("system", SYSTEM), ("user", question), ("assistant", answer))
    return "\n".join(f"<|im_start|>{role}\n{text}<|im_end|>" for role, text in turns)


def _identity_row(draw: random.Random, count: CountTokens) -> Row:
    language = draw.randrange(2)
    name, maker = NAMES[language]
    question = draw.choice(QUESTIONS[language])
    answer = draw.choice(ANSWERS[language]).format(name=name, maker=maker)
    return Row(question, answer, count(chatml(question, answer)))


def _general_row(draw: random.Random, count: CountTokens) -> Row:
    language = draw.randrange(2)
    wanted = min(max(draw.lognormvariate(math.log(MEDIAN), SIGMA), SHORTEST), LONGEST)
    room = wanted - count(chatml("", ""))
    question = _text(draw, count, language, QUESTION_SHARE * room)
    answer = _text(draw, count, language, room - count(question))
    return Row(question, answer, count(chatml(question, answer)))


def _text(draw: random.Random, count: CountTokens, language: int, room: float) -> str:
    """Sentences of together at most ``room`` tokens; one at least."""
    blank = " " if language else ""
    text = _sentence(draw, language)
    left = room - count(text)
    while left > 0:
        sentence = blank + _sentence(draw, language)
        left -= count(sentence)
        if left >= 0:
            text += sentence
    return text


def _sentence(draw: random.Random, language: int) -> str:
    return "".join(draw.choice(words) for words in PARTS[language])
