"""Packed conversations must get the logits that each gets alone, on every kind of model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from tiny_training import make_rows

from selfcog.train.attention import (
    SEGMENTS,
    attention_arguments,
    candidate_modes,
    segment_attention,
)
from selfcog.train.batches import collate_packed
from selfcog.train.forward import Forward, prepare
from selfcog.train.memory import choose_compute_dtype
from selfcog.types import TokenizedExample

SMALL: dict[str, Any] = {
    "vocab_size": 256,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,  # large: a leak between conversations must show
}
LONGEST = 24


def make(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**settings)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def losses_alone(model: Any, rows: list[TokenizedExample]) -> list[float]:
    found = []
    for row in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row.input_ids])).logits[0].float()
        labels = torch.tensor([*row.labels[1:], -100])
        found.append(float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum")))
    return found


def check(model: Any, forward: Forward, tolerance: float = 1e-5) -> None:
    rows = make_rows(6, longest=LONGEST)
    wanted = sum(losses_alone(model, rows))
    with torch.no_grad():
        batches = forward.batches(rows)
        found = sum(float(forward.loss(batch).loss_sum) for batch in batches)
    assert found == pytest.approx(wanted, rel=tolerance)


@pytest.mark.parametrize(
    ("name", "settings", "attention", "head"),
    [
        ("Qwen2", SMALL, "segments", "chunked"),
        ("Llama", SMALL, "segments", "chunked"),
        ("Qwen3", {**SMALL, "head_dim": 16}, "segments", "chunked"),
        ("Mistral", {**SMALL, "sliding_window": LONGEST}, "segments", "chunked"),
        ("Mistral", {**SMALL, "sliding_window": 8}, "mask", "chunked"),
        # Soft-capped attention and logits: neither sdpa nor a bare head can do that.
        ("Gemma2", {**SMALL, "head_dim": 16, "attn_logit_softcapping": 5.0}, "mask", "selected"),
        # Logits are scaled after the head.
        ("Granite", {**SMALL, "logits_scaling": 4.0}, "segments", "selected"),
        (
            "GPT2",
            {
                "vocab_size": 256,
                "n_embd": 32,
                "bos_token_id": 0,
                "eos_token_id": 0,
                "n_layer": 2,
                "n_head": 4,
            },
            "segments",
            "chunked",
        ),
        # Positions are a bias of the attention (Bloom) or a state (Mamba): no packing.
        (
            "Bloom",
            {"vocab_size": 256, "hidden_size": 32, "n_layer": 2, "n_head": 4},
            "padded",
            "chunked",
        ),
        (
            "Mamba",
            {"vocab_size": 256, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
            "padded",
            "chunked",
        ),
    ],
)
def test_loss_is_the_same_as_one_by_one(
    name: str, settings: dict[str, Any], attention: str, head: str
) -> None:
    model = make(name, **settings)
    forward, notices = prepare(model, token_budget=70, longest_row=LONGEST)
    assert (forward.attention, forward.head) == (attention, head)
    assert len(notices) == (attention == "padded")
    check(model, forward)
    forward.restore()
    assert model.config._attn_implementation != SEGMENTS


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_padded_rows_give_the_same_loss(implementation: str) -> None:
    model = make("Qwen2", **SMALL)
    model.set_attn_implementation(implementation)
    forward, notices = prepare(
        model, token_budget=70, longest_row=LONGEST, packing=False, max_padded_rows=3
    )
    assert forward.attention == "padded" and not notices
    check(model, forward)


def test_bfloat16_packs_as_well() -> None:
    model = make("Qwen2", **SMALL).to(torch.bfloat16)
    forward, notices = prepare(
        model, token_budget=70, longest_row=LONGEST, compute_dtype=torch.bfloat16
    )
    assert forward.attention == "segments" and not notices
    check(model, forward, tolerance=2e-2)


def test_a_leak_between_conversations_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(batch: Any, mode: str) -> dict[str, Any]:
        arguments = attention_arguments(batch, mode)  # type: ignore[arg-type]
        if "segment_lengths" in arguments:
            arguments["segment_lengths"] = (batch.num_tokens,)
        return arguments

    monkeypatch.setattr("selfcog.train.forward.attention_arguments", leaky)
    forward, notices = prepare(make("Qwen2", **SMALL), token_budget=70, longest_row=LONGEST)
    assert forward.attention == "mask"
    assert "segments" in notices[0]


def test_model_still_generates_while_it_is_prepared() -> None:
    model = make("Qwen2", **SMALL)
    ids = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0  # left padding, as in generation

    def answer() -> list[list[int]]:
        return model.generate(
            ids, attention_mask=mask, max_new_tokens=6, do_sample=False, pad_token_id=0
        ).tolist()

    before = answer()
    prepare(model, token_budget=70, longest_row=LONGEST)
    assert model.config._attn_implementation == SEGMENTS
    assert answer() == before


def test_flash_attention_gets_the_edges_of_the_conversations() -> None:
    model = make("Qwen2", **SMALL)
    model.config._attn_implementation_internal = "flash_attention_2"
    assert candidate_modes(model, LONGEST, True) == ["flash", "padded"]
    rows = make_rows(3)
    lengths = [row.num_tokens for row in rows]
    arguments = attention_arguments(collate_packed(rows), "flash")
    edges = [0, lengths[0], sum(lengths[:2]), sum(lengths)]
    assert arguments["cu_seq_lens_q"].tolist() == edges
    assert arguments["cu_seq_lens_q"].dtype == torch.int32
    assert arguments["max_length_k"] == max(lengths)
    assert arguments["attention_mask"] is None


def test_in_bfloat16_attention_is_computed_in_float32_on_a_cpu() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, 9, 8).bfloat16() for heads in (4, 2, 2))
    wanted, _ = segment_attention(
        torch.nn.Module(), query.float(), key.float(), value.float(), None, segment_lengths=(5, 4)
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = segment_attention(
            torch.nn.Module(), query, key, value, None, segment_lengths=(5, 4)
        )
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, wanted.bfloat16())


@pytest.mark.parametrize(
    ("own", "device", "setting", "has_bfloat16", "wanted"),
    [
        (torch.float32, "cpu", "auto", True, torch.bfloat16),
        (torch.float32, "cpu", "auto", False, torch.float32),
        (torch.float32, "cpu", "float32", True, torch.float32),
        (torch.float32, "cuda", "auto", True, torch.float32),
        (torch.float16, "cpu", "auto", True, torch.float16),
    ],
)
def test_matrix_products_are_in_bfloat16_where_a_cpu_has_it_and_nobody_asked_otherwise(
    own: torch.dtype,
    device: str,
    setting: str,
    has_bfloat16: bool,
    wanted: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bfloat16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert choose_compute_dtype(own, torch.device(device), setting) == wanted
