"""Tokenised conversations packed into rows; a token sees only its own conversation."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch

from recipes.embedded.corpus import Corpus, Message

# Share of the tokens outside answers that count in the loss: they teach characters and wordings,
# but random names cannot be predicted, so most of the effort stays with the answers.
OTHER_TOKENS = 0.15


@dataclass
class Batch:
    """Packed rows. ids, positions: int64 [B, T]; documents: int64 [B, T] (padding is −1);
    weights: float32 [B, T], the weight of *predicting* the token at that place (0 = untrained)."""

    ids: torch.Tensor
    positions: torch.Tensor
    documents: torch.Tensor
    weights: torch.Tensor

    def mask(self) -> torch.Tensor:
        """bool [B, 1, T, T]: causal, within one conversation; padding sees itself."""
        same = self.documents[:, :, None] == self.documents[:, None, :]
        steps = self.ids.shape[1]
        return (same & torch.ones(steps, steps, dtype=torch.bool).tril())[:, None]


class Encoder:
    """Turns conversations into token ids and loss weights with the ChatML form."""

    def __init__(self, tokenizer: Any) -> None:
        self.encode = tokenizer.backend_tokenizer
        self.start = tokenizer.convert_tokens_to_ids("<|im_start|>")
        self.end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        self.pad = tokenizer.pad_token_id
        self.newline = self._ids("\n")
        self.roles = {
            role: [self.start, *self._ids(role + "\n")] for role in ("system", "user", "assistant")
        }

    def _ids(self, text: str) -> list[int]:
        return self.encode.encode(text, add_special_tokens=False).ids

    def conversation(
        self, messages: list[Message], rng: random.Random
    ) -> tuple[list[int], list[float]]:
        ids: list[int] = []
        weights: list[float] = []
        for message in messages:
            head, body = self.roles[message.role], [*self._ids(message.content), self.end]
            ids += head + body + self.newline
            weights += [0.0] * len(head)
            if message.role == "assistant":
                weights += [1.0 if message.trained else 0.0] * len(body)
            else:
                weights += [float(rng.random() < OTHER_TOKENS) for _ in body]
            weights += [0.0] * len(self.newline)
        return ids, weights


def pack(
    corpus: Corpus, encoder: Encoder, rng: random.Random, rows: int, length: int, long: bool
) -> Batch:
    """Fills ``rows`` rows of ``length`` tokens; what does not fit opens a new row."""
    ids = torch.full((rows, length), encoder.pad)
    positions = torch.zeros((rows, length), dtype=torch.long)
    documents = torch.full((rows, length), -1)
    weights = torch.zeros((rows, length))
    used = [0] * rows
    count, misses = 0, 0
    while misses < 4:
        tokens, scale = encoder.conversation(corpus.conversation(rng, long), rng)
        row = max(
            (r for r in range(rows) if used[r] + len(tokens) <= length),
            key=lambda r: used[r],
            default=-1,
        )
        if row < 0:
            misses += len(tokens) <= length
            continue
        begin, end = used[row], used[row] + len(tokens)
        ids[row, begin:end] = torch.tensor(tokens)
        positions[row, begin:end] = torch.arange(len(tokens))
        documents[row, begin:end] = count
        weights[row, begin:end] = torch.tensor(scale)
        used[row] = end
        count += 1
    return Batch(ids, positions, documents, weights)
