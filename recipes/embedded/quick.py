"""Greedy answers in batches, and the small score that training prints every few minutes."""

from __future__ import annotations

import random
from typing import Any

import torch

from recipes.embedded import facts
from recipes.embedded.corpus import GRAMMAR, Corpus
from recipes.embedded.names import OWN_MAKER, OWN_NAME, random_name, random_org
from recipes.embedded.patterns import expand


def answer_all(
    model: Any,
    tokenizer: Any,
    chats: list[list[dict[str, str]]],
    max_new_tokens: int = 60,
    batch_size: int = 64,
) -> list[str]:
    """Greedy answers to the chats, in their order."""
    texts = [
        tokenizer.apply_chat_template(c, add_generation_prompt=True, tokenize=False) for c in chats
    ]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    answers = [""] * len(texts)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.eval()
    for begin in range(0, len(order), batch_size):
        picked = order[begin : begin + batch_size]
        batch = tokenizer(
            [texts[i] for i in picked],
            return_tensors="pt",
            padding=True,
            padding_side="left",
            add_special_tokens=False,
        )
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            out = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=end,
                pad_token_id=tokenizer.pad_token_id,
            )
        for i, row in zip(picked, out[:, batch["input_ids"].shape[1] :], strict=True):
            answers[i] = tokenizer.decode(row, skip_special_tokens=True).strip()
    return answers


def chat(question: str, system: str | None = None) -> list[dict[str, str]]:
    head = [] if system is None else [{"role": "system", "content": system}]
    return [*head, {"role": "user", "content": question}]


def dev_questions(
    corpus: Corpus, lang: str, split: str, name: str, rng: random.Random
) -> list[tuple[str, list[str]]]:
    """Questions of the bank's held-out split, one a pattern, with what the answer must carry."""
    part = corpus.bank[lang]
    items = []
    for row in part.held_out.get(split, []):
        for pattern in row["patterns"]:
            other, maker = rng.choice(GRAMMAR[lang].VENDORS)
            text = expand(pattern, rng, {"name": name, "other": other, "other_maker": maker})
            items.append((text, part.asks[row["intent"]]))
    return items


def quick_scores(
    model: Any, tokenizer: Any, corpus: Corpus, n: int = 48, seed: int = 7
) -> dict[str, Any]:
    """Shares right on a small sample: own identity, persona, facts (held-out wordings)."""
    rng = random.Random(seed)
    result: dict[str, Any] = {}
    for lang in ("zh", "en"):
        own = dev_questions(corpus, lang, "dev", OWN_NAME[lang], rng)
        own = rng.sample(own, min(n, len(own)))
        wanted = {"name": OWN_NAME[lang], "author": OWN_MAKER[lang]}
        chats = [chat(q) for q, _ in own]
        checks = [[wanted[a] for a in asks] for _, asks in own]
        for q, asks in (
            rng.sample(dev_questions(corpus, lang, "test", "NAME", rng), n) if own else []
        ):
            name, org = random_name(rng, lang), random_org(rng, lang)
            system = expand(
                rng.choice(GRAMMAR[lang].PERSONA_SYS_TEST), rng, {"name": name, "author": org}
            )
            chats.append(chat(q.replace("NAME", name), system))
            checks.append([{"name": name, "author": org}[a] for a in asks])
        for fact in rng.sample(facts.FACTS[lang], n):
            chats.append(chat(facts.ask(fact, lang, rng, "test") + ("？" if lang == "zh" else "?")))
            checks.append([facts.answer(fact, lang)])
        answers = answer_all(model, tokenizer, chats, 40)
        right = [all(c in a for c in check) for a, check in zip(answers, checks, strict=True)]
        k = len(own)
        for key, part in (
            ("own", right[:k]),
            ("persona", right[k : 2 * k]),
            ("facts", right[2 * k :]),
        ):
            result[f"{key}_{lang}"] = round(sum(part) / max(1, len(part)), 3)
        result[f"sample_{lang}"] = [
            f"{chats[i][-1]['content']} -> {answers[i]}" for i in (0, k, k + 1, -1)
        ]
    return result
