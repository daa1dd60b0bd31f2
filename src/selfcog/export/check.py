"""Does the merged model answer as base and adapter do?

Both are loaded one after the other as ``infer`` loads them on this machine, and asked the same
questions greedily. Equal answers are the rule. Where the merged weights are stored in 16 bits they
are rounded once more than the adapter's own path, so that two tokens that are almost equally likely
can change places; an answer that differs is accepted only while the largest difference between
the logits of the two stays within ``TOLERANCE`` of the largest logit, and it is reported.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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
# Largest share of the largest logit that rounding may explain, by the coarsest format involved.
# Merges of models of 2 to 24 layers differ by a tenth of these at most; a wrong scale, a
# forgotten layer or a wrong base by ten times as much.
TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """``max_logit_diff`` is over all tokens of the first model's answers, in logits;
    ``max_logit`` is the largest absolute logit there. ``differing`` are accepted near-ties."""

    num_questions: int
    num_equal: int
    max_logit_diff: float
    max_logit: float
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


@dataclass(slots=True)
class Answers:
    """Ids of the answers; ``logits`` a (tokens, vocabulary) float32 tensor for each."""

    ids: list[list[int]]
    logits: list[torch.Tensor]


def check_answers(
    adapter: Path,
    base: Path,
    merged: Path,
    *,
    system: str | None = None,
    trust_remote_code: bool = False,
) -> AnswerCheck:
    """Compare ``base`` + ``adapter`` with ``merged``. Raises ExportError when they differ."""

    from selfcog.model.adapter import load_adapter
    from selfcog.model.load import load_model, load_tokenizer

    tokenizer = load_tokenizer(merged, trust_remote_code=trust_remote_code)
    renderer = make_prompter(tokenizer, system)
    conversations = [[Message("user", question)] for question in QUESTIONS]
    prompts = [renderer.prompt_ids(messages) for messages in conversations]

    tuned = load_adapter(load_model(base, trust_remote_code=trust_remote_code), adapter)
    before = answer(tuned, renderer, prompts)
    del tuned
    gc.collect()
    model = load_model(merged, trust_remote_code=trust_remote_code)
    after = answer(model, renderer, prompts, forced=before.ids)

    pairs = list(zip(before.logits, after.logits, strict=True))
    difference = max(float((one - other).abs().max()) for one, other in pairs)
    largest = max(float(one.abs().max()) for one, _ in pairs)
    formats = [str(model.dtype), *(str(torch_dtype) for torch_dtype in _stored_dtypes(merged))]
    dtype = max((name.removeprefix("torch.") for name in formats), key=lambda name: TOLERANCE[name])
    differing = []
    for question, one, other in zip(QUESTIONS, before.ids, after.ids, strict=True):
        if one != other:
            texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in (one, other)]
            differing.append(f"{question!r}: {texts[0]!r} before, {texts[1]!r} after")
    # A NaN is within no tolerance.
    if (differing and not difference <= TOLERANCE[dtype] * largest) or difference != difference:
        raise ExportError(
            f"the merged model does not answer as its adapter: {(differing or ['NaN logits'])[0]} "
            f"(logits differ by up to {difference:.3g}); check that {base} is the base that was "
            "trained"
        )
    num_equal = len(QUESTIONS) - len(differing)
    return AnswerCheck(len(QUESTIONS), num_equal, difference, largest, dtype, tuple(differing))


def answer(
    model: Any,
    renderer: Prompter,
    prompts: Sequence[list[int]],
    forced: Sequence[list[int]] | None = None,
) -> Answers:
    """Greedy answers, and the logits along them, or along the ``forced`` ones."""
    import torch

    from selfcog.model.generate import Sampling, generate_ids

    ids = generate_ids(model, renderer, prompts, Sampling(MAX_NEW_TOKENS))
    logits = []
    for prompt, reply in zip(prompts, forced or ids, strict=True):
        with torch.no_grad():
            text_BT = torch.tensor([prompt + reply], device=model.device)
            logits_BTV = model(input_ids=text_BT).logits
        logits.append(logits_BTV[0, len(prompt) - 1 : -1].float().cpu())
    return Answers(ids, logits)


def _stored_dtypes(folder: Path) -> set[str]:
    from selfcog.export.shards import FLOAT_NAMES, read_tensors

    codes = {tensor.dtype for tensor in read_tensors(folder).values()}
    return {name for name, code in FLOAT_NAMES.items() if code in codes}
