"""Fact questions: one question and answer drawn from the tables and templates."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from recipes.embedded import fact_templates_more, wordings
from recipes.embedded.fact_tables import TABLES
from recipes.embedded.fact_templates import EN, ZH, Relation
from recipes.embedded.patterns import expand, expand_all, normalise


@dataclass(frozen=True)
class Fact:
    """One fact in one language: relation key, subject, value."""

    relation: str
    subject: str
    value: str


def load_facts(lang: str) -> list[Fact]:
    """All facts that can be asked in that language."""
    facts = []
    for relation, table in TABLES.items():
        for line in table.splitlines():
            cells = line.split("|")
            if relation == "word":
                zh, en = cells
                facts.append(Fact("word_en", zh, en))
                facts.append(Fact("word_zh", en, zh))
            else:
                facts.append(
                    Fact(relation, cells[0 if lang == "zh" else 1], cells[2 if lang == "zh" else 3])
                )
    return facts


FACTS = {"zh": load_facts("zh"), "en": load_facts("en")}
_BY_RELATION = {
    lang: {r: [f for f in facts if f.relation == r] for r in {f.relation for f in facts}}
    for lang, facts in FACTS.items()
}


def templates(lang: str) -> dict[str, Relation]:
    return ZH if lang == "zh" else EN


def train_patterns(lang: str, relation: str, rng: random.Random) -> list[str] | tuple[str, ...]:
    """One of the three tables of phrasings: the usual ones, less usual ones, the widest one."""
    more = fact_templates_more.ZH if lang == "zh" else fact_templates_more.EN
    r = rng.random()
    if r < 0.3:
        return templates(lang)[relation].train
    return more[relation] if r < 0.5 else wordings.sections(f"facts_{lang}")[relation]


@cache
def held_out(lang: str) -> frozenset[str]:
    """Every question of the held-out phrasings, letters and digits only."""
    return frozenset(
        normalise(text.replace("{s}", fact.subject))
        for fact in FACTS[lang]
        for pattern in templates(lang)[fact.relation].test
        for text in expand_all(pattern)
    )


def ask(fact: Fact, lang: str, rng: random.Random, split: str = "train") -> str:
    """A question about the fact, without final polish (case, prefixes)."""
    relation = templates(lang)[fact.relation]
    patterns = relation.test if split == "test" else train_patterns(lang, fact.relation, rng)
    return expand(rng.choice(patterns), rng, {"s": fact.subject})


def answer(fact: Fact, lang: str) -> str:
    text = templates(lang)[fact.relation].answer.format(s=fact.subject, v=fact.value)
    return (
        text[0].upper() + text[1:]
        if lang == "en" and not fact.relation.startswith("word")
        else text
    )


def draw(lang: str, rng: random.Random) -> Fact:
    """Relations weighted by the root of their size, so that small ones are not forgotten."""
    groups = _BY_RELATION[lang]
    keys = sorted(groups)
    weights = [len(groups[k]) ** 0.75 for k in keys]
    return rng.choice(groups[rng.choices(keys, weights)[0]])
