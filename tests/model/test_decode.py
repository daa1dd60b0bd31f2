"""Answers by slots against transformers' generate: the same tokens, whatever shares a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

from selfcog.config.schema import AdapterSection
from selfcog.model.adapter import adapter_off, add_adapter
from selfcog.model.decode import Decoder, can_decode, shared_lengths
from selfcog.model.generate import generate_ids, stream
from selfcog.model.plain import cut_at_stop
from selfcog.model.sampling import Sampling
from selfcog.types import Message

VOCABULARY = 97
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "initializer_range": 0.4,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
GEMMA = {"head_dim": 8, "num_key_value_heads": 2}
WAYS = {
    "Qwen2": {"num_key_value_heads": 2},
    "Llama": {"num_key_value_heads": 4},
    "Qwen3": {"num_key_value_heads": 1, "head_dim": 16},
    "Mistral": {"num_key_value_heads": 2, "sliding_window": 512},
    "Phi3": {"num_key_value_heads": 2, "original_max_position_embeddings": 512},
    "Gemma": GEMMA,
    "GPTNeoX": {},
    "GPT2": {**GPT2, "vocab_size": VOCABULARY},
}
# Windows that texts outgrow, soft-capped logits, recurrent layers.
OTHERS = {
    "Mistral": {"num_key_value_heads": 2, "sliding_window": 16},
    "Gemma2": {**GEMMA, "sliding_window": 16, "query_pre_attn_scalar": 8},
    "Mamba": {"state_size": 4},
}


@dataclass
class Prompter:
    """Prompts are ids already; the tokenizer is needed for its pad id."""

    stop_ids: tuple[int, ...] = ()
    pad_token_id: int = 0

    @property
    def tokenizer(self) -> Any:
        return self

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        return [int(word) for word in messages[-1].content.split()]

    def decode(self, ids: Sequence[int], **settings: Any) -> str:
        return "".join(f" {token}" for token in ids)


def make_model(name: str, settings: dict[str, Any], dtype: torch.dtype = torch.float32) -> Any:
    config = getattr(transformers, f"{name}Config")(**{**SIZES, **settings})
    torch.manual_seed(3)
    return AutoModelForCausalLM.from_config(config, dtype=dtype).eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return make_model("Qwen2", WAYS["Qwen2"])


def make_prompts(lengths: Sequence[int], start: Sequence[int] = ()) -> list[list[int]]:
    draw = torch.Generator().manual_seed(7)
    return [
        [*start, *torch.randint(1, VOCABULARY, (length,), generator=draw).tolist()]
        for length in lengths
    ]


LENGTHS = (9, 3, 60, 1, 17, 5, 33, 9)


def plain_answers(
    model: Any, prompts: Sequence[list[int]], number: int, stop_ids: Sequence[int] = ()
) -> list[list[int]]:
    """transformers' greedy answers, every prompt by itself."""
    answers = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        with torch.no_grad():
            found = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=number,
                do_sample=False,
                pad_token_id=0,
            )
        answers.append(cut_at_stop(found[0, len(prompt) :].tolist(), stop_ids))
    return answers


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_greedy_answers_are_those_of_transformers(name: str, batch_size: int) -> None:
    model = make_model(name, WAYS[name])
    prompts = make_prompts(LENGTHS)
    assert can_decode(model, 80)
    found = generate_ids(model, Prompter(), prompts, Sampling(12), batch_size)
    assert found == plain_answers(model, prompts, 12)
    assert len({token for answer in found for token in answer}) > 8


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_go_through_transformers_generate(name: str) -> None:
    model = make_model(name, OTHERS[name])
    prompts = make_prompts((9, 3, 20, 9) if name != "Mamba" else (9, 9))
    assert not can_decode(model, 32)
    own = model.config._attn_implementation
    found = generate_ids(model, Prompter(), prompts, Sampling(12), 2)
    assert found == plain_answers(model, prompts, 12)
    assert model.config._attn_implementation == own


def test_a_window_that_no_text_outgrows_is_none() -> None:
    model = make_model("Mistral", OTHERS["Mistral"])
    assert can_decode(model, 16)
    prompts = make_prompts((4, 7))
    found = generate_ids(model, Prompter(), prompts, Sampling(9), 2)
    assert found == plain_answers(model, prompts, 9)


def test_what_the_user_chose_for_attention_stays() -> None:
    model = make_model("Qwen2", WAYS["Qwen2"])
    model.set_attn_implementation("eager")
    assert not can_decode(model, 32)
    prompts = make_prompts((4, 7))
    found = generate_ids(model, Prompter(), prompts, Sampling(9), 2)
    assert found == plain_answers(model, prompts, 9)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_answers_end_at_stop_ids_and_make_room_for_others(model: Any, batch_size: int) -> None:
    prompts = make_prompts(LENGTHS * 3)
    free = plain_answers(model, prompts, 20)
    stop_ids = (free[0][4], free[2][7], free[5][0], free[9][2])
    found = generate_ids(model, Prompter(stop_ids), prompts, Sampling(20), batch_size)
    assert found == plain_answers(model, prompts, 20, stop_ids)
    assert len({len(answer) for answer in found}) > 4


def test_one_long_prompt_among_short_ones(model: Any) -> None:
    """Slots grow for it, and shrink when it is done."""
    prompts = make_prompts((5, 400, 7, 9, 2, 90, 4))
    found = generate_ids(model, Prompter(), prompts, Sampling(30), 2)
    assert found == plain_answers(model, prompts, 30)


def test_no_prompts_and_one_token(model: Any) -> None:
    assert generate_ids(model, Prompter(), [], Sampling(5)) == []
    prompts = make_prompts(LENGTHS)
    found = generate_ids(model, Prompter(), prompts, Sampling(1), 3)
    assert found == plain_answers(model, prompts, 1)


def test_progress_counts_answers(model: Any) -> None:
    seen: list[tuple[int, int]] = []
    prompts = make_prompts(LENGTHS)
    stop_ids = (plain_answers(model, prompts, 9)[1][3],)
    generate_ids(
        model, Prompter(stop_ids), prompts, Sampling(9), 3, lambda *pair: seen.append(pair)
    )
    assert seen[-1] == (8, 8)
    assert [number for number, _ in seen] == sorted({number for number, _ in seen})


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_a_shared_beginning_is_read_once(model: Any, batch_size: int) -> None:
    first, second, lone = make_prompts((24, 40, 30))
    prompts = [
        *make_prompts((9, 3, 12, 1, 5), first),
        *make_prompts((2, 8, 6), second),
        lone,
        list(first),
    ]
    assert shared_lengths(prompts) == [23] * 5 + [40] * 3 + [0, 23]
    read = []
    hook = model.get_input_embeddings().register_forward_pre_hook(
        lambda module, inputs: read.append(inputs[0].numel())
    )
    try:
        found = generate_ids(model, Prompter(), prompts, Sampling(6), batch_size)
    finally:
        hook.remove()
    assert found == plain_answers(model, prompts, 6)
    num_new = len(prompts) * 5
    # The model may have been tried out before: 7 + 4 tokens and 8 + 7 plainly.
    wanted = sum(map(len, prompts)) - 5 * 23 - 2 * 40 + num_new
    assert sum(read) in (wanted, wanted + 26)


def test_shared_beginnings_must_be_worth_it() -> None:
    start = list(range(1, 21))
    assert shared_lengths([[*start, 1], [*start, 2]]) == [0, 0]
    assert shared_lengths([[*start, n] for n in range(5)]) == [20] * 5
    assert shared_lengths([start] * 5) == [19] * 5
    assert shared_lengths([[1, 2, 3]] * 99) == [0] * 99
    assert shared_lengths([]) == []


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_an_adapter_is_merged_and_answers_as_before(side: str) -> None:
    model = add_adapter(make_model("Qwen2", WAYS["Qwen2"]), AdapterSection(lora_rank=4))
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator)
    prompts = make_prompts(LENGTHS * 6)
    weights = [parameter.data_ptr() for parameter in model.parameters()]
    calls: list[int] = []
    layer = next(part for name, part in model.named_modules() if name.endswith("lora_A.default"))
    layer.register_forward_hook(lambda *args: calls.append(1))
    if side == "base":
        with adapter_off(model):
            found = generate_ids(model, Prompter(), prompts, Sampling(10), 3)
            wanted = plain_answers(model, prompts, 10)
    else:
        found = generate_ids(model, Prompter(), prompts, Sampling(10), 3)
        assert not calls
        wanted = plain_answers(model, prompts, 10)
        assert calls
        assert generate_ids(model, Prompter(), prompts, Sampling(10), 3, merge=False) == wanted
    assert found == wanted
    assert [parameter.data_ptr() for parameter in model.parameters()] == weights


def test_bfloat16_differs_in_near_ties_only() -> None:
    model = make_model("Qwen2", WAYS["Qwen2"], torch.bfloat16)
    prompts = make_prompts(LENGTHS * 4)
    found = generate_ids(model, Prompter(), prompts, Sampling(1), 8)
    wanted = plain_answers(model, prompts, 1)
    for prompt, own, theirs in zip(prompts, found, wanted, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt])).logits[0, -1].float()
        spread = float(logits.std())
        assert float(logits[theirs[0]] - logits[own[0]]) <= 0.05 * spread


def test_the_model_is_left_as_it_was(model: Any) -> None:
    own = model.config._attn_implementation
    model.train()
    try:
        generate_ids(model, Prompter(), make_prompts((4, 5)), Sampling(3))
        assert model.training
    finally:
        model.eval()
    assert model.config._attn_implementation == own == "sdpa"


def test_an_error_in_a_step_leaves_the_model_as_it_was(model: Any) -> None:
    def fail(*args: Any) -> None:
        raise KeyboardInterrupt

    hook = model.get_output_embeddings().register_forward_hook(fail)
    try:
        with pytest.raises(KeyboardInterrupt):
            generate_ids(model, Prompter(), make_prompts((4, 5)), Sampling(3))
    finally:
        hook.remove()
    assert model.config._attn_implementation == "sdpa"


def test_two_streams_at_once_do_not_disturb_each_other(model: Any) -> None:
    prompts = make_prompts((6, 11))
    asked = [[Message("user", " ".join(map(str, prompt)))] for prompt in prompts]
    streams = [stream(model, Prompter(), one, max_new_tokens=8) for one in asked]
    texts = ["", ""]
    for pieces in zip(*streams, strict=True):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
    assert texts == [Prompter().decode(ids) for ids in plain_answers(model, prompts, 8)]


def sampled(model: Any, prompts: Sequence[list[int]], batch_size: int = 4, **settings: Any) -> Any:
    settings = {"temperature": 1.0, "top_p": 0.95, "top_k": 20, "seed": 5, **settings}
    return generate_ids(model, Prompter(), prompts, Sampling(12, **settings), batch_size)


def test_samples_follow_the_seed_and_not_the_batch(model: Any) -> None:
    prompts = make_prompts(LENGTHS)
    found = sampled(model, prompts, 4)
    assert sampled(model, prompts, 4) == found
    assert sampled(model, prompts, 1) == found
    assert sampled(model, prompts, 16) == found
    assert sampled(model, prompts, 4, seed=6) != found
    assert sampled(model, prompts[:3], 2) == found[:3]


def test_the_same_prompt_is_sampled_anew_each_time(model: Any) -> None:
    [prompt] = make_prompts((20,))
    found = sampled(model, [prompt] * 6)
    assert len({tuple(answer) for answer in found}) == 6


def test_without_a_seed_torch_decides(model: Any) -> None:
    prompts = make_prompts((4, 9))
    torch.manual_seed(1)
    first, second = sampled(model, prompts, seed=None), sampled(model, prompts, seed=None)
    torch.manual_seed(1)
    assert sampled(model, prompts, seed=None) == first != second


def test_a_penalty_is_that_of_transformers(model: Any) -> None:
    prompts = make_prompts(LENGTHS)
    found = generate_ids(model, Prompter(), prompts, Sampling(12, repetition_penalty=1.7), 3)
    wanted = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            repetition_penalty=1.7,
            do_sample=False,
            pad_token_id=0,
        )
        wanted.append(output[0, len(prompt) :].tolist())
    assert found == wanted
    assert found != plain_answers(model, prompts, 12)


def test_settings_out_of_range_are_refused(model: Any) -> None:
    for settings in ({"temperature": -1.0}, {"top_p": 1.5, "temperature": 1.0}):
        with pytest.raises(ValueError, match=r"temperature|top_p"):
            Decoder(model, [[1]], [1], (), Sampling(1, **settings), 1)


def test_a_model_is_tried_out_once(tiny_model_dir: Path) -> None:
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tiny_model_dir)).eval()
    calls: list[int] = []
    model.register_forward_hook(lambda *args: calls.append(1))
    assert can_decode(model, 64)
    tried = len(calls)
    assert can_decode(model, 64)
    assert len(calls) == tried == 4


def test_positions_that_depend_on_the_row_are_left_to_transformers() -> None:
    ropes = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    model = make_model("Llama", {"rope_parameters": ropes})
    assert not can_decode(model, 32)
