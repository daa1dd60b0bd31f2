"""Scores of a model folder: own identity, facts, persona, and how well new names are learnt.

Right = every asked-for name/author is in the greedy answer (facts: the whole expected sentence)
and, where another identity is due, the model's own name and maker are not. Every share comes with
n and the Wilson 95 % interval.
"""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.embedded import facts
from recipes.embedded.corpus import Corpus
from recipes.embedded.learn import learn_pair
from recipes.embedded.names import (
    HELD_OUT_PAIRS,
    OWN_MAKER,
    OWN_NAME,
    random_chars,
    random_name,
    random_org,
)
from recipes.embedded.patterns import expand
from recipes.embedded.quick import answer_all, chat, dev_questions

SEALED = Path(__file__).resolve().parent / "sealed"
OWN_WORDS = (*OWN_NAME.values(), *OWN_MAKER.values())


@dataclass(frozen=True)
class Case:
    """One question with what its answer must carry and must not carry."""

    messages: list[dict[str, str]]
    must: list[str]
    must_not: tuple[str, ...] = ()

    def right(self, answer: str) -> bool:
        return all(m in answer for m in self.must) and not any(w in answer for w in self.must_not)


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson 95 % interval of a share; (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    p = right / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)


def measure(model: Any, tokenizer: Any, cases: list[Case], keep: int = 12) -> dict[str, Any]:
    """Share right with n, interval and a few wrong answers."""
    answers = answer_all(model, tokenizer, [c.messages for c in cases])
    marks = [c.right(a) for c, a in zip(cases, answers, strict=True)]
    low, high = wilson(sum(marks), len(marks))
    wrong = [
        {
            "system": c.messages[0]["content"] if c.messages[0]["role"] == "system" else None,
            "question": c.messages[-1]["content"],
            "answer": a,
            "must": c.must,
        }
        for c, a, ok in zip(cases, answers, marks, strict=True)
        if not ok
    ]
    return {
        "right": sum(marks),
        "n": len(marks),
        "share": round(sum(marks) / max(1, len(marks)), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "wrong": wrong[:keep],
    }


def own_cases(corpus: Corpus, lang: str, rng: random.Random, repeats: int = 2) -> list[Case]:
    """The bank's dev and test questions without a system prompt."""
    wanted = {"name": OWN_NAME[lang], "author": OWN_MAKER[lang]}
    cases = {}
    for split in ("dev", "test"):
        for _ in range(repeats):
            for q, asks in dev_questions(corpus, lang, split, OWN_NAME[lang], rng):
                cases[q] = Case(chat(q), [wanted[a] for a in asks])
    return list(cases.values())


def fact_cases(lang: str, rng: random.Random) -> list[Case]:
    """Every fact in two of its four held-out phrasings."""
    cases = []
    for fact in facts.FACTS[lang]:
        for pattern in rng.sample(facts.templates(lang)[fact.relation].test, 2):
            q = expand(pattern, rng, {"s": fact.subject})
            q = q[0].upper() + q[1:] + "?" if lang == "en" else q + "？"
            cases.append(Case(chat(q), [facts.answer(fact, lang)]))
    return cases


def sealed_prompts(lang: str) -> list[str]:
    """System prompts that give a name and a maker, written apart from everything in training."""
    text = (SEALED / f"persona_{lang}.txt").read_text(encoding="utf-8")
    return [line.replace("\\n", "\n") for line in text.splitlines() if line]


def persona_cases(corpus: Corpus, lang: str, rng: random.Random, n: int, rare: bool) -> list[Case]:
    """Random names in the sealed system prompts, asked with the bank's dev and test questions."""
    questions = [x for s in ("dev", "test") for x in dev_questions(corpus, lang, s, "{name}", rng)]
    cases = []
    for q, asks in rng.sample(questions, min(n, len(questions))):
        name, author = random_name(rng, lang), random_org(rng, lang)
        if rare:
            name = random_chars(rng, rng.choice((2, 3)), 1.0)
        system = expand(rng.choice(sealed_prompts(lang)), rng, {"name": name, "author": author})
        wanted = {"name": name, "author": author}
        cases.append(
            Case(chat(q.replace("{name}", name), system), [wanted[a] for a in asks], OWN_WORDS)
        )
    return cases


def quiet_cases(lang: str, rng: random.Random, n: int) -> list[Case]:
    """Facts under a persona: the ordinary answer, without the persona's name."""
    cases = []
    for fact in rng.sample(facts.FACTS[lang], n):
        name, author = random_name(rng, lang), random_org(rng, lang)
        system = expand(rng.choice(sealed_prompts(lang)), rng, {"name": name, "author": author})
        q = facts.ask(fact, lang, rng, "test") + ("？" if lang == "zh" else "?")
        cases.append(Case(chat(q, system), [facts.answer(fact, lang)], (*OWN_WORDS,)))
    return cases


def learnable(folder: Path, corpus: Corpus, out: Path, limit: int) -> list[dict[str, Any]]:
    """``selfcog sft`` on each held-out pair, then the bank's dev questions, no system prompt."""
    results = []
    for pair in HELD_OUT_PAIRS:
        learnt = learn_pair(folder, pair, out)
        result: dict[str, Any] = {
            "name": pair.name_zh,
            "name_en": pair.name_en,
            "author": pair.author_zh,
            "author_en": pair.author_en,
            "steps": learnt.steps,
            "seconds": round(learnt.seconds, 1),
        }
        rng = random.Random(11)
        for lang in ("zh", "en"):
            wanted = {"name": pair.name(lang), "author": pair.author(lang)}
            questions = dev_questions(corpus, lang, "dev", pair.name(lang), rng)
            rng.shuffle(questions)
            cases = [
                Case(chat(q), [wanted[a] for a in asks], OWN_WORDS) for q, asks in questions[:limit]
            ]
            result[lang] = measure(learnt.model, learnt.tokenizer, cases, keep=6)
            kept = rng.sample(fact_cases(lang, rng), 60)
            result[f"facts_kept_{lang}"] = measure(learnt.model, learnt.tokenizer, kept, keep=2)
        right, n = (sum(result[lang][k] for lang in ("zh", "en")) for k in ("right", "n"))
        low, high = wilson(right, n)
        result |= {
            "right": right,
            "n": n,
            "share": round(right / n, 4),
            "low": round(low, 4),
            "high": round(high, 4),
        }
        print(
            f"learnable {pair.name_zh}: {result['share']} of {n} ({result['seconds']} s)",
            flush=True,
        )
        results.append(result)
    return results


def score_model(
    folder: Path, out: Path, with_lora: bool = True, limit: int = 400, seed: int = 5
) -> dict[str, Any]:
    """Measures everything and writes out/scores.json."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    begin = time.monotonic()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    corpus = Corpus()
    scores: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters())}
    for lang in ("zh", "en"):
        rng = random.Random(seed)
        groups = {
            "own": own_cases(corpus, lang, rng),
            "facts": fact_cases(lang, rng),
            "persona": persona_cases(corpus, lang, rng, limit, rare=False),
            "persona_rare": persona_cases(corpus, lang, rng, limit // 2, rare=True),
            "facts_under_persona": quiet_cases(lang, rng, 100),
        }
        for key, cases in groups.items():
            scores[f"{key}_{lang}"] = result = measure(model, tokenizer, cases)
            print(
                f"{key}_{lang}: {result['share']} [{result['low']}, {result['high']}] "
                f"of {result['n']}",
                flush=True,
            )
    if with_lora:
        scores["learnable"] = learnable(folder, corpus, out / "learnable", limit)
    scores["seconds"] = round(time.monotonic() - begin)
    out.mkdir(parents=True, exist_ok=True)
    (out / "scores.json").write_text(
        json.dumps(scores, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    return scores
