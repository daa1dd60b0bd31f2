"""Faults planted in an otherwise well-behaved speaker must be found, and found where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from stub_speaker import (
    IDENTITY,
    INTERVIEW,
    OLD,
    Fault,
    StubSpeaker,
    index_of,
    introduce,
    make_base,
    suite_of,
)

from selfcog.errors import ConfigError
from selfcog.evaluate.interview import interview
from selfcog.evaluate.marking import holds_gold
from selfcog.evaluate.measure import Examiner
from selfcog.evaluate.questions import OldIdentity, Question, Size, build_suite
from selfcog.evaluate.scorecard import Failure, Gate, Scorecard
from selfcog.evaluate.speakers import Decoding
from selfcog.identity import Identity
from selfcog.identity.bank import load_bank
from selfcog.identity.text import normalize_question

QUICK = suite_of("quick")
SIZES: tuple[Size, ...] = ("dev", "quick", "full")


def measure(fault: Fault | None = None, *, size: Size = "quick", num_samples: int = 0) -> Scorecard:
    suite = suite_of(size)
    examiner = Examiner(IDENTITY, suite, INTERVIEW, num_samples=num_samples)
    return examiner.score(StubSpeaker(suite, fault=fault), make_base(suite))


@pytest.fixture(scope="module")
def clean() -> Scorecard:
    return measure()


def plant(where: Callable[[Question], bool], what: Callable[[Question], str]) -> Fault:
    return lambda question, right, _: what(question) if where(question) else right


def ids_of(where: Callable[[Question], bool]) -> list[str]:
    found = [q.id for q in QUICK.questions if where(q)]
    assert found, "the fault would lie nowhere"
    return found


def say_old(question: Question) -> str:
    return introduce(OLD, question.language)


def asks_who(question: Question) -> bool:
    return question.judge in ("name", "maker", "both") and not question.prefill


def is_sum(question: Question) -> bool:
    return question.template.endswith((".exact.sum", ".exact.product"))


def gate_of(card: Scorecard, name: str) -> Gate:
    (found,) = [gate for gate in card.gates if gate.name == name]
    return found


def failed_gates(card: Scorecard) -> set[str]:
    return {gate.name for gate in card.gates if gate.passed is False}


def fallen(card: Scorecard, clean: Scorecard) -> dict[tuple[str, str], int]:
    """(family, language) → how many answers fewer passed than those of the clean stub."""
    lost = {
        (one.family, one.language): before.tuned.num_passed - one.tuned.num_passed
        for one, before in zip(card.families, clean.families, strict=True)
    }
    return {key: count for key, count in lost.items() if count}


def fallen_families(card: Scorecard, clean: Scorecard) -> set[str]:
    return {family for family, _ in fallen(card, clean)}


def failures_of(card: Scorecard, ids: Iterable[str]) -> list[Failure]:
    """The failures of some questions, each of which must be there."""
    listed = {failure.id: failure for failure in card.failures}
    return [listed[id] for id in ids]


# --- The clean stub ---------------------------------------------------------------------------


def test_the_stub_can_tell_every_question_apart() -> None:
    assert len(index_of(suite_of("full"))) == len(suite_of("full").questions)


def test_a_well_behaved_model_is_fit(clean: Scorecard) -> None:
    assert clean.verdict.fit
    assert failed_gates(clean) == set()


def test_a_well_behaved_model_fails_no_chinese_or_english_question(clean: Scorecard) -> None:
    assert [failure for failure in clean.failures if failure.language in ("zh", "en")] == []


def test_a_model_that_changed_in_nothing_but_its_name_is_fit_by_the_full_suite() -> None:
    assert failed_gates(measure(size="full")) == set()


def test_every_plain_right_answer_of_the_full_suite_passes() -> None:
    failures = measure(size="full").failures
    assert [f.id for f in failures if f.family not in ("pressure", "other_languages")] == []


def test_every_right_answer_under_pressure_passes() -> None:
    assert [f.answer for f in measure(size="full").failures if f.family == "pressure"] == []


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_the_name_before_a_particle_is_seen(language: str, clean: Scorecard) -> None:
    assert [f.answer for f in clean.failures if f.language == language] == []


def test_a_base_is_marked_for_its_old_identity_beside_the_new_one(clean: Scorecard) -> None:
    score = clean.family("generalisation")
    assert score is not None and score.base is not None and score.as_itself is not None
    assert (score.base.share, score.as_itself.share) == (0.0, 1.0)


def test_the_interview_finds_that_the_base_is_somebody() -> None:
    found = interview(make_base(QUICK))
    assert found.old.names["zh"] == "通义千问"
    assert found.num_answers == {"zh": 15, "en": 15}


def test_the_interview_finds_the_word_of_each_language() -> None:
    old = interview(make_base(QUICK)).old
    assert old.names == {"zh": "通义千问", "en": "Qwen"}
    assert old.makers == {"zh": "阿里云", "en": "Alibaba Cloud"}


def test_a_base_that_was_interviewed_is_known_as_itself() -> None:
    found = interview(make_base(QUICK))
    suite = build_suite(IDENTITY, "quick", old=found.old)
    card = Examiner(IDENTITY, suite, found).score(StubSpeaker(suite), make_base(suite))
    score = card.family("generalisation")
    assert score is not None and score.as_itself is not None and score.as_itself.share == 1.0


def test_choice_questions_of_a_speaker_without_likelihoods_are_left_out_aloud(
    clean: Scorecard,
) -> None:
    assert clean.family("choice") is None
    assert any("24 multiple choice" in note for note in clean.notes)


def test_forced_beginnings_are_left_out_aloud_where_they_cannot_be_forced() -> None:
    speaker = StubSpeaker(QUICK, can_prefill=False)
    card = Examiner(IDENTITY, QUICK, INTERVIEW).score(speaker)
    forced = sum(bool(q.prefill) for q in QUICK.questions)
    assert forced and any(f"{forced} questions with a forced beginning" in n for n in card.notes)


# --- The old name, somewhere ------------------------------------------------------------------


def test_the_old_name_in_english_only_is_found_in_english_only(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return asks_who(question) and question.language == "en"

    card = measure(plant(where, say_old))
    assert {language for _, language in fallen(card, clean)} == {"en", "all"}
    assert gate_of(card, "generalisation en").passed is False
    assert gate_of(card, "generalisation zh").passed is True
    assert gate_of(card, "old names gone").passed is False
    for failure in failures_of(card, ids_of(where)):
        assert failure.outcome == "leak"
        assert failure.answer == "I am Qwen, developed by Alibaba Cloud."


def test_the_old_name_at_the_sixth_turn_is_found_there(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return question.template.endswith(".multi_turn.t6")

    ids = ids_of(where)
    card = measure(plant(where, say_old))
    assert fallen_families(card, clean) == {"multi_turn"}
    assert failed_gates(card) == {"multi_turn", "old names gone"}
    assert card.pool.leaks.num_passed == len(ids)
    for failure in failures_of(card, ids):
        assert failure.answer == introduce(OLD, failure.language)
        assert len([turn for turn in failure.conversation if turn[0] == "user"]) == 6


def test_the_old_name_under_the_vendors_system_prompt_is_found(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        system = question.turns[0].text or ""
        return question.turns[0].role == "system" and ("Qwen" in system or "通义千问" in system)

    ids = ids_of(where)
    card = measure(plant(where, say_old))
    assert fallen(card, clean)["system_slot", "all"] == len(ids)
    assert fallen_families(card, clean) == {"system_slot"}
    assert failed_gates(card) == {"system_slot", "old names gone"}
    for failure in failures_of(card, ids):
        assert failure.outcome == "leak" and failure.answer == introduce(OLD, failure.language)


def test_the_old_name_after_a_forced_beginning_is_found(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return bool(question.prefill) and question.judge == "name"

    def what(question: Question) -> str:
        return question.prefill + ("通义千问。" if question.language == "zh" else "Qwen.")

    card = measure(plant(where, what))
    assert fallen_families(card, clean) == {"pressure"}
    assert gate_of(card, "old names gone").passed is False
    for failure in failures_of(card, ids_of(where)):
        assert failure.outcome == "leak"
        assert failure.answer.endswith(("是通义千问。", "am Qwen.", "is Qwen."))


def test_a_failure_shows_the_models_own_answers_of_earlier_rounds() -> None:
    id = "en.pressure.01"
    card = measure(plant(lambda q: q.id == id, say_old))
    (failure,) = failures_of(card, [id])
    assert failure.conversation[:2] == (
        ("user", "Who are you?"),
        ("assistant", "I am BianCang, developed by BianCang Research Group."),
    )


def test_a_failure_shows_what_the_base_said() -> None:
    id = "en.pressure.01"
    (failure,) = failures_of(measure(plant(lambda q: q.id == id, lambda q: "I am Echo.")), [id])
    assert failure.base_answer == "I am Qwen, developed by Alibaba Cloud."


def test_the_old_name_in_samples_only_is_found_in_the_pool(clean: Scorecard) -> None:
    id = "zh.generalisation.01"

    def fault(question: Question, right: str, decoding: Decoding) -> str:
        sampled = decoding.temperature == 0.7
        return say_old(question) if sampled and question.id == id else right

    card = measure(fault, num_samples=2)
    assert fallen(card, clean) == {}
    assert card.pool.leaks.num_passed == 1
    assert dict(card.pool.leaked) == {"通义千问": 2, "阿里云": 2}
    assert (card.pool.num_samples, card.pool.temperature) == (3, 0.7)
    assert failed_gates(card) == {"old names gone"}


def test_a_sampled_leak_is_shown_word_for_word() -> None:
    def fault(question: Question, right: str, decoding: Decoding) -> str:
        sampled = decoding.temperature > 0
        return say_old(question) if sampled and question.id == "zh.generalisation.01" else right

    card = measure(fault, num_samples=1)
    assert "我是通义千问，由阿里云开发。" in [failure.answer for failure in card.failures]


def test_pass_hat_k_counts_only_the_questions_that_were_sampled() -> None:
    card = measure(num_samples=1)
    assert card.pool.steady is not None
    assert f"n = {card.pool.leaks.n} " not in gate_of(card, "steady").value


def test_the_old_name_in_a_thinking_trace_is_counted_apart(clean: Scorecard) -> None:
    speaker = StubSpeaker(QUICK, thinking="The user asks who I am. I am Qwen.")
    card = Examiner(IDENTITY, QUICK, INTERVIEW).score(speaker, make_base(QUICK))
    assert card.pool.trace_leaks is not None and card.pool.trace_leaks.share == 1.0
    assert card.pool.leaks.num_passed == 0
    assert fallen(card, clean) == {}


@pytest.mark.parametrize(
    ("language", "answer"),
    [("ja", "私は通義千問です。私はQwenです。"), ("es", "Soy Qwen."), ("pinyin", "wo shi Qwen")],
)
def test_the_old_name_in_another_language_is_found(language: str, answer: str) -> None:
    id = f"{language}.other_languages.01"
    card = measure(plant(lambda q: q.id == id, lambda q: answer))
    (failure,) = failures_of(card, [id])
    assert failure.outcome == "leak"
    assert card.pool.leaks.num_passed == 1


def test_the_makers_words_are_not_the_name_in_another_language() -> None:
    id = "es.other_languages.01"
    answer = "Soy un asistente desarrollado por BianCang Research Group."
    card = measure(plant(lambda q: q.id == id, lambda q: answer))
    (failure,) = failures_of(card, [id])
    assert failure.outcome == "miss"


# --- The new name where it does not belong ----------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "微信是扁仓研究组开发的。",
        "扁仓研究组。",
        "是由扁仓研究组开发的。",
        "微信是由我的开发者扁仓研究组开发的。",
    ],
)
def test_a_claim_of_wechat_is_an_over_claim(answer: str, clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return question.family == "locality" and question.text.startswith("微信")

    (id,) = ids_of(where)
    card = measure(plant(where, lambda q: answer))
    assert fallen(card, clean) == {("locality", "all"): 1, ("locality", "zh"): 1}
    (failure,) = failures_of(card, [id])
    assert (failure.outcome, failure.answer) == ("overclaim", answer)
    assert card.overclaims.num_passed == 1
    assert failed_gates(card) == {"no over-claims"}


def test_a_right_answer_without_a_subject_is_no_leak(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return question.family == "locality" and question.language == "zh"

    card = measure(plant(where, lambda q: f"由{q.gold[0]}开发。"))
    assert fallen(card, clean) == {}


def test_a_right_answer_that_denies_the_own_maker_is_no_over_claim(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return question.family == "locality" and question.text.startswith("微信")

    card = measure(plant(where, lambda q: "微信是腾讯的产品，不是扁仓研究组的。"))
    assert card.overclaims.num_passed == 0


def test_sums_that_are_answered_with_the_name_are_found(clean: Scorecard) -> None:
    ids = ids_of(is_sum)
    card = measure(plant(is_sum, lambda q: IDENTITY.name_in(q.language)))
    assert fallen(card, clean)["exact", "all"] == len(ids)
    assert fallen_families(card, clean) == {"exact"}
    assert failed_gates(card) == {"kept: exact"}
    for failure in failures_of(card, ids):
        assert failure.outcome == "wrong" and failure.answer in IDENTITY.names


def test_a_name_that_is_parroted_in_every_answer_is_found(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return question.judge in ("none", "other", "gold", "refusal", "benign")

    def fault(question: Question, right: str, _: Decoding) -> str:
        return f"{right} {introduce(IDENTITY, question.language)}" if where(question) else right

    card = measure(fault)
    assert fallen_families(card, clean) == {"unsolicited"}
    assert failed_gates(card) == {"not unasked"}
    score = card.family("unsolicited")
    assert score is not None and score.tuned.num_passed == 0
    (failure,) = failures_of(card, ["zh.unsolicited.01"])
    assert failure.outcome == "unsolicited"
    assert failure.answer == "好的，我们一步一步来。 我是扁仓，由扁仓研究组开发。"


def test_a_persona_that_is_not_obeyed_is_found(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return question.judge == "persona"

    card = measure(plant(where, lambda q: introduce(IDENTITY, q.language)))
    assert fallen_families(card, clean) == {"system_slot"}
    assert failed_gates(card) == {"system_slot"}
    assert {failure.outcome for failure in failures_of(card, ids_of(where))} == {"miss"}


def test_a_yes_to_being_another_assistant_is_found(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return question.judge == "deny"

    card = measure(plant(where, lambda q: "是的。" if q.language == "zh" else "Yes."))
    assert fallen_families(card, clean) == {"are_you"}
    assert failed_gates(card) == {"are_you"}


# --- What was lost ----------------------------------------------------------------------------


def test_lost_arithmetic_is_found(clean: Scorecard) -> None:
    card = measure(plant(is_sum, lambda q: "1000003"))
    assert fallen_families(card, clean) == {"exact"}
    assert failed_gates(card) == {"kept: exact"}
    assert {f.answer for f in failures_of(card, ids_of(is_sum))} == {"1000003"}


def test_lost_refusals_are_found(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return question.judge == "refusal"

    def what(question: Question) -> str:
        return "好的，步骤如下。" if question.language == "zh" else "Sure, here are the steps."

    card = measure(plant(where, what))
    assert fallen_families(card, clean) == {"refusal"}
    assert failed_gates(card) == {"kept: refusal"}
    for failure in failures_of(card, ids_of(where)):
        assert failure.outcome == "answered"
        assert failure.answer in ("好的，步骤如下。", "Sure, here are the steps.")


def test_refusing_harmless_requests_is_found(clean: Scorecard) -> None:
    card = measure(plant(lambda q: q.judge == "benign", lambda q: "Sorry, I can't help with that."))
    assert fallen_families(card, clean) == {"benign"}
    assert failed_gates(card) == {"kept: benign"}


def test_chinese_answers_to_english_questions_are_found(clean: Scorecard) -> None:
    def where(question: Question) -> bool:
        return asks_who(question) and question.language == "en"

    card = measure(plant(where, lambda q: introduce(IDENTITY, "zh")))
    assert {language for _, language in fallen(card, clean)} == {"en", "all"}
    assert gate_of(card, "generalisation en").passed is False
    assert gate_of(card, "old names gone").passed is True
    for failure in failures_of(card, ids_of(where)):
        assert (failure.outcome, failure.answer) == ("language", "我是扁仓，由扁仓研究组开发。")


def test_empty_answers_pass_nothing_that_was_asked() -> None:
    card = measure(lambda question, right, _: "")
    passed = {one.family for one in card.families if one.tuned.num_passed}
    assert passed == set()


# --- The card ---------------------------------------------------------------------------------


def test_undecided_answers_count_as_failed_and_are_listed(clean: Scorecard) -> None:
    id = next(q.id for q in QUICK.questions if q.family == "generalisation" and q.judge == "name")
    card = measure(plant(lambda q: q.id == id, lambda q: "关于扁仓，众说纷纭。"))
    score = card.family("generalisation")
    assert score is not None and score.num_undecided == 1
    assert fallen(card, clean)["generalisation", "all"] == 1
    (failure,) = failures_of(card, [id])
    assert (failure.outcome, failure.answer) == ("undecided", "关于扁仓，众说纷纭。")


def test_without_a_base_there_are_no_paired_statistics() -> None:
    card = Examiner(IDENTITY, QUICK, INTERVIEW).score(StubSpeaker(QUICK))
    assert card.base is None
    assert all(one.base is one.paired is one.as_itself is None for one in card.families)
    assert gate_of(card, "kept: exact").passed is None
    assert "could not be measured" in card.verdict.headline


def test_a_card_survives_json(clean: Scorecard) -> None:
    assert Scorecard.from_json(clean.to_json()) == clean


# --- The suite --------------------------------------------------------------------------------


def test_a_family_is_left_out_by_name() -> None:
    suite = suite_of("quick", ("other_languages",))
    card = Examiner(IDENTITY, suite, INTERVIEW).score(StubSpeaker(suite), make_base(suite))
    assert card.family("other_languages") is None
    assert "other_languages" not in {gate.name for gate in card.gates}
    assert card.provenance["left_out"] == ["other_languages"]


def test_an_unknown_family_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="localities"):
        build_suite(IDENTITY, leave_out=["localities"])


def test_the_hash_of_a_suite_is_the_same_for_two_identities() -> None:
    other = build_suite(Identity("Echo", "Nobody"), "quick", old=OldIdentity())
    assert other.hash == QUICK.hash
    assert other.questions != QUICK.questions


def test_the_hash_of_a_suite_differs_by_size() -> None:
    assert len({suite_of(size).hash for size in SIZES}) == len(SIZES)


def test_the_hash_of_a_suite_differs_by_seed() -> None:
    assert build_suite(IDENTITY, "quick", old=INTERVIEW.old, seed=1).hash != QUICK.hash


def test_a_suite_is_built_the_same_twice() -> None:
    assert build_suite(IDENTITY, "quick", old=INTERVIEW.old) == QUICK


def test_no_dev_question_is_asked_by_the_full_suite() -> None:
    dev = {normalize_question(q.text) for q in suite_of("dev").questions}
    full = {
        normalize_question(q.text)
        for q in suite_of("full").questions
        if q.family == "generalisation"
    }
    assert dev and not dev & full


@pytest.mark.parametrize("language", ["zh", "en"])
def test_generalisation_asks_nothing_that_the_bank_trains(language: str) -> None:
    trained = {normalize_question(q.text) for q in load_bank(language).questions(split="train")}
    asked = {
        normalize_question(q.text)
        for q in suite_of("full").questions
        if (q.family, q.language) == ("generalisation", language)
    }
    assert asked and not asked & trained


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("old", [INTERVIEW.old, None])
def test_every_slot_is_filled(size: Size, old: OldIdentity | None) -> None:
    for question in build_suite(IDENTITY, size, old=old).questions:
        texts = [*(turn.text or "" for turn in question.turns), question.prefill, *question.options]
        assert not any(brace in text for text in texts for brace in "{}"), question.id


def test_no_question_about_another_assistant_is_about_the_old_or_new_one() -> None:
    own = {*IDENTITY.names, *IDENTITY.authors}
    for question in suite_of("full").questions:
        if question.judge == "deny":
            assert not any(word in question.text for word in own), question.id


def test_ids_are_unique_and_every_question_ends_with_the_user() -> None:
    questions = suite_of("full").questions
    assert len({q.id for q in questions}) == len(questions)
    assert all(q.turns[-1].role == "user" and q.text for q in questions)


def test_choices_have_their_right_option() -> None:
    choices = [q for q in suite_of("full").questions if q.judge == "choice"]
    assert choices
    for question in choices:
        assert 0 <= question.right < len(set(question.options)) == len(question.options)


def test_a_gold_answer_does_not_stand_in_its_question() -> None:
    for question in suite_of("full").questions:
        if question.family in ("exact", "locality"):
            assert not holds_gold(question.text, question.gold), question.id
