"""Answers from a model: many at once (``generate``) or one as it is written (``stream``).

A conversation is rendered by the same Renderer as in training, so that the model sees exactly
what it was trained on. The settings of the checkpoint's generation_config.json (temperature,
repetition penalty …) never mix in: what is not asked for is off.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from selfcog.errors import ModelError
from selfcog.model.text_pieces import BROKEN, THINK_START, PieceDecoder, split_thinking
from selfcog.types import Completion, Message

Progress = Callable[[int, int], None]


class Prompter(Protocol):
    """What generation needs of a Renderer."""

    tokenizer: Any
    stop_ids: tuple[int, ...]

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. ``temperature`` 0 takes the likeliest (greedy).

    ``top_k`` 0 and ``top_p`` 1 set no limit. ``seed`` None leaves torch's random state alone.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None


def generate(
    model: Any,
    renderer: Prompter,
    conversations: Sequence[Sequence[Message]],
    *,
    max_new_tokens: int = 512,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    repetition_penalty: float = 1.0,
    seed: int | None = None,
    batch_size: int = 16,
    progress: Progress | None = None,
    prefills: Sequence[str] | None = None,
) -> list[Completion]:
    """One Completion a conversation, in the order given; each conversation ends with a user turn.

    ``prefills`` are texts, one a conversation, that the answers are forced to begin with ("":
    nothing); they are part of the Completion's text. Prompts of like length share a batch, padded
    on the left. The same seed and batch size give the same answers. ``progress`` is called with
    (answered, all) after every batch.
    Raises ModelError for a prompt that leaves no room in the model's context.
    """
    sampling = Sampling(max_new_tokens, temperature, top_p, top_k, repetition_penalty, seed)
    starts = list(prefills or [""] * len(conversations))
    prompts = [
        [*renderer.prompt_ids(messages), *_prefill_ids(renderer, start)]
        for messages, start in zip(conversations, starts, strict=True)
    ]
    answers = generate_ids(model, renderer, prompts, sampling, batch_size, progress)
    completions = []
    for ids, prompt, start in zip(answers, prompts, starts, strict=True):
        found = _complete(ids, prompt, renderer)
        completions.append(replace(found, text=start + found.text) if start else found)
    return completions


def generate_ids(
    model: Any,
    renderer: Prompter,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> list[list[int]]:
    """The new ids for every prompt, with the stop id that ended them (none when cut off)."""
    # Longest first: what does not fit into memory fails at once, not after an hour.
    order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
    answers: dict[int, list[int]] = {}
    with _ready(model, sampling) as run:
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            new_ids = run.batch([prompts[row] for row in rows], renderer)
            answers.update(zip(rows, new_ids, strict=True))
            if progress is not None:
                progress(len(answers), len(prompts))
    return [answers[row] for row in range(len(prompts))]


class Stream:
    """Iterates over the pieces of one answer; ``completion`` is whole when they have all come.

    The pieces joined are the text with its reasoning, and no piece ends within a character.
    ``opened``: the prompt ends with <think>, so that the text starts with reasoning. ``close``
    ends the generation early; ``completion`` is then what there is.
    """

    def __init__(
        self, model: Any, renderer: Prompter, messages: Sequence[Message], sampling: Sampling
    ) -> None:
        self.completion = Completion("", 0, "length")
        self.prompt = renderer.prompt_ids(messages)
        self.opened = opens_thinking(renderer, self.prompt)
        self._pieces = self._run(model, renderer, sampling)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        self._pieces.close()

    def _run(
        self, model: Any, renderer: Prompter, sampling: Sampling
    ) -> Generator[str, None, None]:
        decoder = PieceDecoder(lambda ids: _decode(renderer, ids))
        stop_ids = set(renderer.stop_ids)
        ids: list[int] = []
        try:
            with _ready(model, sampling) as run:
                for token in run.tokens(self.prompt, renderer):
                    ids.append(token)
                    if token not in stop_ids and (piece := decoder.push(token)):
                        yield piece
                cut_off = not ids or ids[-1] not in stop_ids
                if rest := decoder.end(cut_off=cut_off):
                    yield rest
        finally:
            self.completion = _complete(ids, self.prompt, renderer)


def stream(
    model: Any,
    renderer: Prompter,
    messages: Sequence[Message],
    *,
    max_new_tokens: int = 512,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    repetition_penalty: float = 1.0,
    seed: int | None = None,
) -> Stream:
    """The answer to one conversation, piece by piece as it is written."""
    sampling = Sampling(max_new_tokens, temperature, top_p, top_k, repetition_penalty, seed)
    return Stream(model, renderer, messages, sampling)


@dataclass(slots=True)
class _Generation:
    """A model whose settings are in place; made by ``_ready``."""

    model: Any
    sampling: Sampling

    def batch(self, prompts: Sequence[Sequence[int]], renderer: Prompter) -> list[list[int]]:
        """New ids of every prompt, up to and with the token that ended the answer."""
        import torch

        width = max(len(prompt) for prompt in prompts)
        pad = renderer.tokenizer.pad_token_id
        ids_BT = torch.full((len(prompts), width), pad)
        mask_BT = torch.zeros((len(prompts), width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids_BT[row, width - len(prompt) :] = torch.tensor(prompt)
            mask_BT[row, width - len(prompt) :] = 1
        output_BT = self._call(ids_BT, mask_BT, renderer)
        return [cut_at_stop(row[width:], renderer.stop_ids) for row in output_BT.tolist()]

    def tokens(self, prompt: list[int], renderer: Prompter) -> Iterator[int]:
        """New ids one by one, made in a thread, because transformers pushes and we pull."""
        import torch
        from transformers import StoppingCriteriaList

        out: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        stopped = threading.Event()

        def stop(ids_BT: Any, scores: Any, **kwargs: Any) -> Any:
            return torch.full((len(ids_BT),), stopped.is_set(), device=ids_BT.device)

        ids_BT = torch.tensor([prompt])

        def work() -> None:
            try:
                self._call(
                    ids_BT,
                    torch.ones_like(ids_BT),
                    renderer,
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

    def _call(self, ids_BT: Any, mask_BT: Any, renderer: Prompter, **extra: Any) -> Any:
        from transformers import GenerationConfig

        settings = self.sampling
        greedy = settings.temperature == 0
        chosen: dict[str, Any] = {"do_sample": False}
        if not greedy:
            chosen = {
                "do_sample": True,
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "top_k": settings.top_k,
            }
        config = GenerationConfig(
            max_new_tokens=self._room(ids_BT.shape[1]),
            repetition_penalty=settings.repetition_penalty,
            eos_token_id=list(renderer.stop_ids),
            pad_token_id=renderer.tokenizer.pad_token_id,
            **chosen,
        )
        device = self.model.device
        return self.model.generate(
            input_ids=ids_BT.to(device),
            attention_mask=mask_BT.to(device),
            generation_config=config,
            **extra,
        )

    def _room(self, num_tokens: int) -> int:
        """How many tokens fit after a prompt, at most ``max_new_tokens``."""
        # Models without learned or rotary positions have no such limit in their config.
        limit = self.model.config.get_text_config().to_dict().get("max_position_embeddings")
        if limit is None:
            return self.sampling.max_new_tokens
        if num_tokens >= limit:
            raise ModelError(
                f"the conversation has {num_tokens} tokens and the model reads {limit}; "
                "make it shorter, or clear the history"
            )
        return min(self.sampling.max_new_tokens, limit - num_tokens)


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


@contextlib.contextmanager
def _ready(model: Any, sampling: Sampling) -> Iterator[_Generation]:
    """``model`` in eval mode, without its own generation settings, with the seed set."""
    import torch
    from transformers import GenerationConfig

    inner = model.get_base_model() if _is_peft(model) else model
    was_training, own_config = model.training, inner.generation_config
    model.eval()
    inner.generation_config = GenerationConfig()
    if sampling.seed is not None:
        torch.manual_seed(sampling.seed)
    try:
        yield _Generation(inner, sampling)
    finally:
        inner.generation_config = own_config
        model.train(was_training)


def _is_peft(model: Any) -> bool:
    import sys

    # A PeftModel can only exist when peft is loaded; importing it costs a second.
    return "peft" in sys.modules and isinstance(model, sys.modules["peft"].PeftModel)


def cut_at_stop(ids: Sequence[int], stop_ids: Sequence[int]) -> list[int]:
    """``ids`` up to and with the first stop id; what follows it in a batch is padding."""
    stops = set(stop_ids)
    for position, token in enumerate(ids):
        if token in stops:
            return list(ids[: position + 1])
    return list(ids)


def _prefill_ids(renderer: Prompter, text: str) -> list[int]:
    # Blanks at the end would be tokens of their own, which no answer has before a word.
    return list(renderer.tokenizer.encode(text.rstrip(), add_special_tokens=False)) if text else []


def _decode(renderer: Prompter, ids: Sequence[int]) -> str:
    text: str = renderer.tokenizer.decode(
        ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text


def _complete(ids: list[int], prompt: list[int], renderer: Prompter) -> Completion:
    stopped = bool(ids) and ids[-1] in set(renderer.stop_ids)
    text = _decode(renderer, ids[:-1] if stopped else ids)
    if not stopped:  # what is left of a character that the length limit cut through
        text = text.rstrip(BROKEN)
    thinking, answer = split_thinking(text, opened=opens_thinking(renderer, prompt))
    return Completion(answer, len(ids), "stop" if stopped else "length", thinking)


def opens_thinking(renderer: Prompter, prompt: Sequence[int]) -> bool:
    """Whether the prompt ends with an open <think>, as the templates of some models do."""
    return _decode(renderer, prompt[-8:]).rstrip().endswith(THINK_START)
