from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from selfcog.errors import ConfigError
from selfcog.identity import Identity, check_identity_rows, generate_identity, mentions
from selfcog.identity.bank import find_slots, load_bank, normalize_question
from selfcog.identity.generate import SHARES, generate_dev, generate_known
from selfcog.types import Example

IDENTITY = Identity(("扁仓", "BianCang"), ("某大学某研究组", "QLU-NLP Research Group"))
ORDINARY = ("persona", "smalltalk")


def answer_of(row: Example) -> str:
    return row.messages[-1].content


def question_of(row: Example) -> str:
    return row.messages[-2].content


def kind_of(row: Example) -> str:
    """Which of SHARES a row belongs to, told by its shape."""
    if row.intent in ORDINARY:
        return row.intent
    turns = [message for message in row.messages if message.role != "system"]
    if len(turns) > 2:
        vendors = load_bank(row.language).vendors_mentioned(turns[1].content)
        return "claim" if vendors else "prelude"
    return "system" if len(turns) < len(row.messages) else "direct"


def test_rows_carry_what_was_asked_in_their_own_language() -> None:
    rows = generate_identity(IDENTITY, 600, seed=3)
    for row in rows:
        assert row.kind == "identity" and row.source == f"bank/{row.language}" and row.line == 0
        assert [m.role for m in row.messages[-2:]] == ["user", "assistant"]
        asks = load_bank(row.language).asks.get(row.intent, ())
        wanted = {
            "name": IDENTITY.name_in(row.language),
            "author": IDENTITY.author_in(row.language),
        }
        for ask in asks:
            assert mentions(answer_of(row), wanted[ask]), row
        for message in row.messages:
            assert not find_slots(message.content), row


def test_personas_are_obeyed_and_small_talk_names_nobody() -> None:
    rows = generate_identity(IDENTITY, 400, seed=5)
    for row in rows:
        if row.intent in ORDINARY:
            assert not any(mentions(answer_of(row), name) for name in IDENTITY.names), row
        if row.intent == "persona":
            names = load_bank(row.language).persona_names
            (persona,) = {n for n in names if mentions(row.messages[0].content, n)} & {
                n for n in names if mentions(answer_of(row), n)
            }
            assert persona


def test_languages_alternate_and_the_first_gets_the_odd_row() -> None:
    rows = generate_identity(IDENTITY, 5, seed=0)
    assert [row.language for row in rows] == ["zh", "en", "zh", "en", "zh"]
    rows = generate_identity(IDENTITY, 7, seed=0, languages=("en",))
    assert {row.language for row in rows} == {"en"} and len(rows) == 7


def test_five_hundred_rows_repeat_no_question_and_are_balanced() -> None:
    rows = generate_identity(IDENTITY, 500, seed=1)
    assert len(rows) == 500
    asked = Counter(
        (row.language, normalize_question(question_of(row)))
        for row in rows
        if row.intent not in ORDINARY
    )
    assert max(asked.values()) == 1
    intents = Counter((row.language, row.intent) for row in rows if row.intent not in ORDINARY)
    assert len(intents) == 28 and max(intents.values()) - min(intents.values()) <= 1
    for language, intent in intents:
        families = Counter(r.family for r in rows if (r.language, r.intent) == (language, intent))
        assert max(families.values()) - min(families.values()) <= 1


def test_questions_come_again_only_after_every_question_came() -> None:
    questions = {normalize_question(q.text) for q in load_bank("en").questions(split="dev")}
    rows = generate_dev(IDENTITY, len(questions) + 50, 4, languages=("en",))
    families = Counter(row.family for row in rows[: len(questions)])
    for family in families:
        own = [q for q in load_bank("en").questions(split="dev") if q.family == family]
        assert families[family] == len({normalize_question(q.text) for q in own}), family


def test_shares_are_as_documented() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    rows = generate_identity(IDENTITY, 1000, seed=2)
    kinds = Counter(kind_of(row) for row in rows)
    for kind, share in SHARES.items():
        assert kinds[kind] == pytest.approx(1000 * share, abs=2), kinds


def test_contexts_are_not_trained_and_the_answer_is() -> None:
    for row in generate_identity(IDENTITY, 300, seed=8):
        assistants = [m for m in row.messages if m.role == "assistant"]
        assert [m.train for m in assistants] == [False] * (len(assistants) - 1) + [True]


def test_the_old_name_is_what_histories_claim_and_answers_deny() -> None:
    old = Identity(("小识", "Selfie-0"), ("旧组", "Old Lab"))
    rows = generate_identity(IDENTITY, 600, seed=6, old_identities=[old])
    claims = [r for r in rows for m in r.messages if m.role == "assistant" and not m.train]
    said = [m.content for row in claims for m in row.messages if not m.train]
    assert any(mentions(text, "小识") for text in said)
    assert any(mentions(text, "Selfie-0") for text in said)
    denied = [question_of(row) for row in rows if row.intent == "are_you_other"]
    assert sum("小识" in text or "Selfie" in text for text in denied) > 0.3 * len(denied)


def test_an_old_name_without_a_maker_and_one_of_the_same_maker_work() -> None:
    same_maker = Identity(("旧名", "Oldname"), IDENTITY.author)
    rows = generate_identity(IDENTITY, 600, seed=6, old_identities=["Zephyrine-7", same_maker])
    texts = [m.content for row in rows for m in row.messages]
    assert any("Zephyrine-7" in text for text in texts) and any("Oldname" in text for text in texts)
    author = IDENTITY.author_in("en")
    made_by_own = re.compile(rf"(Oldname|Zephyrine-7).*{author}")
    assert not [t for row in rows for t in [question_of(row)] if made_by_own.search(t)]


def test_an_identity_is_never_asked_to_deny_itself() -> None:
    own = Identity("Qwen", ("阿里云", "Alibaba Cloud"))
    for row in generate_identity(own, 800, seed=9, old_identities=["通义千问"]):
        if row.intent == "are_you_other":
            assert "qwen" not in question_of(row).lower() and "通义" not in question_of(row)
            assert "阿里" not in question_of(row) and "alibaba" not in question_of(row).lower()


def test_facts_are_told_when_given_and_never_made_up() -> None:
    plain = generate_identity(IDENTITY, 600, seed=1)
    for row in plain:
        assert not re.search(r"based on|built on|基于", answer_of(row), re.IGNORECASE), row
    full = Identity(
        IDENTITY.name, IDENTITY.author, version="v9.9", based_on="Qwen1.5-14B", contact="a@b.c",
        website="https://example.org", license="Apache-2.0",
    )  # fmt: skip
    rows = generate_identity(full, 600, seed=1)
    for row in rows:
        if row.intent == "base_relation":
            assert "Qwen1.5-14B" in answer_of(row), row
        if row.intent == "version":
            assert "v9.9" in answer_of(row), row
    for fact in ("a@b.c", "https://example.org", "Apache-2.0"):
        assert any(fact in answer_of(row) for row in rows), fact


def test_the_same_seed_gives_the_same_rows_and_another_other_rows() -> None:
    first = generate_identity(IDENTITY, 100, seed=1, old_identities=["Qwen"])
    assert generate_identity(IDENTITY, 100, seed=1, old_identities=["Qwen"]) == first
    assert generate_identity(IDENTITY, 100, seed=2, old_identities=["Qwen"]) != first


def test_rows_do_not_hang_on_the_hash_seed() -> None:
    code = (
        "from selfcog.identity import *; i = Identity('a', 'b', version='1', based_on='c');"
        "print([m.content for r in generate_identity(i, 60, seed=1, old_identities=['Kimi'])"
        " for m in r.messages])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "1"},
            capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1


def test_splits_never_share_a_family() -> None:
    families = {
        split: {
            row.family
            for row in generate_identity(IDENTITY, 600, seed=1, split=split)
            if row.intent not in ORDINARY
        }
        for split in ("train", "dev", "test")
    }
    assert not families["train"] & families["dev"] and not families["dev"] & families["test"]
    assert not families["train"] & families["test"]
    held_out = {
        normalize_question(q.text)
        for language in ("zh", "en")
        for split in ("dev", "test")
        for q in load_bank(language).questions(split=split)
    }
    for row in generate_identity(IDENTITY, 1500, seed=1):
        for message in row.messages:
            assert message.role != "user" or normalize_question(message.content) not in held_out


def test_dev_rows_are_direct_questions_of_the_dev_split() -> None:
    rows = generate_dev(IDENTITY, 60, 7)
    dev = {q.family for one in ("zh", "en") for q in load_bank(one).questions(split="dev")}
    assert {row.family for row in rows} <= dev
    assert all(len(row.messages) == 2 for row in rows)


def test_known_rows_are_facts_about_others() -> None:
    rows = generate_known(120, 3)
    assert {row.kind for row in rows} == {"known"}
    assert Counter(row.language for row in rows) == {"zh": 60, "en": 60}
    questions = [normalize_question(question_of(row)) for row in rows]
    assert len(set(questions)) == len(questions)
    facts = {
        normalize_question(question): fact
        for one in ("zh", "en")
        for fact in load_bank(one).known
        for question in fact.questions
    }
    for row in rows:
        fact = facts[normalize_question(question_of(row))]
        assert any(mentions(answer_of(row), gold) for gold in fact.gold)
    assert generate_known(40, 3) == generate_known(40, 3)


def test_known_rows_leave_out_the_own_name() -> None:
    own = Identity("Kimi", "Somebody")
    rows = generate_known(400, 3, identity=own)
    assert not any(mentions(question_of(row), "Kimi") for row in rows)


@pytest.mark.parametrize("num_rows", [0, 1, 2, 3, 13])
def test_small_numbers_are_met_exactly(num_rows: int) -> None:
    assert len(generate_identity(IDENTITY, num_rows, seed=0)) == num_rows
    assert len(generate_known(num_rows, 0)) == num_rows


def test_wrong_numbers_and_languages_are_refused() -> None:
    with pytest.raises(ConfigError, match="-1"):
        generate_identity(IDENTITY, -1, seed=0)
    with pytest.raises(ConfigError, match="'fr'"):
        generate_identity(IDENTITY, 4, seed=0, languages=("fr",))
    with pytest.raises(ConfigError, match="language"):
        generate_identity(IDENTITY, 4, seed=0, languages=())


def test_generated_rows_pass_their_own_check() -> None:
    rows = generate_identity(IDENTITY, 3000, seed=1, old_identities=["Qwen"])
    assert check_identity_rows(rows, IDENTITY) == []


printable = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
names = st.text(printable, min_size=1, max_size=24).filter(str.strip)


@settings(max_examples=40, deadline=None)
@given(names, names)
@example("{{x}}", "{author}")
@example("\\1 \\g<0>", "[a|b]")
@example("{name}", "{persona}")
@example("Acme Inc.", "Ya!")
def test_any_name_and_author_survive_verbatim(name: str, author: str) -> None:
    identity = Identity(name, author)
    for row in generate_identity(identity, 56, seed=1):
        asks = load_bank(row.language).asks.get(row.intent, ())
        assert "name" not in asks or name.strip() in answer_of(row)
        assert "author" not in asks or author.strip() in answer_of(row)
    findings = check_identity_rows(generate_identity(identity, 56, seed=1), identity)
    assert not [finding for finding in findings if "placeholder" in finding.message]
