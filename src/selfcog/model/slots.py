"""Keys and values of texts that are being written, a slot for each, and attention over them.

One forward pass runs one packed row of tokens [1, N]: first the newest token of every running text
(text n is in slot n), then segments, the unread parts of new prompts. Nothing is padded but the
shorter slots within the attention of the running texts. The attention function is registered with
transformers under ``SLOTS``; without ``slots`` among its arguments it is transformers' own sdpa.

Axes: N tokens of the row, R slots, H query heads, K key heads, G = H / K, T tokens of a slot,
D head size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from selfcog.model.agreement import refuse_unknown

SLOTS = "selfcog_slots"
# Slots grow by so many tokens, so that their contents are rarely copied.
ROOM_STEP = 64
# Masked tokens that cost as much as a call of the attention kernel on a CPU (measured: 25 µs, and
# 0.1 to 0.2 µs a token with 2 to 4 key heads).
GROUP_WASTE = 200

Prefix = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens ``start`` to ``start + length`` of the row go to ``slot``, after ``past`` others."""

    slot: int
    start: int
    length: int
    past: int = 0

    def mask(self, groups: int, device: torch.device) -> torch.Tensor:
        """What each token may look at: the past, and the segment up to itself; [G·length, T]."""
        all_TT = torch.ones(self.length, self.past + self.length, dtype=torch.bool, device=device)
        return all_TT.tril(self.past).repeat(groups, 1)


@dataclass(frozen=True, slots=True)
class Group:
    """Slots ``start`` to ``stop`` attended to at once, over ``longest`` tokens each."""

    start: int
    stop: int
    longest: int
    mask_R11T: torch.Tensor


@dataclass(slots=True)
class Slots:
    """``keys`` and ``values``, by layer: [R, K, room, D]; made when a layer first has some."""

    num_slots: int
    room: int = 0
    keys: dict[int, torch.Tensor] = field(default_factory=dict)
    values: dict[int, torch.Tensor] = field(default_factory=dict)
    _groups: list[Group] = field(default_factory=list)
    _segments: tuple[Segment, ...] = ()
    _rows_R: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    _places_R: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    _masks: dict[int, torch.Tensor] = field(default_factory=dict)

    def prepare(
        self, lengths: Sequence[int], segments: Sequence[Segment], device: torch.device
    ) -> torch.Tensor:
        """Make room for a step and return the positions [1, N] of its tokens.

        ``lengths``: the tokens in the slots of the running texts, before this step.
        """
        self._segments = tuple(segments)
        ends = [length + 1 for length in lengths]
        self._resize(max([*ends, *(one.past + one.length for one in segments)]))
        places_R = torch.tensor(lengths, dtype=torch.long)
        # A GPU waits longer for one more kernel than for some masked keys.
        waste = GROUP_WASTE if device.type == "cpu" else sum(ends) * self.num_slots
        self._groups = []
        for start, stop in group_slots(ends, waste):
            longest = max(ends[start:stop])
            mask_RT = torch.arange(longest) <= places_R[start:stop, None]
            self._groups.append(Group(start, stop, longest, mask_RT[:, None, None].to(device)))
        self._rows_R = torch.arange(len(lengths), device=device)
        self._places_R = places_R.to(device)
        self._masks = {}
        parts = [torch.arange(one.past, one.past + one.length) for one in segments]
        return torch.cat([places_R, *parts])[None].to(device)

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None,
    ) -> torch.Tensor:
        """``query`` [1, H, N, D], ``key`` and ``value`` [1, K, N, D] → [1, N, H, D]."""
        keys, values = self._layer(layer, key, value)
        parts = []
        if running := len(self._rows_R):
            rows_R, places_R = self._rows_R.to(key.device), self._places_R.to(key.device)
            keys[rows_R, :, places_R] = key[0, :, :running].transpose(0, 1)
            values[rows_R, :, places_R] = value[0, :, :running].transpose(0, 1)
            # The query heads of a key head are rows of one product: no key is copied for them.
            query_RKGD = query[0, :, :running].unflatten(0, (key.shape[1], -1)).permute(2, 0, 1, 3)
        for group in self._groups:
            here = slice(group.start, group.stop)
            found_RKGD = nn.functional.scaled_dot_product_attention(
                query_RKGD[here],
                keys[here, :, : group.longest],
                values[here, :, : group.longest],
                attn_mask=group.mask_R11T.to(key.device),
                scale=scaling,
            )
            parts.append(found_RKGD.flatten(1, 2)[None])
        for segment in self._segments:
            parts.append(self._attend_segment(segment, query, key, value, keys, values, scaling))
        return torch.cat(parts, dim=1)

    def take(self, slot: int, length: int) -> Prefix:
        """A copy of the first ``length`` keys and values of a slot, [K, length, D] by layer."""
        return [
            (keys[slot, :, :length].clone(), self.values[layer][slot, :, :length].clone())
            for layer, keys in self.keys.items()
        ]

    def put(self, slot: int, prefix: Prefix) -> None:
        """Let the text of ``slot`` begin with what ``take`` returned."""
        self._resize(max(self.room, prefix[0][0].shape[1]))
        for (layer, keys), (key, value) in zip(self.keys.items(), prefix, strict=True):
            keys[slot, :, : key.shape[1]] = key
            self.values[layer][slot, :, : key.shape[1]] = value

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the text of one slot, ``length`` tokens, over that of another."""
        for tensors in (self.keys, self.values):
            for tensor in tensors.values():
                tensor[target, :, :length] = tensor[source, :, :length]

    def _attend_segment(
        self,
        segment: Segment,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        scaling: float | None,
    ) -> torch.Tensor:
        here = slice(segment.start, segment.start + segment.length)
        length = segment.past + segment.length
        keys[segment.slot, :, segment.past : length] = key[0, :, here]
        values[segment.slot, :, segment.past : length] = value[0, :, here]
        if segment.past == 0:
            found_1HND = nn.functional.scaled_dot_product_attention(
                query[:, :, here],
                key[:, :, here],
                value[:, :, here],
                is_causal=True,
                scale=scaling,
                enable_gqa=query.shape[1] != key.shape[1],
            )
            return found_1HND.transpose(1, 2)
        groups = query.shape[1] // key.shape[1]
        if segment.slot not in self._masks:
            self._masks[segment.slot] = segment.mask(groups, key.device)
        query_1KND = query[:, :, here].unflatten(1, (key.shape[1], groups)).flatten(2, 3)
        found_1KND = nn.functional.scaled_dot_product_attention(
            query_1KND,
            keys[segment.slot, None, :, :length],
            values[segment.slot, None, :, :length],
            attn_mask=self._masks[segment.slot].to(key.device),
            scale=scaling,
        )
        return found_1KND.unflatten(2, (groups, segment.length)).flatten(1, 2).transpose(1, 2)

    def _layer(
        self, layer: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if layer not in self.keys:
            # Zeros: what lies behind the end of a text is masked, but 0 times NaN would be NaN.
            for tensors, like in ((self.keys, key), (self.values, value)):
                shape = (self.num_slots, like.shape[1], self.room, like.shape[3])
                tensors[layer] = like.new_zeros(shape)
        return self.keys[layer], self.values[layer]

    def _resize(self, needed: int) -> None:
        """Room for ``needed`` tokens a slot; less where that is a small part of what there is."""
        if needed <= self.room <= 4 * needed + ROOM_STEP:
            return
        grown = max(needed, min(self.room + self.room // 4, 4 * needed))
        room = -(-grown // ROOM_STEP) * ROOM_STEP
        kept = min(room, self.room)
        for tensors in (self.keys, self.values):
            for layer, old in tensors.items():
                new = old.new_empty((*old.shape[:2], room, old.shape[3]))
                new[:, :, :kept], new[:, :, kept:] = old[:, :, :kept], 0
                tensors[layer] = new
        self.room = room


def group_slots(lengths: Sequence[int], waste: int) -> list[tuple[int, int]]:
    """Neighbouring slots that are attended to together, as (start, stop).

    Together they look at no more than ``waste`` tokens beyond their own ``lengths``.
    """
    groups: list[tuple[int, int]] = []
    start = longest = total = 0
    for place, length in enumerate(lengths):
        longest, total = max(longest, length), total + length
        if longest * (place + 1 - start) - total > waste:
            groups.append((start, place))
            start, longest, total = place, length, length
    return [*groups, (start, len(lengths))] if lengths else []


def slot_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    slots: Slots | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """An attention function of transformers' AttentionInterface; see ``Slots.attend``.

    Raises ValueError for what it cannot compute. A sliding window is the caller's concern: no text
    may be longer.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if slots is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    refuse_unknown(kwargs, "by slot")
    layer = module.layer_idx
    assert isinstance(layer, int), "every attention layer of transformers has its number"
    return slots.attend(layer, query, key, value, scaling), None


@contextlib.contextmanager
def attention_by_slot(base: Any) -> Iterator[None]:
    """Inside the block ``base`` (a transformers model) attends by slot.

    For one forward pass at a time, so that what else uses the model finds it as it was.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(SLOTS, slot_attention)
    config = base.config
    own = config._attn_implementation
    config._attn_implementation = SLOTS
    try:
        yield
    finally:
        config._attn_implementation = own
