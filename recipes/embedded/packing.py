"""Tokenised conversations, those of like length together in one padded block (a bucket)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch

from recipes.embedded.corpus import Corpus, Message

# Share of the tokens outside answers that count in the loss: they teach characters and wordings,
# but random names cannot be predicted, so most of the effort stays with the answers.
OTHER_TOKENS = 0.15
LONGEST = 768  # tokens of the longest conversation that is kept; longer ones are drawn anew
LONG_SHARE = 1 / 6  # share of the tokens that lies in conversations of many turns
# A bucket is closed before a row that is a sixth longer than its first, once it holds some tokens:
# more padding costs products over nothing, more buckets cost calls.
STRETCH, LEAST_TOKENS = 7 / 6, 250


@dataclass(frozen=True)
class Bucket:
    """``count`` conversations padded to ``length``; the first place of all is ``begin``."""

    begin: int
    count: int
    length: int


@dataclass(frozen=True)
class Batch:
    """All buckets of a step, one after another. ids, positions: int64 [N]; weights: float32 [N],
    the weight of *predicting* the token at that place (0 = untrained or padding)."""

    ids: torch.Tensor
    positions: torch.Tensor
    weights: torch.Tensor
    buckets: list[Bucket]
    num_tokens: int  # without padding


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


def bucketed(rows: list[tuple[list[int], list[float]]], pad: int) -> Batch:
    """Sorts the rows by length and pads each bucket to its longest row."""
    num_tokens = sum(len(tokens) for tokens, _ in rows)
    rows = sorted(rows, key=lambda row: len(row[0]))
    ids: list[int] = []
    weights: list[float] = []
    positions: list[int] = []
    buckets = []
    while rows:
        count, held = 0, 0
        most = STRETCH * len(rows[0][0])
        while count < len(rows) and (held < LEAST_TOKENS or len(rows[count][0]) <= most):
            held += len(rows[count][0])
            count += 1
        part, rows = rows[:count], rows[count:]
        length = len(part[-1][0])
        buckets.append(Bucket(len(ids), count, length))
        for tokens, scale in part:
            fill = length - len(tokens)
            ids += tokens + [pad] * fill
            weights += scale + [0.0] * fill
            positions += range(length)
    return Batch(
        torch.tensor(ids), torch.tensor(positions), torch.tensor(weights), buckets, num_tokens
    )


def pack(corpus: Corpus, encoder: Encoder, rng: random.Random, num_tokens: int) -> Batch:
    """Draws conversations until they hold ``num_tokens`` tokens."""
    rows: list[tuple[list[int], list[float]]] = []
    held = {True: 0, False: 0}
    while sum(held.values()) < num_tokens:
        long = held[True] < LONG_SHARE * num_tokens
        row = encoder.conversation(corpus.conversation(rng, long), rng)
        if len(row[0]) <= LONGEST:
            rows.append(row)
            held[long] += len(row[0])
    return bucketed(rows, encoder.pad)
