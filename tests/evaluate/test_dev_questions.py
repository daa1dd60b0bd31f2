"""What a training asks while it runs, thinking modes, and the overlap guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfcog.commands.scoring import Readiness
from selfcog.commands.speak import load_pair
from selfcog.commands.talk import locate_model
from selfcog.config.load import make_config
from selfcog.evaluate.measure import Examiner, thinking_questions
from selfcog.evaluate.overlap import find_overlaps
from selfcog.evaluate.questions import build_suite
from selfcog.evaluate.speakers import fingerprint
from selfcog.identity import Identity
from selfcog.identity.bank import load_bank
from selfcog.types import Message

IDENTITY = Identity(("扁仓", "BianCang"), ("扁仓研究组", "BianCang Research Group"))


@pytest.mark.parametrize(
    ("found", "ready"),
    [
        ([(1.0, 0.01), (1.0, 0.01)], True),
        ([(1.0, 0.01)], False),
        ([(1.0, 0.01), (0.97, 0.01), (1.0, 0.01)], False),
        ([(1.0, 0.01), (1.0, 0.2)], False),
        ([(0.5, 0.0), (0.98, 0.05), (0.99, 0.0)], True),
    ],
)
def test_ready_means_twice_running_within_the_drift(
    found: list[tuple[float, float]], ready: bool
) -> None:
    is_ready = Readiness()
    told = [is_ready({"identity": share, "kl": kl}) for share, kl in found]
    assert told[-1] is ready


def test_dev_questions_are_neither_trained_nor_on_the_card() -> None:
    dev = {one.text for one in build_suite(IDENTITY, "dev").questions}
    card = {one.text for one in build_suite(IDENTITY, "full").questions}
    trained = {
        one.text
        for language in ("zh", "en")
        for one in load_bank(language).questions(split="train")
    }
    assert len(dev) == 48
    assert not dev & card
    assert not dev & trained


@pytest.fixture
def thinking_model(tiny_model_dir: Path, shared_dir: Path, tmp_path: Path) -> Path:
    """The tiny random model with Qwen3's template, which knows enable_thinking."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(tiny_model_dir).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    qwen3 = AutoTokenizer.from_pretrained(shared_dir / "tokenizers" / "qwen3")
    tokenizer.chat_template = qwen3.get_chat_template()
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_thinking_model_is_asked_in_both_modes(thinking_model: Path) -> None:
    config = make_config("eval", {"model": str(thinking_model), "use_cache": False})
    pair = load_pair(config, locate_model(config), None)
    assert set(pair.thinking) == {"on", "off"}
    turn = [Message("user", "Who are you?")]
    prompts = {mode: one.renderer.prompt_ids(turn) for mode, one in pair.thinking.items()}
    assert prompts["on"] != prompts["off"]
    suite = build_suite(IDENTITY, "quick", leave_out=["choice"])
    questions = thinking_questions(suite.questions, "off")
    assert len(questions) == 12
    answers = Examiner(IDENTITY, suite, None).ask(pair.thinking["off"], questions[:2], "off")
    assert len(answers.completions) == 2


def test_a_model_without_the_switch_is_not(tiny_model_dir: Path) -> None:
    config = make_config("eval", {"model": str(tiny_model_dir), "use_cache": False})
    assert load_pair(config, locate_model(config), None).thinking == {}


def test_the_overlap_guard_sees_through_case_space_and_a_few_letters() -> None:
    suite = build_suite(IDENTITY, "full")
    one = next(
        q for q in suite.questions
        if q.family == "generalisation" and q.language == "en" and len(q.text) > 30
    )  # fmt: skip
    for text in (one.text, one.text.upper().replace(" ", "  "), f"{one.text} ok"):
        assert one.id in [found.question.id for found in find_overlaps(suite.questions, [text])]
    assert find_overlaps(suite.questions, ["How do I boil rice for four people?"]) == []


def test_models_that_differ_only_in_the_middle_of_a_large_file_are_told_apart(
    tmp_path: Path,
) -> None:
    folders = []
    for name, middle in (("base", b"a"), ("merged", b"b")):
        folder = tmp_path / name
        folder.mkdir()
        edge = b"0" * (1 << 20)
        (folder / "model.safetensors").write_bytes(edge + middle * (1 << 20) + edge)
        folders.append(folder)
    base, merged = map(fingerprint, folders)
    assert base != merged
    assert base == fingerprint(folders[0])
