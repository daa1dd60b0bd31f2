"""Attention that keeps the packed conversations of a row apart.

Four ways, best first; ``forward.prepare`` takes the first that the model computes correctly:

segments   scaled_dot_product_attention on every conversation by itself: no mask, no wasted
           work, on any device (registered with transformers under ``SEGMENTS``)
flash      the model's own flash attention, told where the conversations begin
mask       positions that start again at 0: transformers builds a block-diagonal mask (T×T)
padded     no packing: one conversation a row
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import nn

from selfcog.model.agreement import refuse_unknown
from selfcog.train.batches import MicroBatch
from selfcog.train.causal import LEAST_TOKENS, causal_attention

AttentionMode = Literal["segments", "flash", "mask", "padded"]
SEGMENTS = "selfcog_segments"


def segment_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    segment_lengths: tuple[int, ...] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """An attention function of transformers' AttentionInterface.

    ``query`` [1, heads, T, D], ``key`` and ``value`` [1, key heads, T, D]; result [1, T, heads, D].
    ``segment_lengths`` add up to T; without them this is transformers' own sdpa, so that the same
    model also generates. Raises ValueError for what it cannot compute.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if segment_lengths is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    if sliding_window is not None and max(segment_lengths) > sliding_window:
        raise ValueError(f"a conversation is longer than the sliding window of {sliding_window}")
    refuse_unknown(kwargs, "by segment")
    on_cpu = query.device.type == "cpu"
    enable_gqa = query.shape[1] != key.shape[1]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    # A model in float32 with products in bfloat16 hands over what its projections gave: bfloat16.
    is_low = on_cpu and query.dtype == torch.bfloat16 and dropout == 0.0

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if is_low and q.shape[2] >= LEAST_TOKENS:
            return causal_attention(q[0], k[0], v[0], scale)[None]
        if on_cpu:
            # In bfloat16 the backward pass of torch 2.13's CPU kernel takes five times as long as
            # in float32 (measured at 48 tokens a conversation, head size 32).
            q, k, v = q.float(), k.float(), v.float()
        out = nn.functional.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scale, enable_gqa=enable_gqa
        )
        return out.to(query.dtype)

    with torch.autocast("cpu", enabled=False) if on_cpu else nullcontext():
        split = (part.split(list(segment_lengths), 2) for part in (query, key, value))
        parts = [attend(q, k, v) for q, k, v in zip(*split, strict=True)]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def use_segments(base: Any) -> bool:
    """Switch ``base`` (a transformers model) to ``segment_attention``; False if it cannot be."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(SEGMENTS, segment_attention)
    AttentionMaskInterface.register(SEGMENTS, sdpa_mask)
    base.set_attn_implementation(SEGMENTS)
    return bool(base.config._attn_implementation == SEGMENTS)


def attention_arguments(batch: MicroBatch, mode: AttentionMode) -> dict[str, Any]:
    """What the model's forward must be told about the rows of ``batch``, positions included."""
    if mode == "padded" or batch.attention_mask_BT is not None:
        return {"attention_mask": batch.attention_mask_BT}
    arguments: dict[str, Any] = {
        "attention_mask": None,
        "position_ids": batch.position_ids_BT,
    }
    device = batch.input_ids_BT.device
    if mode == "segments":
        # A mask with four axes is passed on as it is: transformers builds none.
        arguments["attention_mask"] = torch.zeros((1, 1, 1, 1), device=device)
        arguments["segment_lengths"] = batch.segment_lengths
    if mode == "flash":
        lengths = torch.tensor((0, *batch.segment_lengths), dtype=torch.int32, device=device)
        edges = lengths.cumsum(0, dtype=torch.int32)
        longest = max(batch.segment_lengths)
        arguments |= {
            "cu_seq_lens_q": edges,
            "cu_seq_lens_k": edges,
            "max_length_q": longest,
            "max_length_k": longest,
        }
    return arguments


def candidate_modes(base: Any, longest_row: int, packing: bool) -> list[AttentionMode]:
    """The modes to try for this model, best first; "padded" is always the last."""
    if not packing:
        return ["padded"]
    implementation = base.config._attn_implementation
    if implementation == SEGMENTS:  # left by a training that was stopped
        implementation = "sdpa"
    if implementation is not None and implementation.startswith("flash_attention"):
        return ["flash", "padded"]
    window = base.config.get_text_config().to_dict().get("sliding_window")
    if implementation == "sdpa" and (window is None or longest_row <= window):
        return ["segments", "mask", "padded"]
    return ["mask", "padded"]
