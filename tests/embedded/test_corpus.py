"""The corpus of the embedded model: what it may never contain, and that answers are right."""

import random
from collections import Counter

import pytest

from recipes.embedded import facts, general, identity_en, identity_zh
from recipes.embedded.bank import load_bank
from recipes.embedded.corpus import Corpus
from recipes.embedded.names import COMMON, HELD_OUT_PAIRS, LEVEL_TWO, random_name, random_org
from recipes.embedded.patterns import count_expansions, expand, expand_all, normalise


@pytest.fixture(scope="module")
def conversations():
    corpus, rng = Corpus(), random.Random(5)
    return [corpus.conversation(rng) for _ in range(4000)]


def test_same_seed_same_corpus():
    corpus = Corpus()
    first, second = (
        [corpus.conversation(random.Random(seed)) for seed in range(50)] for _ in range(2)
    )
    assert first == second
    assert len({str(c) for c in first}) > 45


def test_no_held_out_bank_question_is_asked(conversations):
    held_out = load_bank("zh").forbidden | load_bank("en").forbidden
    assert len(held_out) > 1000
    asked = {normalise(m.content) for c in conversations for m in c if m.role == "user"}
    assert not asked & held_out


def test_held_out_names_never_occur(conversations):
    text = "\n".join(m.content for c in conversations for m in c).casefold()
    for pair in HELD_OUT_PAIRS:
        for word in (pair.name_zh, pair.name_en, pair.author_zh, pair.author_en):
            assert word.casefold() not in text


def test_names_come_from_the_whole_character_range():
    rng = random.Random(1)
    names = [random_name(rng, "zh") + random_org(rng, "zh") for _ in range(4000)]
    chars = Counter("".join(names))
    known = set(COMMON) | set(LEVEL_TWO)
    rare = {c for c in chars if "\u4e00" <= c <= "\u9fff" and c not in known}
    assert len(COMMON) == 3755
    assert len(set(COMMON) & set(chars)) > 3000
    assert len(rare) > 500
    assert any("·" in n for n in names) and any("-" in n for n in names)


def test_persona_answers_carry_the_persona_and_not_the_own_name(conversations):
    for messages in conversations:
        text = messages[0].content
        if messages[0].role == "system" and ("芥子" in text or "Jiezi" in text):
            pytest.fail(f"a system prompt gives the own name: {text}")


@pytest.mark.parametrize("grammar", [identity_zh, identity_en])
def test_identity_answers_carry_what_was_asked(grammar):
    lang = "zh" if grammar is identity_zh else "en"
    for intent, asks in load_bank(lang).asks.items():
        for answer in grammar.A[intent]:
            for slot in asks:
                assert "{" + slot + "}" in answer, f"{intent}: {answer}"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_fact_templates_are_many_and_held_out_ones_differ(lang):
    assert len(facts.FACTS[lang]) >= 200
    for name, relation in facts.templates(lang).items():
        assert sum(count_expansions(p) for p in relation.train) >= 15, name
        trained = {normalise(t) for p in relation.train for t in expand_all(p)}
        held_out = {normalise(t) for p in relation.test for t in expand_all(p)}
        assert not trained & held_out, name


def test_facts_do_not_contradict_each_other():
    for lang in ("zh", "en"):
        seen: dict[tuple[str, str], str] = {}
        for fact in facts.FACTS[lang]:
            assert seen.setdefault((fact.relation, fact.subject), fact.value) == fact.value


def test_sums_are_right():
    rng = random.Random(2)
    for _ in range(300):
        for lang in ("zh", "en"):
            _, answer = general.arithmetic(lang, rng)
            left, right = answer.rstrip("。.").replace("×", "*").split("=")
            assert eval(left) == int(right)  # the text is made above: digits and one sign


def test_patterns_nest_and_fill():
    rng = random.Random(0)
    assert expand_all("[a|b[c|]]d") == ["ad", "bcd", "bd"]
    assert expand("[x|x]{name}", rng, {"name": "芥子"}) == "x芥子"
    assert count_expansions("[a|b[c|]]d") == 3
