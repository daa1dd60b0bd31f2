"""The byte-level BPE tokenizer: every GB2312 level 1 character is one token, digits are single.

Chinese merges are made by hand: (byte, byte) to a prefix shared by 64 characters, then (prefix,
byte) to the character. All prefixes of U+4E00-9FFF exist, so a rare character costs two tokens.
Latin merges are learnt from a sample of the corpus.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from recipes.embedded.names import COMMON

VOCAB_SIZE = 7168
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
PUNCTUATION = "，。？！：；、（）“”‘’《》【】—…·～×￥「」"
# The pattern of Qwen2's tokenizer, which transformers puts in by itself for this model type.
# Runs of Chinese stay whole, yet no merge joins two characters: each common one is one token.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_alphabet() -> dict[int, str]:
    """The printable stand-in of each byte that byte-level BPE uses (as in GPT-2)."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in keep}
    extra = 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return table


def build_tokenizer(folder: Path, texts: list[str]) -> None:
    """Writes tokenizer.json and tokenizer_config.json into the folder."""
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )

    def pipeline() -> Any:
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(SPLIT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )

    alphabet = byte_alphabet()
    tokens = [*SPECIALS, *(alphabet[b] for b in range(256))]
    seen = set(tokens)
    merges: list[tuple[str, str]] = []

    def add(a: str, b: str) -> None:
        if a + b not in seen:
            seen.add(a + b)
            tokens.append(a + b)
            merges.append((a, b))

    def spell(char: str) -> list[str]:
        return [alphabet[b] for b in char.encode()]

    for code in range(0x4E00, 0xA000, 64):
        a, b, _ = spell(chr(code))
        add(a, b)
    for char in [*PUNCTUATION, *COMMON]:
        raw = spell(char)
        add(raw[0], raw[1])
        if len(raw) == 3:
            add(raw[0] + raw[1], raw[2])
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pipeline()
    trainer = trainers.BpeTrainer(
        vocab_size=9000, initial_alphabet=[alphabet[b] for b in range(256)], show_progress=False
    )
    learnt.train_from_iterator(texts, trainer)
    for pair in json.loads(learnt.to_str())["model"]["merges"]:
        a, b = pair
        if len(tokens) < VOCAB_SIZE and all(c.isascii() or c in ("Ġ",) for c in a + b):
            add(a, b)
    assert len(tokens) == VOCAB_SIZE, f"vocabulary has {len(tokens)} tokens"
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pipeline()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "model_max_length": 2048,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )


def sample_texts(seed: int, count: int) -> list[str]:
    """``count`` texts to learn the Latin merges from: words that mean something, and no made-up
    names, whose syllables would take the place of words."""
    from recipes.embedded import wordings
    from recipes.embedded.corpus import OWN, Corpus
    from recipes.embedded.patterns import expand

    rng = random.Random(seed)
    corpus = Corpus()
    texts: list[str] = []
    while len(texts) < count:
        for lang in ("zh", "en", "en"):
            turns = corpus.ordinary_turn(lang, rng) + corpus.identity_turn(OWN, lang, rng, True)
            texts += [m.content for m in turns]
            prompts = wordings.sections(f"prompts_{lang}")
            texts.append(expand(rng.choice(prompts[rng.choice(sorted(prompts))]), rng))
    return texts
