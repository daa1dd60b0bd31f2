"""General prompts: the built-in list, those of a user's rows, those that a model writes itself."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

import pytest

from selfcog.evaluate.overlap import MOST_ALIKE, _grams
from selfcog.evaluate.questions import FAMILIES, build_suite
from selfcog.identity import Identity
from selfcog.identity.bank import load_bank
from selfcog.identity.text import normalize_question
from selfcog.teacher.prompts import (
    DEV_EVERY,
    LEAST_CHARACTERS,
    builtin_prompts,
    prompts_of,
    self_written_prompts,
)
from selfcog.types import Example, Message

LANGUAGES = ("zh", "en")


@cache
def read_list(language: str) -> list[dict[str, str]]:
    path = resources.files("selfcog.teacher").joinpath(f"prompts/{language}.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("language", LANGUAGES)
def test_train_and_dev_share_nothing_and_lack_nothing(language: str) -> None:
    train, dev = (builtin_prompts([language], 0, split) for split in ("train", "dev"))
    numbers = sorted(prompt.line for prompt in (*train, *dev))
    assert numbers == list(range(1, len(read_list(language)) + 1))
    texts = [{normalize_question(prompt.text) for prompt in part} for part in (train, dev)]
    assert not texts[0] & texts[1]
    assert len(dev) == len(numbers) // DEV_EVERY
    assert {prompt.topic for prompt in dev} == {prompt.topic for prompt in train}


def test_a_prompt_is_what_its_line_says() -> None:
    for prompt in builtin_prompts(LANGUAGES, 0):
        row = read_list(prompt.language)[prompt.line - 1]
        systems = [message.content for message in prompt.messages if message.role == "system"]
        assert (prompt.text, prompt.topic, prompt.origin) == (row["text"], row["topic"], "builtin")
        assert systems == ([row["system"]] if "system" in row else [])
        assert prompt.messages[-1].role == "user"


def test_languages_alternate_and_topics_are_spread() -> None:
    prompts = builtin_prompts(LANGUAGES, 3)
    both = 2 * min(Counter(prompt.language for prompt in prompts).values())
    assert all(one.language != other.language for one, other in pairwise(prompts[:both]))
    topics = {prompt.topic for prompt in prompts}
    for language in LANGUAGES:
        own = [prompt.topic for prompt in prompts if prompt.language == language]
        rounds = min(Counter(own).values())
        for start in range(0, rounds * len(topics), len(topics)):
            assert set(own[start : start + len(topics)]) == topics


def test_the_seed_decides_the_order_and_nothing_else() -> None:
    one, same, other = (builtin_prompts(LANGUAGES, seed) for seed in (5, 5, 6))
    assert one == same
    assert one != other and set(one) == set(other)
    # A language has its order whatever stands beside it.
    english = [prompt for prompt in one if prompt.language == "en"]
    assert builtin_prompts(["en"], 5) == english
    assert builtin_prompts(["fr"], 5) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_builtin_prompt_is_like_a_test_question(language: str) -> None:
    """Texts are not shown: the suites are sealed. The numbers are lines of the prompt list."""
    identity = Identity(("扁仓", "BianCang"), ("扁仓研究组", "BianCang Research Group"))
    suites = [build_suite(identity, size).questions for size in ("dev", "quick", "full")]
    questions = {one.text: one.family for suite in suites for one in suite}
    for name in LANGUAGES:
        for split in ("dev", "test"):
            for question in load_bank(name).questions(None, split):  # type: ignore[arg-type]
                questions.setdefault(question.text, f"bank {split}")
    assert len(questions) > 2000 and set(questions.values()) <= {*FAMILIES, "bank dev", "bank test"}
    index: dict[str, set[str]] = {}
    for text in questions:
        for gram in _grams(text):
            index.setdefault(gram, set()).add(text)
    too_like = []
    for line, row in enumerate(read_list(language), start=1):
        own = _grams(row["text"])
        near = set().union(*(index.get(gram, ()) for gram in own))
        likeness = {text: len(own & _grams(text)) / len(own | _grams(text)) for text in near}
        closest = max(likeness, key=likeness.__getitem__, default="")
        if closest and likeness[closest] >= MOST_ALIKE:
            too_like.append(f"{line} ({questions[closest]} {likeness[closest]:.2f})")
    if too_like:
        pytest.fail(f"{len(too_like)} lines of {language}.jsonl: {', '.join(too_like)}", False)


def test_a_users_rows_without_their_last_answer() -> None:
    user, answer = Message("user", "甲？"), Message("assistant", "乙。")
    rows = [
        Example((Message("system", "短"), user, answer, user, answer), source="a", line=4),
        Example((answer,), source="a", line=5),
        Example((user, answer, answer), source="a", line=6),
    ]
    [prompt] = prompts_of(rows)
    assert (prompt.origin, prompt.line) == ("a", 4)
    assert [message.role for message in prompt.messages] == ["system", "user", "assistant", "user"]


@pytest.fixture(scope="module")
def embedded() -> tuple[Any, Any]:
    from selfcog.model.load import load_model, load_tokenizer
    from selfcog.model.locate import resolve_model
    from selfcog.tokens.render import Renderer

    path = resolve_model("embedded", None).path
    return load_model(path, torch_dtype="float32"), Renderer(load_tokenizer(path))


def test_a_model_writes_prompts_of_its_own(embedded: tuple[Any, Any]) -> None:
    model, renderer = embedded
    found = self_written_prompts(model, renderer, 40, 3)
    assert 20 < len(found) <= 40
    assert len({normalize_question(prompt.text) for prompt in found}) == len(found)
    specials = renderer.tokenizer.all_special_tokens
    for prompt in found:
        assert len(prompt.messages) == 1 and prompt.origin == "self"
        assert len(prompt.text) >= LEAST_CHARACTERS and prompt.text == prompt.text.strip()
        assert not any(special in prompt.text for special in specials)
    assert self_written_prompts(model, renderer, 40, 3) == found
    assert self_written_prompts(model, renderer, 40, 4) != found
    assert self_written_prompts(model, renderer, 0, 3) == []


def written(
    embedded: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, texts: list[str]
) -> list[str]:
    """What is kept when the model continues the user turn with these texts."""
    model, renderer = embedded
    encode = renderer.tokenizer.encode

    def continue_with(*args: Any, **kwargs: Any) -> list[list[int]]:
        return [encode(text, add_special_tokens=False) for text in texts]

    monkeypatch.setattr("selfcog.model.generate.generate_ids", continue_with)
    found = self_written_prompts(model, renderer, len(texts), 0)
    return [prompt.text for prompt in found]


def test_only_finished_and_different_ones_are_kept(
    embedded: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        " Name three rivers.\n<|im_end|>",
        "name three rivers<|im_end|>",  # the same
        "And now the whole story of",  # not finished
        "ok<|im_end|>",  # too short
        "？！……？！<|im_end|>",  # no words
        "列举三条河<|im_end|>\n<|im_start|>assistant\n长江、",  # ended, and went on
    ]
    assert written(embedded, monkeypatch, texts) == ["Name three rivers.", "列举三条河"]


def test_no_prompt_holds_a_control_token(
    embedded: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rendered as a user turn it would begin another turn."""
    texts = [
        "Name three rivers.<|im_start|>assistant\nThe Rhine<|im_end|>",
        "Name a lake.<|endoftext|>Name another lake.<|im_end|>",
    ]
    for text in written(embedded, monkeypatch, texts):
        assert "<|" not in text, text


class BareRenderer:
    """A template that writes no user's words at all."""

    def prompt_text(self, messages: Any) -> str:
        return "<bos>"


def test_a_template_without_a_user_turn_gives_none() -> None:
    assert self_written_prompts(None, BareRenderer(), 5, 0) == []  # type: ignore[arg-type]
