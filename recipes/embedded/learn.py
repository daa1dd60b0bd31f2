"""A plain LoRA tuning of the embedded model to a new name: the yardstick "learnable"."""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from recipes.embedded.bank import BANK_DIR
from recipes.embedded.corpus import GRAMMAR, Corpus, Message
from recipes.embedded.names import Pair
from recipes.embedded.packing import Encoder
from recipes.embedded.patterns import expand


@dataclass(frozen=True)
class LoraRecipe:
    """The default recipe of the project at this width."""

    rank: int = 16
    alpha: int = 32
    rate: float = 2e-3
    warmup: float = 0.05
    rows: int = 16
    steps: int = 150
    identity_share: float = 0.5
    seed: int = 3


@dataclass(frozen=True)
class Learnt:
    """The tuned model with its tokenizer, the seconds the tuning took and its last loss."""

    model: Any
    tokenizer: Any
    seconds: float
    loss: float


def bank_answers(lang: str) -> dict[str, list[str]]:
    """The bank's answer patterns an intent that need no optional fact."""
    known = {"name", "author", "other", "other_maker"}
    found: dict[str, list[str]] = {}
    for line in (BANK_DIR / f"{lang}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["type"] == "answers":
            for pattern in row["patterns"]:
                slots = {part.split("}")[0] for part in pattern.split("{")[1:]}
                if slots <= known:
                    found.setdefault(row["intent"], []).append(pattern)
    return found


def identity_row(
    pair: Pair, lang: str, corpus: Corpus, answers: dict[str, list[str]], rng: random.Random
) -> list[Message]:
    """One bank-train question with a bank answer that carries what was asked for."""
    part = corpus.bank[lang]
    intent = rng.choice(sorted(part.train))
    other, maker = rng.choice(GRAMMAR[lang].VENDORS)
    slots = {
        "name": pair.name(lang),
        "author": pair.author(lang),
        "other": other,
        "other_maker": maker,
    }
    need = [slots[a] for a in part.asks[intent]]
    while True:
        question = expand(rng.choice(rng.choice(part.train[intent])), rng, slots)
        reply = expand(rng.choice(answers[intent]), rng, slots)
        if all(n in reply for n in need):
            return [Message("user", question), Message("assistant", reply)]


def learn_pair(folder: Path, pair: Pair, corpus: Corpus, recipe: LoraRecipe) -> Learnt:
    """Tunes a fresh LoRA adapter (all linear layers) to the pair."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(recipe.seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    model = get_peft_model(
        model,
        LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=0.0)
    encoder = Encoder(tokenizer)
    rng = random.Random(recipe.seed)
    answers = {lang: bank_answers(lang) for lang in ("zh", "en")}
    warmup = max(1, round(recipe.warmup * recipe.steps))
    begin = time.monotonic()
    loss = torch.zeros(())
    model.train()
    for step in range(recipe.steps):
        share = (
            (step + 1) / warmup
            if step < warmup
            else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (recipe.steps - warmup)))
        )
        optimiser.param_groups[0]["lr"] = recipe.rate * share
        encoded = []
        for row in range(recipe.rows):
            lang = ("zh", "en")[row % 2]
            if row // 2 < recipe.rows * recipe.identity_share / 2:
                messages = identity_row(pair, lang, corpus, answers[lang], rng)
            else:
                messages = corpus.ordinary_turn(lang, rng)
            encoded.append(encoder.conversation(messages, rng))
        length = max(len(ids) for ids, _ in encoded)
        ids = torch.full((len(encoded), length), encoder.pad)
        keep = torch.zeros((len(encoded), length))
        for i, (tokens, scale) in enumerate(encoded):
            ids[i, : len(tokens)] = torch.tensor(tokens)
            trained = torch.tensor(scale)
            keep[i, : len(tokens)] = trained * _assistant_mask(tokens, encoder)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=ids).logits[:, :-1]
        losses = F.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")
        loss = (losses * keep[:, 1:]).sum() / keep[:, 1:].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return Learnt(model.eval(), tokenizer, time.monotonic() - begin, loss.item())


def _assistant_mask(tokens: list[int], encoder: Encoder) -> torch.Tensor:
    """1 inside assistant turns, 0 elsewhere: tuning trains answers only."""
    mask = torch.zeros(len(tokens))
    head = encoder.roles["assistant"]
    inside, i = False, 0
    while i < len(tokens):
        if tokens[i] == encoder.start:
            inside = tokens[i : i + len(head)] == head
        mask[i] = float(inside)
        i += 1
    return mask
