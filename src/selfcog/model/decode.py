"""Answers to many prompts at once, with a place for the next prompt as soon as an answer ends.

Every forward pass runs one packed row: the newest token of each running text and, where slots are
free, whole new prompts. What several prompts begin with is computed once. Models that do not give
their own numbers this way are found out by ``can_decode`` and left to transformers' generate.
"""

from __future__ import annotations

import random
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from selfcog.model.agreement import is_close
from selfcog.model.sampling import Chooser, Sampling
from selfcog.model.slots import Prefix, Segment, Slots, attention_by_slot

# Tokens of new prompts a pass: enough to keep matrix products efficient, more only takes memory.
PROMPT_TOKENS = 1024
# Prompts that begin with the same tokens, this many at least, are looked at together; what they
# share is computed once where that saves so many tokens in all.
LEAST_SHARED, LEAST_SAVED = 16, 64
# Rotary positions that depend on what else is in the row.
UNSTEADY_POSITIONS = ("dynamic", "longrope")
KNOWN_LAYERS = frozenset({"full_attention", "sliding_attention"})
# Faults by which a model says that it cannot be called this way.
CALL_FAULTS = (
    AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


@dataclass(slots=True)
class _Text:
    """An answer that is being written: ``ids`` of the answer so far, at most ``room`` of them."""

    place: int
    prompt: list[int]
    room: int
    numbers: random.Random
    ids: list[int] = field(default_factory=list)

    @property
    def num_read(self) -> int:
        """Tokens in its slot: all but the newest."""
        return len(self.prompt) + len(self.ids) - 1


class Decoder:
    """Writes the answers to ``prompts``, at most ``num_slots`` at a time, the longest first.

    ``rooms``: the most new tokens of each. ``base`` is a transformers model in eval mode. Raises
    ValueError for sampling settings out of range.
    """

    def __init__(
        self,
        base: Any,
        prompts: Sequence[Sequence[int]],
        rooms: Sequence[int],
        stop_ids: Sequence[int],
        sampling: Sampling,
        num_slots: int,
    ) -> None:
        self.base = base
        self.stops = frozenset(stop_ids)
        self.chooser = Chooser(sampling)
        self.num_done = 0
        self.slots = Slots(min(num_slots, len(prompts)))
        texts = [
            _Text(place, list(prompt), room, self.chooser.numbers_for(place))
            for place, (prompt, room) in enumerate(zip(prompts, rooms, strict=True))
        ]
        # Longest first: what does not fit into memory fails at once, not after an hour.
        self._waiting = deque(sorted(texts, key=lambda text: -len(text.prompt)))
        self._running: list[_Text] = []
        self._shared = shared_lengths([text.prompt for text in texts])
        self._prefixes: dict[tuple[int, ...], Prefix] = {}
        self._users = Counter(self._shared_start(text) for text in texts)

    @property
    def is_busy(self) -> bool:
        return bool(self._running or self._waiting)

    def step(self) -> list[tuple[int, int]]:
        """One forward pass: (place of the prompt, new token) for every text that got one."""
        running = self._running
        device = self.base.device
        row = [text.ids[-1] for text in running]
        lengths = [text.num_read for text in running]
        segments: list[Segment] = []
        starts: list[tuple[Segment, tuple[int, ...]]] = []
        for text, start in self._admit():
            read = start if text is None else tuple(text.prompt)
            past = 0 if text is None else len(start)
            segment = Segment(len(lengths) + len(segments), len(row), len(read) - past, past)
            row += read[past:]
            segments.append(segment)
            if text is None:
                starts.append((segment, start))
            else:
                running.append(text)
        last = [*range(len(lengths)), *(one.start + one.length - 1 for one in segments)]
        last = last[: len(running)]
        positions_1N = self.slots.prepare(lengths, segments, device)
        logits_NV = forward(self.base, self.slots, row, positions_1N, last or [0])
        for segment, start in starts:
            self._prefixes[start] = self.slots.take(segment.slot, segment.length)
        return self._extend(logits_NV)

    def _extend(self, logits_NV: torch.Tensor) -> list[tuple[int, int]]:
        """Give every running text its next token, and the slots of those that end to others."""
        running = self._running
        if not running:
            return []
        texts: list[list[int]] = []
        if self.chooser.needs_texts:
            texts = [[*text.prompt, *text.ids] for text in running]
        chosen = self.chooser.choose(logits_NV, texts, [text.numbers for text in running])
        found = []
        for text, token in zip(running, chosen, strict=True):
            text.ids.append(token)
            found.append((text.place, token))
        for slot in reversed(range(len(running))):
            text = running[slot]
            if text.ids[-1] not in self.stops and len(text.ids) < text.room:
                continue
            self.num_done += 1
            last = running.pop()
            if last is not text:
                self.slots.move(len(running), slot, last.num_read)
                running[slot] = last
        return found

    def _admit(self) -> list[tuple[_Text | None, tuple[int, ...]]]:
        """New texts for the free slots, each with the start that its slot already holds; without a
        text: starts that are to be read for others, which wait for the next step. Starts come last.
        """
        free = self.slots.num_slots - len(self._running)
        budget = PROMPT_TOKENS
        texts: list[tuple[_Text | None, tuple[int, ...]]] = []
        starts: dict[tuple[int, ...], None] = {}
        put_off: list[_Text] = []
        while self._waiting and len(texts) + len(starts) < free and len(put_off) < free:
            text = self._waiting[0]
            start = self._shared_start(text)
            is_known = start in self._prefixes
            cost = len(text.prompt) - len(start) if is_known or not start else len(start)
            if start in starts:
                cost = 0
            if cost > budget and (texts or starts):
                break
            budget -= cost
            self._waiting.popleft()
            if start and not is_known:
                starts[start] = None
                put_off.append(text)
            else:
                texts.append((text, start))
        self._waiting.extendleft(reversed(put_off))
        for slot, (_, start) in enumerate(texts, start=len(self._running)):
            if start:
                self.slots.put(slot, self._prefixes[start])
                self._users[start] -= 1
                if not self._users[start]:
                    del self._prefixes[start]
        return [*texts, *((None, start) for start in starts)]

    def _shared_start(self, text: _Text) -> tuple[int, ...]:
        return tuple(text.prompt[: self._shared[text.place]])


def shared_lengths(prompts: Sequence[Sequence[int]]) -> list[int]:
    """For each prompt the number of first tokens that are worth being read once for several.

    Prompts with the same beginning get the same number; at least one token of each is its own.
    """
    groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        groups[tuple(prompt[:LEAST_SHARED])].append(place)
    lengths = [0] * len(prompts)
    for places in groups.values():
        members = [list(prompts[place]) for place in places]
        # What the first and the last in order share is shared by all between them.
        first, last = min(members), max(members)
        most = min(len(member) for member in members) - 1
        length = next((n for n in range(most) if first[n] != last[n]), most)
        if length >= LEAST_SHARED and (len(members) - 1) * length >= LEAST_SAVED:
            for place in places:
                lengths[place] = length
    return lengths


def forward(
    base: Any, slots: Slots, row: Sequence[int], positions_1N: torch.Tensor, last: Sequence[int]
) -> torch.Tensor:
    """Logits [len(last), V] at the places ``last`` of a packed row; ``slots`` were prepared."""
    device = base.device
    with torch.no_grad(), attention_by_slot(base):
        logits: torch.Tensor = base(
            input_ids=torch.tensor([list(row)], device=device),
            position_ids=positions_1N,
            # A mask with four axes is passed on as it is: transformers builds none.
            attention_mask=torch.zeros((1, 1, 1, 1), device=device),
            use_cache=False,
            logits_to_keep=torch.tensor(list(last), device=device),
            slots=slots,
        ).logits
    return logits[0]


_KNOWN: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


def can_decode(base: Any, longest: int) -> bool:
    """Whether ``Decoder`` computes this model's own numbers for texts of ``longest`` tokens.

    Tried out once a model, on a dozen tokens.
    """
    config = base.config
    if config.get_text_config() is not config:
        return False
    own = config._attn_implementation
    if own != "sdpa" and not str(own).startswith("selfcog"):
        return False  # what the user chose has its reasons
    values = config.to_dict()
    window = values.get("sliding_window")
    if values.get("is_encoder_decoder") or (window is not None and longest > window):
        return False
    positions = values.get("rope_parameters") or {}
    # One for all layers, or one for each kind of layer.
    kinds = [positions, *(one for one in positions.values() if isinstance(one, dict))]
    if any(one.get("rope_type") in UNSTEADY_POSITIONS for one in kinds):
        return False
    if not set(values.get("layer_types") or ()) <= KNOWN_LAYERS:
        return False
    if base not in _KNOWN:
        _KNOWN[base] = _agrees(base)
    return _KNOWN[base]


def _agrees(base: Any) -> bool:
    """Compares a running text beside a new one that begins with the same tokens, both in slots,
    with plain forward passes."""
    slots = Slots(2)
    generator = torch.Generator().manual_seed(0)
    try:
        size = base.get_input_embeddings().weight.shape[0]
        first = torch.randint(0, size, (8,), generator=generator).tolist()
        second = [*first[:4], *torch.randint(0, size, (3,), generator=generator).tolist()]
        positions_1N = slots.prepare([], [Segment(0, 0, 7)], base.device)
        forward(base, slots, first[:7], positions_1N, [6])
        slots.put(1, slots.take(0, 4))
        positions_1N = slots.prepare([7], [Segment(1, 1, 3, past=4)], base.device)
        found_2V = forward(base, slots, [first[7], *second[4:]], positions_1N, [0, 3])
    except CALL_FAULTS:
        return False
    with torch.no_grad():
        wanted = [
            base(input_ids=torch.tensor([ids], device=base.device), use_cache=False).logits[0, -1]
            for ids in (first, second)
        ]
    return is_close(found_2V, torch.stack(wanted), base.dtype)
