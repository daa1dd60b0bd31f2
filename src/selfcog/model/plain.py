"""Generation by transformers' own ``generate``: padded batches, for models that need it.

``decode.Decoder`` is the usual way. This one knows every architecture of transformers: sliding
windows, recurrent layers, soft-capped attention, whatever the user chose for attention.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from selfcog.model.sampling import Sampling


@contextlib.contextmanager
def plain_generation(
    base: Any, sampling: Sampling, stop_ids: Sequence[int], pad_id: int
) -> Iterator[PlainGeneration]:
    """``base`` (a transformers model) without its own generation settings, with the seed set."""
    import torch
    from transformers import GenerationConfig

    own_config = base.generation_config
    base.generation_config = GenerationConfig()
    if sampling.seed is not None:
        torch.manual_seed(sampling.seed)
    try:
        yield PlainGeneration(base, sampling, tuple(stop_ids), pad_id)
    finally:
        base.generation_config = own_config


@dataclass(slots=True)
class PlainGeneration:
    """A model whose settings are in place; made by ``plain_generation``."""

    base: Any
    sampling: Sampling
    stop_ids: tuple[int, ...]
    pad_id: int

    def answers(
        self,
        prompts: Sequence[Sequence[int]],
        rooms: Sequence[int],
        batch_size: int,
        tell: Callable[[int], None],
    ) -> list[list[int]]:
        """New ids of every prompt, up to and with the one that ended it, at most ``rooms`` each.

        Prompts of like length share a batch, the longest first; ``tell`` gets the number of
        answers after each.
        """
        order = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
        answers: dict[int, list[int]] = {}
        for first in range(0, len(order), batch_size):
            places = order[first : first + batch_size]
            # The longest prompt of a batch has the least room in the model's context.
            room = min(rooms[place] for place in places)
            found = self._batch([prompts[place] for place in places], room)
            answers.update(zip(places, found, strict=True))
            tell(len(answers))
        return [answers[place] for place in range(len(prompts))]

    def _batch(self, prompts: Sequence[Sequence[int]], room: int) -> list[list[int]]:
        import torch

        width = max(len(prompt) for prompt in prompts)
        ids_BT = torch.full((len(prompts), width), self.pad_id)
        mask_BT = torch.zeros((len(prompts), width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids_BT[row, width - len(prompt) :] = torch.tensor(prompt)
            mask_BT[row, width - len(prompt) :] = 1
        output_BT = self._call(ids_BT, mask_BT, room)
        return [cut_at_stop(row[width:], self.stop_ids) for row in output_BT.tolist()]

    def tokens(self, prompt: Sequence[int], room: int) -> Iterator[int]:
        """New ids one by one, made in a thread, because transformers pushes and we pull."""
        import torch
        from transformers import StoppingCriteriaList

        out: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        stopped = threading.Event()

        def stop(ids_BT: Any, scores: Any, **kwargs: Any) -> Any:
            return torch.full((len(ids_BT),), stopped.is_set(), device=ids_BT.device)

        ids_BT = torch.tensor([list(prompt)])

        def work() -> None:
            try:
                self._call(
                    ids_BT,
                    torch.ones_like(ids_BT),
                    room,
                    streamer=_Feed(out),
                    stopping_criteria=StoppingCriteriaList([stop]),
                )
                out.put(None)
            except BaseException as error:  # raised again where the answer is read
                out.put(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            while (item := out.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stopped.set()
            thread.join()

    def _call(self, ids_BT: Any, mask_BT: Any, room: int, **extra: Any) -> Any:
        from transformers import GenerationConfig

        settings = self.sampling
        chosen: dict[str, Any] = {"do_sample": False}
        if settings.temperature != 0:
            chosen = {
                "do_sample": True,
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "top_k": settings.top_k,
            }
        config = GenerationConfig(
            max_new_tokens=room,
            repetition_penalty=settings.repetition_penalty,
            eos_token_id=list(self.stop_ids),
            pad_token_id=self.pad_id,
            **chosen,
        )
        device = self.base.device
        return self.base.generate(
            input_ids=ids_BT.to(device),
            attention_mask=mask_BT.to(device),
            generation_config=config,
            **extra,
        )


class _Feed:
    """What transformers calls a streamer: ``put`` gets the prompt first, then every new id."""

    def __init__(self, out: queue.SimpleQueue[int | BaseException | None]) -> None:
        self.out = out
        self.seen_prompt = False

    def put(self, value: Any) -> None:
        if self.seen_prompt:
            for token in value.reshape(-1).tolist():
                self.out.put(token)
        self.seen_prompt = True

    def end(self) -> None:
        """The end is told by the thread, after the last token."""


def cut_at_stop(ids: Sequence[int], stop_ids: Sequence[int]) -> list[int]:
    """``ids`` up to and with the first stop id; what follows it in a batch is padding."""
    stops = set(stop_ids)
    for position, token in enumerate(ids):
        if token in stops:
            return list(ids[: position + 1])
    return list(ids)
