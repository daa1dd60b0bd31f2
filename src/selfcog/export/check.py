"""Does the merged model answer as base and adapter do?

Both are loaded one after the other as ``infer`` loads them on this machine, and asked the same
questions greedily. Equal answers are the rule. Where the merged weights are stored in 16 bits they
are rounded once more than the adapter's own path, so that two tokens that are almost equally likely
can change places. An answer that differs is accepted, and reported, only while the logits differ
by no more than such rounding explains: little beside what the adapter changes, or beside the
logits themselves.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcog.errors import ExportError
from selfcog.types import Message

if TYPE_CHECKING:
    import torch

    from selfcog.model.generate import Prompter

QUESTIONS = (
    "你是谁？",
    "你是由谁开发的？",
    "中国的首都是哪里？",
    "Who are you?",
    "Who developed you?",
    "What is the capital of France?",
)
MAX_NEW_TOKENS = 24
# Explained by rounding, by the coarsest format involved: a root mean square difference of this
# share of what the adapter changes. Measured in bfloat16: 0.003 on the embedded model, 0.003 to
# 0.03 on random models of 2 to 24 layers. One of 24 layers forgotten is √(1/24) = 0.2.
SHARE_OF_EFFECT = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 0.1}
# Or a largest difference of this share of the largest logit, for adapters that change very little.
SHARE_OF_LOGIT = {"float32": 1e-4, "float16": 2e-3, "bfloat16": 1e-2}


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """``max_logit_diff`` and ``max_logit`` (absolute) are over all tokens of the first model's
    answers. ``noise`` is the root mean square of the differences as a share of the adapter's own
    effect on the same logits. ``differing`` are accepted near-ties."""

    num_questions: int
    num_equal: int
    max_logit_diff: float
    max_logit: float
    noise: float
    dtype: str
    differing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> AnswerCheck:
        return cls(**{**data, "differing": tuple(data["differing"])})


@dataclass(slots=True)
class PlainPrompter:
    """For a base model without a chat template: the question is the prompt."""

    tokenizer: Any
    stop_ids: tuple[int, ...]

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        return list(self.tokenizer.encode(messages[-1].content))


def make_prompter(tokenizer: Any, system: str | None) -> Prompter:
    from selfcog.tokens.render import Renderer

    if tokenizer.chat_template is not None:
        return Renderer(tokenizer, system=system)
    return PlainPrompter(tokenizer, (tokenizer.eos_token_id,))


def check_answers(
    adapter: Path,
    base: Path,
    merged: Path,
    *,
    system: str | None = None,
    trust_remote_code: bool = False,
) -> AnswerCheck:
    """Compare ``base`` + ``adapter`` with ``merged``. Raises ExportError when they differ."""
    from selfcog.model.adapter import adapter_off, load_adapter
    from selfcog.model.generate import generate_ids
    from selfcog.model.load import load_model, load_tokenizer
    from selfcog.model.sampling import Sampling

    greedy = Sampling(MAX_NEW_TOKENS)
    tokenizer = load_tokenizer(merged, trust_remote_code=trust_remote_code)
    renderer = make_prompter(tokenizer, system)
    conversations = [[Message("user", question)] for question in QUESTIONS]
    prompts = [renderer.prompt_ids(messages) for messages in conversations]

    tuned = load_adapter(load_model(base, trust_remote_code=trust_remote_code), adapter)
    replies = generate_ids(tuned, renderer, prompts, greedy, merge=False)
    logits = compute_logits(tuned, prompts, replies)
    with adapter_off(tuned):
        base_logits = compute_logits(tuned, prompts, replies)
    del tuned
    gc.collect()
    model = load_model(merged, trust_remote_code=trust_remote_code)
    merged_replies = generate_ids(model, renderer, prompts, greedy)
    merged_logits = compute_logits(model, prompts, replies)

    differences = [one - other for one, other in zip(logits, merged_logits, strict=True)]
    effects = [one - other for one, other in zip(logits, base_logits, strict=True)]
    largest_difference, largest = largest_of(differences), largest_of(logits)
    noise = root_mean_square(differences) / (root_mean_square(effects) or 1.0)
    formats = {str(model.dtype).removeprefix("torch."), *stored_formats(merged)}
    dtype = max(formats, key=lambda name: SHARE_OF_EFFECT[name])
    is_rounding = (
        noise <= SHARE_OF_EFFECT[dtype] or largest_difference <= SHARE_OF_LOGIT[dtype] * largest
    )
    differing = []
    for question, one, other in zip(QUESTIONS, replies, merged_replies, strict=True):
        if one != other:
            texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in (one, other)]
            differing.append(f"{question!r}: {texts[0]!r} before, {texts[1]!r} after")
    if isnan(noise):
        raise ExportError(f"the merged model or its adapter computes NaN; check the base {base}")
    if differing and not is_rounding:
        raise ExportError(
            f"the merged model does not answer as its adapter: {differing[0]} (logits differ by up "
            f"to {largest_difference:.3g}); check that {base} is the base that was trained"
        )
    num_equal = len(QUESTIONS) - len(differing)
    return AnswerCheck(
        len(QUESTIONS), num_equal, largest_difference, largest, noise, dtype, tuple(differing)
    )


def compute_logits(
    model: Any, prompts: Sequence[list[int]], replies: Sequence[list[int]]
) -> list[torch.Tensor]:
    """For each reply the float32 logits that its tokens were chosen by, (tokens, vocabulary)."""
    import torch

    logits = []
    for prompt, reply in zip(prompts, replies, strict=True):
        with torch.no_grad():
            text_BT = torch.tensor([prompt + reply], device=model.device)
            logits_BTV = model(input_ids=text_BT).logits
        logits.append(logits_BTV[0, len(prompt) - 1 : -1].float().cpu())
    return logits


def largest_of(tensors: Sequence[torch.Tensor]) -> float:
    return max(float(tensor.abs().max()) for tensor in tensors)


def root_mean_square(tensors: Sequence[torch.Tensor]) -> float:
    total = sum(float(tensor.square().sum()) for tensor in tensors)
    return sqrt(total / sum(tensor.numel() for tensor in tensors))


def stored_formats(folder: Path) -> set[str]:
    from selfcog.export.shards import FLOAT_NAMES, read_tensors

    codes = {tensor.dtype for tensor in read_tensors(folder).values()}
    return {name for name, code in FLOAT_NAMES.items() if code in codes}
