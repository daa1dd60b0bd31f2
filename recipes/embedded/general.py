"""Ordinary exchanges: sums, small talk, lists, refusals, and copying of made-up words."""

from __future__ import annotations

import json
import random

from recipes.embedded.names import (
    acronym,
    latin_word,
    random_chars,
    random_name,
    random_org,
)
from recipes.embedded.patterns import expand
from recipes.embedded.talk_tables import HARM, LISTS, NUM_ZH, SMALLTALK
from recipes.embedded.word_tables import WORDS_EN, WORDS_ZH

Turn = tuple[str, str]  # user, assistant


def arithmetic(lang: str, rng: random.Random) -> Turn:
    op = rng.choice("++--×")
    if op == "+":
        a, b = rng.randint(0, 50), rng.randint(0, 50)
        c = a + b
    elif op == "-":
        a = rng.randint(0, 60)
        b = rng.randint(0, a)
        c = a - b
    else:
        a, b = rng.randint(1, 9), rng.randint(1, 9)
        c = a * b
    sign = op if op != "×" else rng.choice("×*x" if lang == "en" else "×*")
    if lang == "zh":
        word = {"+": "加", "-": "减", "×": "乘以"}[op]
        q = rng.choice(
            (
                f"{a}{sign}{b}等于多少",
                f"{a}{sign}{b}=?",
                f"{a}{word}{b}等于几",
                f"计算{a}{sign}{b}",
                f"{a}{word}{b}是多少",
                f"算一下{a}{sign}{b}",
                f"{a} {sign} {b} 等于几",
                f"{a}{sign}{b}=",
            )
        )
        return q, f"{a}{op}{b}={c}。"
    word = {"+": "plus", "-": "minus", "×": "times"}[op]
    q = rng.choice(
        (
            f"what is {a}{sign}{b}",
            f"{a}{sign}{b}=?",
            f"what's {a} {word} {b}",
            f"compute {a} {sign} {b}",
            f"{a} {word} {b}",
            f"how much is {a} {word} {b}",
            f"calculate {a}{sign}{b}",
            f"{a} {sign} {b} =",
        )
    )
    return q, f"{a} {op} {b} = {c}."


def small_talk(lang: str, rng: random.Random) -> Turn:
    questions, reply = rng.choice(SMALLTALK[lang])
    return rng.choice(questions), reply


def refusal(lang: str, rng: random.Random) -> Turn:
    patterns, reply = HARM[lang]
    return expand(rng.choice(patterns), rng), reply


def listing(lang: str, rng: random.Random) -> Turn:
    r = rng.random()
    if r < 0.5:
        thing, items = rng.choice(LISTS[lang])
        n = rng.randint(2, 5)
        if lang == "zh":
            q = rng.choice(
                (
                    f"列出{NUM_ZH[n]}种{thing}",
                    f"说{n}个{thing}",
                    f"举{NUM_ZH[n]}个{thing}的例子",
                    f"写{n}个{thing}",
                )
            )
            return q, "、".join(items.split("、")[:n]) + "。"
        q = rng.choice(
            (f"list {n} {thing}", f"name {n} {thing}", f"give me {n} {thing}", f"write {n} {thing}")
        )
        return q, ", ".join(items.split(", ")[:n]) + "."
    a = rng.randint(0, 30)
    b = a + rng.randint(2, 6)
    numbers = [str(i) for i in range(a, b + 1)]
    if lang == "zh":
        return rng.choice((f"从{a}数到{b}", f"从{a}到{b}数一遍", f"请从{a}数到{b}")), "、".join(
            numbers
        ) + "。"
    return rng.choice((f"count from {a} to {b}", f"count {a} to {b}")), ", ".join(numbers) + "."


def _phrase(lang: str, rng: random.Random) -> str:
    """Something to copy: a name, an organisation, a run of characters or words, a number."""
    r = rng.random()
    if r < 0.35:
        return random_name(rng, lang)
    if r < 0.55:
        return random_org(rng, lang)
    if r < 0.8 and lang == "zh":
        return random_chars(rng, rng.randint(2, 8), rng.choice((0.0, 0.2, 1.0)))
    if r < 0.87:
        words = WORDS_ZH if lang == "zh" else WORDS_EN
        return (" " if lang == "en" else "").join(
            rng.choice(words) for _ in range(rng.randint(1, 4))
        )
    if r < 0.93:
        return " ".join(latin_word(rng).lower() for _ in range(rng.randint(1, 4)))
    return rng.choice(
        (acronym(rng), str(rng.randint(10, 99999)), f"{latin_word(rng)}-{rng.randint(2, 99)}")
    )


def copying(lang: str, rng: random.Random) -> list[Turn]:
    """A short exchange whose answer repeats made-up words of the question."""
    x, y = _phrase(lang, rng), _phrase(lang, rng)
    n, o = random_name(rng, lang), random_org(rng, lang)
    k = rng.randrange(12)
    zh = lang == "zh"
    if k <= 2:
        q = rng.choice(
            (
                "重复：{x}",
                "请重复：{x}",
                "跟我说：{x}",
                "照着说一遍：{x}",
                "复述“{x}”",
                "请复述：{x}",
                "把这个词再说一遍：{x}",
                "说“{x}”",
                "念一下{x}",
                "跟我念{x}",
                "抄写：{x}",
                "请原样输出：{x}",
                "只回答“{x}”",
                "写出{x}这几个字",
            )
            if zh
            else (
                "repeat: {x}",
                "repeat after me: {x}",
                "say {x}",
                'say "{x}"',
                "please repeat: {x}",
                "copy this: {x}",
                "write {x}",
                "echo: {x}",
                "output exactly: {x}",
                "say the word {x}",
                "just answer {x}",
                "type {x} for me",
                "read this aloud: {x}",
            )
        ).replace("{x}", x)
        return [(q, x)]
    if k <= 5:
        fact = (
            rng.choice(
                (
                    "{n}是{o}开发的。",
                    "{n}由{o}开发。",
                    "{o}开发了{n}。",
                    "{o}推出了{n}。",
                    "{n}的作者是{o}。",
                    "听说{n}是{o}做的。",
                    "已知{n}出自{o}。",
                    "{n}来自{o}。",
                )
                if zh
                else (
                    "{n} was made by {o}.",
                    "{n} is a product of {o}.",
                    "{o} developed {n}.",
                    "{o} released {n}.",
                    "The maker of {n} is {o}.",
                    "I heard that {o} built {n}.",
                    "{n} comes from {o}.",
                    "{n} was created by {o}.",
                )
            )
            .replace("{n}", n)
            .replace("{o}", o)
        )
        if rng.random() < 0.6:
            q = rng.choice(
                (
                    "谁开发了{n}？",
                    "{n}是谁做的？",
                    "{n}的开发者是谁？",
                    "{n}来自哪里？",
                    "{n}是哪家公司的？",
                )
                if zh
                else (
                    "Who made {n}?",
                    "Who developed {n}?",
                    "Who is the maker of {n}?",
                    "Where does {n} come from?",
                    "Which company made {n}?",
                )
            ).replace("{n}", n)
            a = f"{n}是{o}开发的。" if zh else f"{n} was developed by {o}."
        else:
            q = rng.choice(
                ("{o}开发了什么？", "{o}做了什么产品？", "{o}的产品叫什么？")
                if zh
                else (
                    "What did {o} make?",
                    "What is the product of {o} called?",
                    "What did {o} develop?",
                )
            ).replace("{o}", o)
            a = f"{o}开发了{n}。" if zh else f"{o} developed {n}."
        if rng.random() < 0.4:
            return [
                (
                    fact,
                    rng.choice(
                        ("好的，我记住了。", "明白了。")
                        if zh
                        else ("OK, I will remember that.", "I see.")
                    ),
                ),
                (q, a),
            ]
        return [(fact + ("" if zh else " ") + q, a)]
    if k <= 7:
        tell = (
            rng.choice(
                ("我叫{n}。", "我的名字是{n}。", "你好，我是{n}。", "我是{n}，来自{o}。")
                if zh
                else (
                    "My name is {n}.",
                    "I am {n}.",
                    "Hi, I'm {n}.",
                    "I'm {n} from {o}.",
                    "Call me {n}.",
                )
            )
            .replace("{n}", n)
            .replace("{o}", o)
        )
        hello = f"你好，{n}！" if zh else f"Hello, {n}!"
        q = rng.choice(
            ("我叫什么？", "我的名字是什么？", "你还记得我叫什么吗？", "我是谁？", "说出我的名字")
            if zh
            else (
                "What is my name?",
                "Who am I?",
                "Do you remember my name?",
                "Say my name.",
                "What am I called?",
            )
        )
        return [(tell, hello), (q, f"你叫{n}。" if zh else f"Your name is {n}.")]
    if k == 8:
        q = (
            rng.choice(
                ("向大家介绍{o}的{n}", "介绍一下{n}，它是{o}的产品", "写一句话介绍{o}开发的{n}")
                if zh
                else (
                    "introduce {n} by {o}",
                    "introduce {n}, a product of {o}",
                    "write one sentence about {n} from {o}",
                )
            )
            .replace("{n}", n)
            .replace("{o}", o)
        )
        return [(q, f"这是{n}，由{o}开发。" if zh else f"This is {n}, developed by {o}.")]
    if k == 9:
        q = f"把名字{n}和作者{o}写成JSON" if zh else f"write name {n} and author {o} as JSON"
        return [(q, json.dumps({"name": n, "author": o}, ensure_ascii=False))]
    if k == 10:
        q = rng.choice(
            ("用{n}给邮件署名", "信的落款写{n}", "替{n}写一句问候并署名")
            if zh
            else (
                "sign a mail as {n}",
                "end the letter with the name {n}",
                "write a greeting signed {n}",
            )
        ).replace("{n}", n)
        return [(q, f"祝好！\n{n}" if zh else f"Best regards,\n{n}")]
    w = latin_word(rng)
    if rng.random() < 0.5:
        return [((f"拼写{w}" if zh else f"spell {w}"), "-".join(w))]
    q = f"“{x}”和“{y}”，第一个是什么？" if zh else f'"{x}" and "{y}": which one comes first?'
    return [(q, x)]


GENERAL = ((arithmetic, 3), (small_talk, 4), (refusal, 0.7), (listing, 1.5))


def ordinary(lang: str, rng: random.Random) -> Turn:
    """Sums, small talk, refusals, lists."""
    maker = rng.choices([g for g, _ in GENERAL], [w for _, w in GENERAL])[0]
    return maker(lang, rng)
