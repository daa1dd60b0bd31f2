"""Batched and streamed answers against transformers' own, and text out of pieces of characters."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from selfcog.errors import ModelError
from selfcog.model.generate import generate, stream
from selfcog.model.load import load_tokenizer
from selfcog.model.plain import cut_at_stop
from selfcog.model.text_pieces import BROKEN, PieceDecoder, ThinkingSplitter, split_thinking
from selfcog.types import Message

QUESTIONS = ["Hi", "Who are you? " * 9, "你是谁？", "What is your name?", "谢谢。再见。" * 4]


@dataclass
class PlainRenderer:
    """The part of a Renderer that generation uses, with a template of one line."""

    tokenizer: Any
    stop_ids: tuple[int, ...] = ()
    opening: str = "\n"

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        return self.tokenizer.encode(messages[-1].content + self.opening)


@pytest.fixture(scope="module")
def model(tiny_model_dir: Path) -> Any:
    """Random weights so large that the answers wander over the whole vocabulary."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(tiny_model_dir)
    config.tie_word_embeddings, config.initializer_range = False, 0.5
    torch.manual_seed(3)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.fixture(scope="module")
def tokenizer(tiny_model_dir: Path) -> Any:
    return load_tokenizer(tiny_model_dir)


@pytest.fixture
def renderer(tokenizer: Any) -> PlainRenderer:
    return PlainRenderer(tokenizer)


def asked(*texts: str) -> list[list[Message]]:
    return [[Message("user", text)] for text in texts]


def greedy_ids(model: Any, prompt: list[int], number: int) -> list[int]:
    """Greedy decoding in its plainest form: the whole text again for every token."""
    ids = list(prompt)
    for _ in range(number):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def test_greedy_answers_of_a_batch_are_those_of_plain_decoding(
    model: Any, renderer: PlainRenderer
) -> None:
    seen: list[tuple[int, int]] = []
    answers = generate(
        model,
        renderer,
        asked(*QUESTIONS),
        max_new_tokens=12,
        batch_size=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]
    for question, answer in zip(QUESTIONS, answers, strict=True):
        ids = greedy_ids(model, renderer.prompt_ids([Message("user", question)]), 12)
        assert answer.text == renderer.tokenizer.decode(ids).rstrip(BROKEN)
        assert (answer.num_tokens, answer.finish_reason) == (12, "length")


def test_an_answer_ends_at_a_stop_id(model: Any, renderer: PlainRenderer) -> None:
    prompt = renderer.prompt_ids([Message("user", "Hi")])
    ids = greedy_ids(model, prompt, 8)
    position = next(index for index, token in enumerate(ids) if token not in ids[:index] and index)
    renderer.stop_ids = (ids[position],)
    answer, longer = generate(model, renderer, asked("Hi", "你是谁？"), max_new_tokens=8)
    assert (answer.num_tokens, answer.finish_reason) == (position + 1, "stop")
    assert answer.text == renderer.tokenizer.decode(ids[:position])
    assert longer.num_tokens <= 8
    pieces = stream(model, renderer, asked("Hi")[0], max_new_tokens=8)
    assert "".join(pieces) == answer.text
    assert pieces.completion == answer


def test_sampling_follows_the_seed(model: Any, renderer: PlainRenderer) -> None:
    def texts(seed: int | None, **settings: Any) -> list[str]:
        settings = {"temperature": 1.0, "top_k": 50, "top_p": 0.9, **settings}
        answers = generate(
            model, renderer, asked("Hi", "你是谁？"), max_new_tokens=12, seed=seed, **settings
        )
        return [answer.text for answer in answers]

    assert texts(1) == texts(1)
    assert texts(1) != texts(2)
    assert texts(1, top_k=1) == texts(2, temperature=0.0)
    streams = [
        "".join(stream(model, renderer, asked("Hi")[0], max_new_tokens=9, temperature=1.0, seed=5))
        for _ in range(2)
    ]
    assert streams[0] == streams[1]


def test_settings_of_the_checkpoint_stay_out(model: Any, renderer: PlainRenderer) -> None:
    wanted = generate(model, renderer, asked("Who are you?"), max_new_tokens=20)
    own = model.generation_config
    model.generation_config.repetition_penalty = 9.0
    model.generation_config.no_repeat_ngram_size = 1
    model.generation_config.do_sample = True
    model.train()
    try:
        assert generate(model, renderer, asked("Who are you?"), max_new_tokens=20) == wanted
        assert model.generation_config is own
        assert model.training
    finally:
        model.eval()
        own.repetition_penalty, own.no_repeat_ngram_size, own.do_sample = None, None, None


def test_the_pieces_of_a_stream_are_whole_characters(model: Any, renderer: PlainRenderer) -> None:
    cut = 0
    for number in range(3, 40, 4):
        pieces = stream(model, renderer, asked("谢谢。再见。")[0], max_new_tokens=number)
        parts = list(pieces)
        assert not any(part.endswith(BROKEN) for part in parts)
        assert "".join(parts) == pieces.completion.text
        ids = greedy_ids(model, pieces.prompt, number) if number in (3, 11) else []
        if ids:
            assert pieces.completion.text == renderer.tokenizer.decode(ids).rstrip(BROKEN)
        cut += len(parts) < number
    assert cut  # some tokens of this model are parts of characters


def test_closing_a_stream_ends_the_generation(model: Any, renderer: PlainRenderer) -> None:
    before = threading.active_count()
    pieces = stream(model, renderer, asked("Hi")[0], max_new_tokens=900)
    first = next(pieces)
    start_s = time.monotonic()
    pieces.close()
    assert time.monotonic() - start_s < 2
    assert threading.active_count() == before
    assert pieces.completion.text.startswith(first)
    assert 0 < pieces.completion.num_tokens < 900


def test_an_error_in_the_generation_reaches_the_reader(model: Any, renderer: PlainRenderer) -> None:
    pieces = stream(model, renderer, asked("Hi")[0], temperature=-1.0, max_new_tokens=3)
    with pytest.raises(ValueError, match="temperature"):
        list(pieces)


def test_the_context_of_the_model_is_a_limit(model: Any, renderer: PlainRenderer) -> None:
    limit = model.config.max_position_embeddings
    unit = len(renderer.tokenizer.encode("Hi"))
    almost = "Hi" * ((limit - 5) // unit)
    answer = generate(model, renderer, asked(almost), max_new_tokens=50)[0]
    prompt = renderer.prompt_ids([Message("user", almost)])
    assert answer.num_tokens == limit - len(prompt) < 50
    with pytest.raises(ModelError, match=f"the model reads {limit}"):
        generate(model, renderer, asked("Hi" * limit), max_new_tokens=5)


def test_reasoning_is_split_off() -> None:
    assert split_thinking("plain", opened=False) == (None, "plain")
    assert split_thinking("<think>\na\n</think>\n\nb", opened=False) == ("a", "b")
    assert split_thinking("\na\n</think>\n\nb", opened=True) == ("a", "b")
    assert split_thinking("<think>cut o", opened=False) == ("cut o", "")
    assert split_thinking("see <think> in text", opened=False) == (None, "see <think> in text")


def test_reasoning_of_a_model_whose_prompt_opens_it(model: Any, renderer: PlainRenderer) -> None:
    renderer.opening = "<think>\n"
    pieces = stream(model, renderer, asked("Hi")[0], max_new_tokens=4)
    text = "".join(pieces)
    assert pieces.opened
    assert (pieces.completion.thinking, pieces.completion.text) == (text.strip(), "")


@given(st.data())
def test_a_split_stream_says_the_same_as_the_whole(data: st.DataObject) -> None:
    parts = st.sampled_from(["<think>", "</think>", "<thi", "</th", "x", "\n", "你", "<", " "])
    text = "".join(data.draw(st.lists(parts, max_size=8)))
    opened = data.draw(st.booleans())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    splitter = ThinkingSplitter(opened=opened)
    found: list[tuple[bool, str]] = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += splitter.push(text[start:end])
    found += splitter.end()
    thinking = "".join(part for is_thinking, part in found if is_thinking)
    answer = "".join(part for is_thinking, part in found if not is_thinking)
    wanted_thinking, wanted_answer = split_thinking(text, opened=opened)
    assert thinking.strip() == (wanted_thinking or "")
    assert answer == wanted_answer


@given(st.lists(st.one_of(st.text(max_size=6), st.integers(0, 511)), max_size=12))
def test_pieces_joined_are_the_decoded_whole(tokenizer: Any, parts: list[str | int]) -> None:
    """Real text, mixed with any tokens at all, broken bytes among them."""
    ids: list[int] = []
    for part in parts:
        ids += tokenizer.encode(part) if isinstance(part, str) else [part]
    decoder = PieceDecoder(lambda some: tokenizer.decode(some, skip_special_tokens=True))
    pieces = [decoder.push(token) for token in ids]
    assert not any(piece.endswith(BROKEN) for piece in pieces)
    whole = tokenizer.decode(ids, skip_special_tokens=True)
    assert "".join(pieces) + decoder.end(cut_off=False) == whole


@given(st.lists(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_cut_at_stop(ids: list[int], stops: set[int]) -> None:
    kept = cut_at_stop(ids, tuple(stops))
    assert kept == ids[: len(kept)]
    assert not set(kept[:-1]) & stops
    assert len(kept) == len(ids) or kept[-1] in stops
