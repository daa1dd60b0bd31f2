"""Answers from a model: many at once (``generate``) or one as it is written (``stream``).

A conversation is rendered by the same Renderer as in training, so that the model sees exactly
what it was trained on. The settings of the checkpoint's generation_config.json (temperature,
repetition penalty …) never mix in: what is not asked for is off.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from selfcog.errors import ModelError
from selfcog.model.merged import merged
from selfcog.model.plain import plain_generation
from selfcog.model.sampling import Sampling
from selfcog.model.text_pieces import BROKEN, THINK_START, PieceDecoder, split_thinking
from selfcog.types import Completion, Message

Progress = Callable[[int, int], None]
# From so many tokens on, what merging an adapter costs is less than what it saves. Measured with
# Qwen2-0.5B's shape on one core: 1 to 3 s against 3 ms a token.
LEAST_MERGED = 1000
# What an answer is counted as before it is known.
EXPECTED_TOKENS = 32


class Prompter(Protocol):
    """What generation needs of a Renderer."""

    tokenizer: Any
    stop_ids: tuple[int, ...]

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]: ...


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
    nothing); they are part of the Completion's text. ``batch_size`` answers are written at a time,
    and an adapter is merged meanwhile where that is faster. The same seed gives the same answers,
    to rounding at any batch size. ``progress`` is called with (answered, all) whenever answers end.
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
    *,
    merge: bool = True,
) -> list[list[int]]:
    """The new ids for every prompt, with the stop id that ended them (none when cut off).

    ``merge``: LoRA weights may be added to the base's meanwhile, where that is faster.
    """
    if not prompts:
        return []
    rooms = [_room(model, len(prompt), sampling.max_new_tokens) for prompt in prompts]
    longest = max(len(prompt) + room for prompt, room in zip(prompts, rooms, strict=True))
    stop_ids = renderer.stop_ids
    told = 0

    def tell(number: int) -> None:
        nonlocal told
        if progress is not None and number > told:
            told = number
            progress(number, len(prompts))

    with contextlib.ExitStack() as stack:
        base = stack.enter_context(_evaluating(model))
        num_tokens = sum(map(len, prompts)) + sum(min(room, EXPECTED_TOKENS) for room in rooms)
        if merge and num_tokens >= LEAST_MERGED:
            stack.enter_context(merged(model))
        if not _decodes(base, longest):
            pad_id = renderer.tokenizer.pad_token_id
            plain = stack.enter_context(plain_generation(base, sampling, stop_ids, pad_id))
            return plain.answers(prompts, rooms, batch_size, tell)
        from selfcog.model.decode import Decoder

        answers: list[list[int]] = [[] for _ in prompts]
        decoder = Decoder(base, prompts, rooms, stop_ids, sampling, batch_size)
        while decoder.is_busy:
            for place, token in decoder.step():
                answers[place].append(token)
            tell(decoder.num_done)
        return answers


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
            for token in _tokens(model, renderer, self.prompt, sampling):
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


def _tokens(model: Any, renderer: Prompter, prompt: list[int], sampling: Sampling) -> Iterator[int]:
    """The new ids of one answer as they are chosen."""
    room = _room(model, len(prompt), sampling.max_new_tokens)
    stop_ids = renderer.stop_ids
    with _evaluating(model) as base:
        if not _decodes(base, len(prompt) + room):
            pad_id = renderer.tokenizer.pad_token_id
            with plain_generation(base, sampling, stop_ids, pad_id) as plain:
                yield from plain.tokens(prompt, room)
            return
        from selfcog.model.decode import Decoder

        decoder = Decoder(base, [prompt], [room], stop_ids, sampling, num_slots=1)
        while decoder.is_busy:
            for _, token in decoder.step():
                yield token


def _decodes(base: Any, longest: int) -> bool:
    from selfcog.model.decode import can_decode

    return can_decode(base, longest)


def _room(model: Any, num_tokens: int, max_new_tokens: int) -> int:
    """How many tokens fit after a prompt, at most ``max_new_tokens``."""
    # Models without learned or rotary positions have no such limit in their config.
    limit = model.config.get_text_config().to_dict().get("max_position_embeddings")
    if limit is None:
        return max_new_tokens
    if num_tokens >= limit:
        raise ModelError(
            f"the conversation has {num_tokens} tokens and the model reads {limit}; "
            "make it shorter, or clear the history"
        )
    return int(min(max_new_tokens, limit - num_tokens))


@contextlib.contextmanager
def _evaluating(model: Any) -> Iterator[Any]:
    """``model`` in eval mode; yields the transformers model within."""
    was_training = model.training
    model.eval()
    try:
        yield model.get_base_model() if _is_peft(model) else model
    finally:
        model.train(was_training)


def _is_peft(model: Any) -> bool:
    import sys

    # A PeftModel can only exist when peft is loaded; importing it costs a second.
    return "peft" in sys.modules and isinstance(model, sys.modules["peft"].PeftModel)


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
