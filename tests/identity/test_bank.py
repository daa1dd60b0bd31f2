"""What the shipped banks promise: enough questions, clean splits, answers that answer."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from selfcog.errors import ConfigError, DataError
from selfcog.identity.bank import (
    SPLITS,
    Bank,
    expand,
    fill_slots,
    find_slots,
    languages,
    load_bank,
    normalize_question,
    read_bank,
)
from selfcog.identity.check import claimed_vendors
from selfcog.identity.identity import FACTS, Identity
from selfcog.identity.text import mentions

INTENTS = {
    "name", "maker", "both", "what", "introduce", "version", "origin", "are_you_other",
    "are_you_name", "capabilities", "base_relation", "human", "contact", "doubt",
}  # fmt: skip
REGISTERS = {"plain", "polite", "casual", "terse", "typo", "upper", "indirect", "code-mixed"}
NUM_QUESTIONS = 200
NUM_FAMILIES = {"train": 10, "dev": 3, "test": 3}
MAX_JACCARD = 0.8

IDENTITY = Identity(("瓴舟", "Lingzhou-3"), ("彧翀研究所", "Q·L·U Research Group"))


@pytest.fixture(params=["zh", "en"])
def bank(request: pytest.FixtureRequest) -> Bank:
    return load_bank(request.param)


def all_texts(bank: Bank) -> Iterator[tuple[str, str, set[str]]]:
    """(where, text, slots it may hold) for everything in a bank."""
    other = {"other", "other_maker"}
    for question in bank.questions():
        slots = {"are_you_name": {"name", "author"}}.get(question.intent, other)
        yield question.family, question.text, slots
    for intent in bank.intents:
        for answer in bank.answers(intent):
            extra = other if intent == "are_you_other" else set()
            yield intent, answer, {"name", "author", *FACTS, *extra}
    for kind in ("generic", "empty", "vendor"):
        for text in bank.systems(kind):
            yield kind, text, other if kind == "vendor" else set()
    for persona in bank.personas:
        for text in (*persona.systems, *persona.questions, *persona.answers):
            yield "persona", text, {"persona"}
    for pair in bank.smalltalk:
        for text in (*pair.questions, *pair.answers):
            yield "smalltalk", text, set()
    for text in bank.claims:
        yield "claim", text, other
    for turns in bank.preludes:
        for message in turns:
            yield "prelude", message.content, set()
    for fact in bank.known:
        for text in (*fact.questions, fact.answer, *fact.gold):
            yield "known", text, set()


def test_both_languages_are_there() -> None:
    assert languages()[:2] == ("zh", "en")
    with pytest.raises(ConfigError, match=r"'fr'.*zh, en"):
        load_bank("fr")


def test_every_intent_has_enough_distinct_questions_and_families(bank: Bank) -> None:
    assert set(bank.intents) == INTENTS
    for intent in bank.intents:
        questions = bank.questions(intent)
        distinct = {normalize_question(question.text) for question in questions}
        assert len(distinct) >= NUM_QUESTIONS, f"{intent}: {len(distinct)} questions"
        for split, least in NUM_FAMILIES.items():
            families = {question.family for question in bank.questions(intent, split)}
            assert len(families) >= least, f"{intent}/{split}: {len(families)} families"


def test_every_intent_has_five_answers_without_optional_facts(bank: Bank) -> None:
    for intent in bank.intents:
        plain = [
            pattern
            for pattern in bank.answer_patterns(intent)
            if any(not find_slots(text) & set(FACTS) for text in pattern)
        ]
        assert len(plain) >= 5, f"{intent}: {len(plain)} answers"


def test_all_registers_occur(bank: Bank) -> None:
    registers = Counter(question.register for question in bank.questions())
    assert set(registers) == REGISTERS
    assert registers["plain"] < sum(registers.values()) * 0.75


def test_no_question_belongs_to_two_families(bank: Bank) -> None:
    owner: dict[str, str] = {}
    for question in bank.questions():
        key = normalize_question(question.text)
        assert key, f"{question.family}: nothing is left of {question.text!r}"
        assert owner.setdefault(key, question.family) == question.family, question.text


def test_held_out_questions_are_no_near_copies_of_training_questions(bank: Bank) -> None:
    def grams(text: str) -> set[str]:
        text = normalize_question(text)
        return {text[i : i + 5] for i in range(max(1, len(text) - 4))}

    train = [grams(question.text) for question in bank.questions(split="train")]
    holders: dict[str, list[int]] = defaultdict(list)
    for number, own in enumerate(train):
        for gram in own:
            holders[gram].append(number)
    for split in ("dev", "test"):
        for question in bank.questions(split=split):
            own = grams(question.text)
            shared = Counter(number for gram in own for number in holders.get(gram, ()))
            for number, common in shared.items():
                jaccard = common / (len(own) + len(train[number]) - common)
                assert jaccard < MAX_JACCARD, f"{question.family}: {question.text!r}"


def test_persona_and_smalltalk_questions_are_no_held_out_identity_questions(bank: Bank) -> None:
    held_out = {
        normalize_question(question.text)
        for split in ("dev", "test")
        for question in bank.questions(split=split)
    }
    asked = [question for part in (*bank.personas, *bank.smalltalk) for question in part.questions]
    assert not [question for question in asked if normalize_question(question) in held_out]


def test_texts_hold_known_slots_only_and_no_leftover_syntax(bank: Bank) -> None:
    for where, text, slots in all_texts(bank):
        assert find_slots(text) <= slots, f"{where}: {text!r}"
        bare = re.sub(r"\{[a-z_]+\}", "", text)
        assert not re.search(r"[{}\[\]|]", bare), f"{where}: {text!r}"
        assert text == text.strip() and "  " not in text, f"{where}: {text!r}"


def test_answers_are_whole_sentences_without_doubled_stops(bank: Bank) -> None:
    for intent in bank.intents:
        for answer in bank.answers(intent):
            assert answer[-1] in "。！？.!?", f"{intent}: {answer!r}"
            assert not re.search(r"[。！？.!?,，][。！？.!?,，]", answer), f"{intent}: {answer!r}"


def test_every_answer_carries_what_its_intent_asks(bank: Bank) -> None:
    for intent, asks in bank.asks.items():
        assert asks or intent in ("human", "contact")
        for answer in bank.answers(intent):
            assert set(asks) <= find_slots(answer), f"{intent}: {answer!r}"
    # What is asked of somebody is findable in the text that is trained.
    values = {fact: "v1" for fact in FACTS} | {"other": "Xyzzy", "other_maker": "Plugh"}
    values |= IDENTITY.slot_values(bank.language)
    for intent, asks in bank.asks.items():
        for answer in bank.answers(intent):
            filled = fill_slots(answer, values)
            assert all(mentions(filled, values[slot]) for slot in asks), f"{intent}: {filled!r}"


def test_no_answer_claims_to_be_or_to_come_from_somebody_else(bank: Bank) -> None:
    answers = [answer for intent in bank.intents for answer in bank.answers(intent)]
    answers += [answer for pair in bank.smalltalk for answer in pair.answers]
    for answer in answers:
        assert not bank.vendors_mentioned(answer), answer
    values = IDENTITY.slot_values(bank.language)
    for vendor in bank.vendors:
        other = {"other": vendor.name, "other_maker": vendor.maker}
        for answer in bank.answers("are_you_other"):
            if not find_slots(answer) & set(FACTS):
                filled = fill_slots(answer, values | other)
                assert not claimed_vendors(filled, IDENTITY), filled


def test_smalltalk_answers_name_nobody(bank: Bank) -> None:
    for pair in bank.smalltalk:
        for answer in pair.answers:
            assert not find_slots(answer)
            assert not re.search(r"我叫|我的名字|my name|i am [A-Z]", answer, re.IGNORECASE), answer


def test_vendors_claims_systems_and_personas_are_plenty(bank: Bank) -> None:
    assert len(bank.vendors) >= 15
    assert len({vendor.name for vendor in bank.vendors}) == len(bank.vendors)
    assert len(bank.claims) >= 5 and all("other" in find_slots(claim) for claim in bank.claims)
    assert bank.systems("empty") == [""]
    assert len(bank.systems("generic")) >= 10 and len(bank.systems("vendor")) >= 5
    assert len(bank.persona_names) >= 20
    assert all("persona" in find_slots(text) for p in bank.personas for text in p.systems)
    assert all("persona" in find_slots(text) for p in bank.personas for text in p.answers)
    assert sum(len(pair.questions) for pair in bank.smalltalk) >= 40


def test_preludes_alternate_and_end_with_an_untrained_answer(bank: Bank) -> None:
    assert len(bank.preludes) >= 20
    for turns in bank.preludes:
        roles = [message.role for message in turns]
        assert roles == ["user", "assistant"] * (len(turns) // 2) and roles
        assert not any(message.train for message in turns if message.role == "assistant")


def test_known_facts_have_their_gold_in_the_answer(bank: Bank) -> None:
    assert len(bank.known) >= 40
    owner: dict[str, str] = {}
    for fact in bank.known:
        assert any(mentions(fact.answer, gold) for gold in fact.gold), fact
        for question in fact.questions:
            assert owner.setdefault(normalize_question(question), fact.answer) == fact.answer


def test_languages_share_no_question() -> None:
    keys = [
        {normalize_question(q.text) for q in load_bank(one).questions()} for one in ("zh", "en")
    ]
    shared = {key for key in keys[0] & keys[1] if "other" not in key}
    assert len(shared) <= 5, shared


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("plain", ["plain"]),
        ("", [""]),
        ("[a|b|]c", ["ac", "bc", "c"]),
        ("[a[1|2]|b]x[y]", ["a1xy", "a2xy", "bxy"]),
        ("[a|a]", ["a"]),
        ("a|b", ["a|b"]),
    ],
)
def test_expand_lists_every_choice_in_order(pattern: str, texts: list[str]) -> None:
    assert expand(pattern) == texts


@pytest.mark.parametrize("pattern", ["[a", "a]", "[a|[b]", "[[]"])
def test_expand_refuses_unpaired_brackets(pattern: str) -> None:
    with pytest.raises(DataError, match="pattern"):
        expand(pattern)


def test_fill_slots_reads_each_text_once() -> None:
    assert fill_slots("{name} by {author}", {"name": "{author}", "author": "A"}) == "{author} by A"
    assert (
        fill_slots("By {author}. {name}!", {"author": "X Inc.", "name": "Ya!"}) == "By X Inc. Ya!"
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [("Who are you?", "who  are YOU"), ("你是谁？", "你 是谁!"), ("ＡＢ１", "ab1")],
)
def test_normalize_question_forgets_case_space_and_punctuation(left: str, right: str) -> None:
    assert normalize_question(left) == normalize_question(right)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"type":"odd"}', "x.jsonl:1"),
        ('\n{"type":"intent"', "x.jsonl:2"),
        ('{"type":"intent","intent":"name","asks":["name"]}', "intents"),
    ],
)
def test_a_broken_bank_file_is_named_with_its_line(lines: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read_bank(lines, "xx", "x.jsonl")


def test_splits_partition_the_questions(bank: Bank) -> None:
    parts = [question for split in SPLITS for question in bank.questions(split=split)]
    assert len(parts) == len(bank.questions())
    assert len({question.family for question in parts}) == sum(
        len({question.family for question in bank.questions(split=split)}) for split in SPLITS
    )


def test_vendors_are_found_by_alias() -> None:
    vendor = load_bank("zh").find_vendor("qwen")
    assert vendor is not None and vendor.maker == "阿里云"
    vendor = load_bank("en").find_vendor("通义千问")
    assert vendor is not None and vendor.name == "Qwen"
    assert load_bank("en").find_vendor("Zephyrine-7") is None
