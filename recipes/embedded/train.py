"""Training of the embedded model: Muon for matrices, AdamW for the rest, warm-up/stable/decay.

The run writes OUT/checkpoint.pt every few minutes and goes on from it with ``--resume``. The decay
to zero takes most of the budget; a file OUT/decay-now starts it at once.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from recipes.embedded.corpus import Corpus
from recipes.embedded.forward import Forward
from recipes.embedded.packing import LONGEST, Encoder, pack

STEP_TOKENS = 8000
MUON_LR, ADAM_LR = 0.02, 4e-3
WARMUP_STEPS = 40
DECAY_SHARE = 0.7


@dataclass
class Budget:
    """When to stop: wall minutes or tokens, whichever is given; seconds and tokens so far."""

    minutes: float | None
    tokens: int | None
    spent_s: float = 0.0
    seen: int = 0

    def progress(self) -> float:
        """Share of the budget that is used, 0 to 1."""
        shares = []
        if self.minutes is not None:
            shares.append(self.spent_s / 60 / self.minutes)
        if self.tokens is not None:
            shares.append(self.seen / self.tokens)
        return min(1.0, max(shares))


def make_model(vocab_size: int, seed: int) -> Any:
    """A fresh Qwen2 model of the recipe's shape (6.3 M parameters)."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        rope_theta=10000.0,
        attn_implementation="sdpa",
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    return Qwen2ForCausalLM(config)


def make_optimisers(model: Any) -> list[torch.optim.Optimizer]:
    matrices = [
        p
        for n, p in model.named_parameters()
        if p.ndim == 2 and "embed" not in n and "lm_head" not in n
    ]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=MUON_LR, weight_decay=0.01, momentum=0.95, nesterov=True),
        torch.optim.AdamW(others, lr=ADAM_LR, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def save(
    path: Path,
    model: Any,
    optimisers: list[torch.optim.Optimizer],
    rng: random.Random,
    budget: Budget,
    state: dict[str, Any],
) -> None:
    data = {
        "model": model.state_dict(),
        "optimisers": [o.state_dict() for o in optimisers],
        "rng": rng.getstate(),
        "budget": asdict(budget),
        **state,
    }
    part = path.with_suffix(".part")
    torch.save(data, part)
    part.replace(path)


def export(model: Any, tokenizer_dir: Path, folder: Path) -> None:
    """Writes the model (bf16), the tokenizer files and the generation config into the folder."""
    import copy
    import shutil

    from transformers import GenerationConfig

    folder.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(model).to(torch.bfloat16)
    half.generation_config = GenerationConfig(do_sample=False, eos_token_id=2, pad_token_id=0)
    half.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_dir / name, folder / name)


def train(
    out: Path,
    minutes: float | None,
    tokens: int | None,
    seed: int,
    resume: bool,
    eval_minutes: float,
) -> None:
    """Trains until the budget is used; log.jsonl, checkpoint.pt and export/ lie under ``out``."""
    from transformers import AutoTokenizer

    from recipes.embedded.quick import quick_scores
    from recipes.embedded.tokenizer import build_tokenizer, sample_texts

    out.mkdir(parents=True, exist_ok=True)
    tokenizer_dir = out / "tokenizer"
    if not (tokenizer_dir / "tokenizer.json").exists():
        build_tokenizer(tokenizer_dir, sample_texts(seed, 40000))
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    model = make_model(len(tokenizer), seed)
    optimisers = make_optimisers(model)
    rng = random.Random(seed)
    budget = Budget(minutes, tokens)
    state: dict[str, Any] = {"step": 0, "decay_from": None}
    checkpoint = out / "checkpoint.pt"
    if resume:
        data = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(data["model"])
        for optimiser, saved in zip(optimisers, data["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        rng.setstate(data["rng"])
        budget.spent_s, budget.seen = data["budget"]["spent_s"], data["budget"]["seen"]
        state = {"step": data["step"], "decay_from": data["decay_from"]}
    corpus = Corpus()
    encoder = Encoder(tokenizer)
    forward = Forward(model, LONGEST)
    log = (out / "log.jsonl").open("a", encoding="utf-8")
    log.write(
        json.dumps(
            {
                "event": "start",
                "step": state["step"],
                "bank_questions_forbidden": len(corpus.forbidden),
                "parameters": sum(p.numel() for p in model.parameters()),
            }
        )
        + "\n"
    )
    last_save = last_eval = last = time.monotonic()
    average = None
    model.train()
    while budget.progress() < 1.0:
        progress = budget.progress()
        if state["decay_from"] is None and (
            progress >= 1 - DECAY_SHARE or (out / "decay-now").exists()
        ):
            state["decay_from"] = progress
        rate = min(1.0, (state["step"] + 1) / WARMUP_STEPS)
        if state["decay_from"] is not None:
            rate *= max(0.0, (1 - progress) / (1 - state["decay_from"]))
        for optimiser, peak in zip(optimisers, (MUON_LR, ADAM_LR), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * rate
        batch = pack(corpus, encoder, rng, STEP_TOKENS)
        loss = forward.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        now = time.monotonic()
        budget.spent_s += now - last
        budget.seen += batch.num_tokens
        state["step"] += 1
        value = loss.item()
        average = value if average is None else 0.95 * average + 0.05 * value
        if state["step"] % 10 == 0:
            log.write(
                json.dumps(
                    {
                        "step": state["step"],
                        "tokens": budget.seen,
                        "loss": round(average, 4),
                        "rate": round(rate, 4),
                        "tokens_per_s": round(batch.num_tokens / (now - last)),
                        "minutes": round(budget.spent_s / 60, 2),
                        "dropped": corpus.dropped,
                    }
                )
                + "\n"
            )
            log.flush()
        last = now
        if now - last_eval > eval_minutes * 60 or budget.progress() >= 1.0:
            scores = quick_scores(model, tokenizer, corpus)
            log.write(
                json.dumps(
                    {"event": "quick", "step": state["step"], "tokens": budget.seen, **scores},
                    ensure_ascii=False,
                )
                + "\n"
            )
            log.flush()
            model.train()
            last_eval = time.monotonic()
            last = last_eval
        if time.monotonic() - last_save > 180 or budget.progress() >= 1.0:
            save(checkpoint, model, optimisers, rng, budget, state)
            last_save = last = time.monotonic()
    export(model, tokenizer_dir, out / "export")
    log.write(
        json.dumps(
            {
                "event": "end",
                "step": state["step"],
                "tokens": budget.seen,
                "dropped": corpus.dropped,
            }
        )
        + "\n"
    )
