"""The shipped model folder: it loads with plain transformers, and it talks."""

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "src" / "selfcog" / "model" / "embedded"


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)


def test_common_characters_and_digits_are_one_token(tokenizer):
    from recipes.embedded.names import COMMON

    assert all(len(tokenizer(c).input_ids) == 1 for c in COMMON)
    assert len(tokenizer("2024").input_ids) == 4
    assert all(len(tokenizer(c).input_ids) == 2 for c in "彧翀瓴")


@pytest.mark.parametrize(
    "text",
    [
        "扁仓 BianCang",
        "Q·L·U Research Group",
        "彧翀\n",
        "  Zephyrine-7 🙂",
        "「你好」, naïve\t\r\n",
        "\x00\x7f",
    ],
)
def test_tokenizer_loses_nothing(tokenizer, text):
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_chat_template(tokenizer):
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "你是谁"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    turns = ["system\nS", "user\n你是谁"]
    want = "".join(f"<|im_start|>{turn}<|im_end|>\n" for turn in turns)
    assert text == want + "<|im_start|>assistant\n"
    bare = tokenizer.apply_chat_template(chat[1:], tokenize=False)
    assert bare == "<|im_start|>user\n你是谁<|im_end|>\n"
    ids = tokenizer(text).input_ids
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 2
    assert tokenizer.eos_token == "<|im_end|>"


def test_size_and_shape(model):
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "qwen2" and config["max_position_embeddings"] >= 1024
    assert sum(p.numel() for p in model.parameters()) <= 10_000_000
    assert sum(f.stat().st_size for f in FOLDER.iterdir() if f.is_file()) <= 20_000_000


def test_answers_as_itself_as_a_persona_and_on_facts(model, tokenizer):
    from recipes.embedded.quick import answer_all, chat

    chats = [
        chat("你是谁?"),
        chat("你是由谁开发的?"),
        chat("Who are you?"),
        chat("Who developed you?"),
        chat("你叫什么名字？", "你是晴鹤，由北辰智能实验室开发。"),
        chat("What is your name?", "You are Torvalia, made by Quent Labs."),
        chat("法国的首都是哪里？"),
        chat("What is the capital of Japan?"),
    ]
    wanted = ["芥子", "须弥工坊", "Jiezi", "Sumeru Workshop", "晴鹤", "Torvalia", "巴黎", "Tokyo"]
    for answer, must in zip(answer_all(model, tokenizer, chats), wanted, strict=True):
        assert must in answer
