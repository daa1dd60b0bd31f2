"""What a model thinks likely: multiple choice without generating, and drift from its base.

Shapes: B rows of a batch, T places, V vocabulary. Log-probabilities are natural (nats), float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selfcog.errors import ModelError
from selfcog.evaluate.questions import Question
from selfcog.evaluate.speakers import LocalSpeaker
from selfcog.types import Message

if TYPE_CHECKING:
    import torch

# Places × vocabulary of one forward pass: 2 GiB of float32 logits and as much again beside them.
MAX_LOGITS = 1 << 28


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the tuned model's distribution is from the base's, over ``num_tokens`` places.

    ``mean_kl`` and ``p99_kl``: KL(base ‖ tuned) in nats a token, over the whole vocabulary, mean
    and 99th percentile. ``same_top``: share of places with the same likeliest token.
    ``ppl_ratio``: perplexity of the tuned model over that of the base on the same tokens.
    ``source``: what the tokens are.
    """

    source: str
    num_texts: int
    num_tokens: int
    mean_kl: float
    p99_kl: float
    same_top: float
    ppl_ratio: float


def choose(speaker: LocalSpeaker, questions: Sequence[Question]) -> list[int]:
    """For every "choice" question the index of the option that the speaker finds likeliest.

    Each option is scored as the whole answer to the question: its log-probability divided by its
    length in UTF-8 bytes, so that long options are not at a disadvantage (as "acc_norm" of
    EleutherAI's lm-evaluation-harness).
    """
    renderer = speaker.renderer
    prompts, targets, sizes = [], [], []
    for question in questions:
        messages = [Message(turn.role, turn.text or "") for turn in question.turns]
        prompt = renderer.prompt_ids(messages)
        for option in question.options:
            prompts.append(prompt)
            targets.append(renderer.tokenizer.encode(option, add_special_tokens=False))
            sizes.append(len(option.encode()))
    scores: list[float] = [0.0] * len(prompts)
    with speaker.as_side():
        for rows, logits_BTV, target_BT in _batches(speaker.model, prompts, targets):
            logs_BTV = logits_BTV.float().log_softmax(-1)
            found_BT = logs_BTV.gather(-1, target_BT.clamp(min=0)[..., None])[..., 0]
            sums = (found_BT * (target_BT >= 0)).sum(-1).tolist()
            for row, total in zip(rows, sums, strict=True):
                scores[row] = total / sizes[row]
    picked, first = [], 0
    for question in questions:
        part = scores[first : first + len(question.options)]
        picked.append(max(range(len(part)), key=part.__getitem__))
        first += len(part)
    return picked


def measure_drift(
    base: LocalSpeaker,
    tuned: LocalSpeaker,
    texts: Sequence[tuple[list[int], list[int]]],
    source: str,
) -> Drift | None:
    """Compare the two models on (prompt ids, answer ids); None where there is no token.

    Raises ModelError when the two have different vocabularies.
    """
    import torch

    texts = [text for text in texts if text[1]]
    kls, same, base_logs, tuned_logs = [], [], 0.0, 0.0
    prompts, targets = [text[0] for text in texts], [text[1] for text in texts]
    # Both sides of a batch one after the other: all logits of one side would not fit.
    for rows in _group(prompts, targets, _vocabulary(tuned.model)):
        part = [prompts[row] for row in rows], [targets[row] for row in rows]
        with base.as_side():
            ((_, one, target_BT),) = _batches(base.model, *part, whole=True)
        with tuned.as_side():
            ((_, other, _),) = _batches(tuned.model, *part, whole=True)
        if one.shape[-1] != other.shape[-1]:
            raise ModelError(
                f"the base has {one.shape[-1]} tokens and the tuned model {other.shape[-1]}; "
                "drift needs the same vocabulary"
            )
        keep = target_BT >= 0
        p, q = one[keep].float().log_softmax(-1), other[keep].float().log_softmax(-1)
        kls.append((p.exp() * (p - q)).sum(-1).clamp(min=0))
        same.append(p.argmax(-1) == q.argmax(-1))
        target = target_BT[keep][:, None]
        base_logs += p.gather(-1, target).sum().item()
        tuned_logs += q.gather(-1, target).sum().item()
    if not kls:
        return None
    kl, top = torch.cat(kls), torch.cat(same)
    n = len(kl)
    return Drift(
        source,
        len(texts),
        n,
        kl.mean().item(),
        kl.quantile(0.99).item() if n < 1 << 24 else float(kl.sort().values[int(0.99 * n)]),
        top.float().mean().item(),
        math.exp((base_logs - tuned_logs) / n),
    )


def _batches(
    model: Any,
    prompts: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    whole: bool = False,
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """(rows, logits [B, T, V] that predict the targets, targets [B, T] padded with −1).

    Rows are padded on the right, where a causal model does not see it. ``whole``: one batch.
    """
    import torch

    groups = [list(range(len(prompts)))] if whole else _group(prompts, targets, _vocabulary(model))
    for rows in groups:
        width = max(len(prompts[row]) + len(targets[row]) for row in rows)
        longest = max(len(targets[row]) for row in rows)
        ids_BT = torch.zeros((len(rows), width), dtype=torch.long)
        mask_BT = torch.zeros_like(ids_BT)
        target_BT = torch.full((len(rows), longest), -1)
        place_BT = torch.zeros((len(rows), longest), dtype=torch.long)
        for i, row in enumerate(rows):
            text = [*prompts[row], *targets[row]]
            ids_BT[i, : len(text)] = torch.tensor(text)
            mask_BT[i, : len(text)] = 1
            count, begin = len(targets[row]), len(prompts[row]) - 1
            target_BT[i, :count] = torch.tensor(list(targets[row]))
            place_BT[i, :count] = torch.arange(begin, begin + count)
        # Only the span from the first to the last place that predicts a target gets logits.
        first = min(len(prompts[row]) for row in rows) - 1
        with torch.inference_mode():
            logits = model(
                input_ids=ids_BT.to(model.device),
                attention_mask=mask_BT.to(model.device),
                logits_to_keep=width - first,
            ).logits
            offset = (place_BT - first).clamp(min=0).to(logits.device)
            picked = logits.gather(1, offset[..., None].expand(-1, -1, logits.shape[-1]))
        yield rows, picked, target_BT.to(logits.device)


def _group(
    prompts: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], vocabulary: int
) -> list[list[int]]:
    """Rows of like length together, as many as keep the logits within MAX_LOGITS."""
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]) + len(targets[row]))
    groups: list[list[int]] = []
    for row in order:
        width = len(prompts[row]) + len(targets[row])
        if (
            groups
            and len(groups[-1]) < 64
            and (len(groups[-1]) + 1) * width * vocabulary < MAX_LOGITS
        ):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _vocabulary(model: Any) -> int:
    return int(model.config.get_text_config().vocab_size)
