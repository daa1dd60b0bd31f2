"""Shared fixtures: where the reference files lie, and a tiny model made on the spot."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with SIGINT ignored, and the processes that the tests start
    # and interrupt would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CORPUS = (
    "system user assistant You are a helpful assistant. Who are you? I am a language model.",
    "What is your name? My name is. Who made you? I was made by a research group. Hello, thanks.",
    "你是谁？我是一个语言模型。你叫什么名字？我的名字叫。你是由谁开发的？我是由研究组开发的。",
    "你好，请问有什么可以帮助你的吗？谢谢。再见。北京是中国的首都。",
)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of reference files (data, tokenizers, templates, weights); skips without it."""
    default = Path(__file__).parents[2] / "shared"
    path = Path(os.environ.get("SELFCOG_SHARED", default))
    if not path.is_dir():
        pytest.skip(f"reference files are not at {path} (set SELFCOG_SHARED)")
    return path


def make_tiny_tokenizer() -> Any:
    """A byte-level BPE of 512 tokens with ChatML; <|im_end|> ends a turn, <|endoftext|> pads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS * 2, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHATML
    return tokenizer


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Qwen2 (hidden 64, 2 layers, seed 0, float32) and its tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny-qwen2"
    tokenizer = make_tiny_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
