"""The mask on the chat templates of 28 model families, against a table and against the marks
that their training variants carry."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from selfcog.model.load import load_tokenizer
from selfcog.tokens.render import Renderer
from selfcog.tokens.template import ChatTemplate
from selfcog.types import IGNORE_INDEX, Example, Message, TokenizedExample

EMPTY_THINK = "<think>\n\n</think>\n\n"
# Family → what stands, not learnt, right before the answer; what is learnt after the answer.
FAMILIES = {
    "cohere": ("<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    "cohere2": ("<|START_RESPONSE|>", "<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"),
    "deepseekv3": ("<｜Assistant｜>" + EMPTY_THINK, "<｜end▁of▁sentence｜>"),
    "diffusion_gemma": ("<|turn>model\n", "<turn|>"),
    "gemma": ("<start_of_turn>model\n", "<end_of_turn>"),
    "gemma3": ("<start_of_turn>model\n", "<end_of_turn>"),
    "glm4moe": ("<|assistant|>\n<think></think>", "<|user|>"),
    "gptoss": ("<|start|>assistant<|channel|>final<|message|>", "<|return|>"),
    "idefics3": ("Assistant:", "<end_of_utterance>"),
    "lfm2": ("<|im_start|>assistant\n", "<|im_end|>"),
    "lfm2_2_5": ("<|im_start|>assistant\n", "<|im_end|>"),
    "llama3": ("<|end_header_id|>\n\n", "<|eot_id|>"),
    "llama3_1": ("<|end_header_id|>\n\n", "<|eot_id|>"),
    "llama3_2": ("<|end_header_id|>\n\n", "<|eot_id|>"),
    "llava_next": ("Q2 [/INST]", "</s>"),
    "nemotron_3_nano": ("<|im_start|>assistant\n<think></think>", "<|im_end|>"),
    "nemotron_3_super": ("<|im_start|>assistant\n<think></think>", "<|im_end|>"),
    "nemotron_3_ultra": ("<|im_start|>assistant\n<think></think>", "<|im_end|>"),
    "phi3": ("<|assistant|>\n", "<|end|>"),
    "phi3_5": ("<|assistant|>\n", "<|end|>"),
    "qwen2_5": ("<|im_start|>assistant\n", "<|im_end|>"),
    "qwen2_5_vl": ("<|im_start|>assistant\n", "<|im_end|>"),
    "qwen3": ("<|im_start|>assistant\n" + EMPTY_THINK, "<|im_end|>"),
    "qwen3_5_nothink": ("<|im_start|>assistant\n" + EMPTY_THINK, "<|im_end|>"),
    "qwen3_5_think": ("<|im_start|>assistant\n" + EMPTY_THINK, "<|im_end|>"),
    "qwen3_6": ("<|im_start|>assistant\n" + EMPTY_THINK, "<|im_end|>"),
    "qwen3_instruct_2507": ("<|im_start|>assistant\n", "<|im_end|>"),
    "qwen3_vl": ("<|im_start|>assistant\n", "<|im_end|>"),
}
# Families that write past turns in another way than they were generated.
REWRITES_HISTORY = {
    "deepseekv3",
    "gptoss",
    "qwen3",
    "qwen3_5_nothink",
    "qwen3_5_think",
    "qwen3_6",
}
# What a row's thinking text is turned into, for families that have a way of their own.
THINKING = {
    "deepseekv3": "hm, well\n</think>\n\n",
    "diffusion_gemma": "<|channel>thought\nhm, well\n<channel|>",
    "glm4moe": "\n<think>hm, well</think>\n",
    "gptoss": "<|channel|>analysis<|message|>hm, well<|end|><|start|>assistant<|channel|>final"
    "<|message|>",
    "idefics3": " <think>\nhm, well\n</think>\n\n",
    "lfm2_2_5": "<think>hm, well</think>",
    "llava_next": " <think>\nhm, well\n</think>\n\n",
    "nemotron_3_nano": "hm, well\n</think>\n",
    "nemotron_3_super": "hm, well\n</think>\n",
    "nemotron_3_ultra": "hm, well</think>",
    "qwen3_5_nothink": "hm, well\n</think>\n\n",
    "qwen3_5_think": "hm, well\n</think>\n\n",
    "qwen3_6": "hm, well\n</think>\n\n",
}
# Their templates write a blank before the answer, which the model therefore generates.
LEADING = {"glm4moe": "\n", "idefics3": " ", "llava_next": " "}
SYSTEM = Message("system", "Be kind and brief.")
TURNS = (
    Message("user", "Q1 来"),
    Message("assistant", "A1 one 一。"),
    Message("user", "Q2"),
    Message("assistant", "A2 two 二。"),
)


@pytest.fixture(scope="module")
def templates(shared_dir: Path) -> Path:
    folder = shared_dir / "templates" / "trl"
    if not folder.is_dir():
        pytest.skip("shared/templates/trl is not there")
    return folder


@pytest.fixture
def tokenizer(tiny_model_dir: Path) -> Any:
    return load_tokenizer(tiny_model_dir)


def dress(tokenizer: Any, source: str) -> Any:
    """The tiny tokenizer with a family's template and its markers as special tokens."""
    markers = set(re.findall(r"<[^<>\s'\"{}()=]+>|\[/?\w+\]", source)) - {"<think>", "</think>"}
    tokenizer.add_special_tokens(
        {
            "bos_token": "<BOS>",
            "eos_token": "<EOS>",
            "additional_special_tokens": sorted(markers),
        }
    )
    tokenizer.chat_template = source
    return tokenizer


def learnt(tokenizer: Any, row: TokenizedExample) -> list[str]:
    """The learnt stretches of a row, as text."""
    spans: list[list[int]] = [[]]
    for label in row.labels:
        if label == IGNORE_INDEX:
            spans.append([])
        else:
            spans[-1].append(label)
    return [tokenizer.decode(span) for span in spans if span]


def test_the_table_names_every_family(templates: Path) -> None:
    there = {path.stem for path in templates.glob("*.jinja")}
    assert {name for name in there if not name.endswith("_training")} == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "system", [None, SYSTEM, Message("system", "")], ids=["no", "own", "empty"]
)
def test_mask(family: str, system: Message | None, templates: Path, tokenizer: Any) -> None:
    dress(tokenizer, (templates / f"{family}.jinja").read_text(encoding="utf-8"))
    before, after = FAMILIES[family]
    lead = LEADING.get(family, "")
    renderer = Renderer(tokenizer)
    messages = TURNS if system is None else (system, *TURNS)
    result = renderer.render_all([Example(messages)])
    assert not result.rejected
    found = [text for row in result.rows for text in learnt(tokenizer, row)]
    assert found == [f"{lead}A1 one 一。{after}", f"{lead}A2 two 二。{after}"]
    assert result.num_split == (family in REWRITES_HISTORY)
    last = result.rows[-1]
    text = tokenizer.decode(last.input_ids)
    assert text.endswith(f"{before}{lead}A2 two 二。{after}")
    assert "Q1 来" in text and text.count("<BOS>") <= 1
    if system is not None:
        assert text.count(SYSTEM.content) == (system == SYSTEM)
    assert tokenizer.convert_tokens_to_ids(re.findall(r"<[^<>]+>", after)[0]) in renderer.stop_ids


@pytest.mark.parametrize("family", FAMILIES)
def test_thinking_is_learnt_where_a_row_has_it(
    family: str, templates: Path, tokenizer: Any
) -> None:
    dress(tokenizer, (templates / f"{family}.jinja").read_text(encoding="utf-8"))
    after = FAMILIES[family][1]
    question = TURNS[0]
    answer = Message("assistant", "A1 one.", thinking="\nhm, well\n")
    expected = THINKING.get(family, "<think>\nhm, well\n</think>\n\n") + "A1 one." + after
    row = Renderer(tokenizer, enable_thinking=True).render(Example((question, answer)))
    assert isinstance(row, TokenizedExample), row
    assert learnt(tokenizer, row) == [expected]
    inline = Message("assistant", "<think>hm, well</think>A1 one.")
    assert Renderer(tokenizer).render(Example((question, inline))) == row
    without = Renderer(tokenizer, enable_thinking=False).render(Example((question, answer)))
    assert isinstance(without, TokenizedExample)
    assert learnt(tokenizer, without) == [LEADING.get(family, "") + "A1 one." + after]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("thinking", [None, "hm, well"], ids=["plain", "thinking"])
def test_prompt_ids_are_what_training_saw(
    family: str, thinking: str | None, templates: Path, tokenizer: Any
) -> None:
    dress(tokenizer, (templates / f"{family}.jinja").read_text(encoding="utf-8"))
    answer = Message("assistant", "A2 two.", thinking=thinking)
    renderer = Renderer(tokenizer, enable_thinking=thinking is not None)
    past = (SYSTEM, TURNS[0], replace(TURNS[1], train=False), TURNS[2])
    row = renderer.render(Example((*past, answer)))
    prompt = renderer.prompt_ids(past)
    assert isinstance(row, TokenizedExample)
    assert row.input_ids[: len(prompt)] == prompt
    assert set(row.labels[: len(prompt)]) == {IGNORE_INDEX}


@pytest.mark.parametrize("family", FAMILIES)
def test_marks_of_training_templates_agree(family: str, templates: Path, tokenizer: Any) -> None:
    """The training variants mark learnt text themselves. They also mark headers, empty think
    blocks and blanks after the end; nothing else may differ."""
    from transformers.utils.chat_template_utils import render_jinja_template

    path = templates / f"{family}_training.jinja"
    if not path.is_file():
        pytest.skip("the family has no training variant")
    dress(tokenizer, (templates / f"{family}.jinja").read_text(encoding="utf-8"))
    (row,) = Renderer(tokenizer).render_all([Example((*TURNS[:2],))]).rows
    (ours,) = learnt(tokenizer, row)
    rows = [[{"role": item.role, "content": item.content} for item in TURNS[:2]]]
    if family in {"idefics3", "llava_next"}:
        for item in rows[0]:
            item["content"] = [{"type": "text", "text": item["content"]}]
    texts, marks = render_jinja_template(
        rows,
        chat_template=path.read_text(encoding="utf-8"),
        return_assistant_tokens_mask=True,
        bos_token="<BOS>",
        eos_token="<EOS>",
        enable_thinking=False,
    )
    theirs = "".join(texts[0][start:end] for start, end in marks[0])
    before, found, after = theirs.partition(ours.strip())
    assert found
    assert FAMILIES[family][0].rstrip().endswith(before.strip()) or before == "<｜Assistant｜>"
    assert after.strip() in ("", "<EOS>")


def test_own_environment_renders_as_transformers_does(templates: Path) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    rows = [{"role": item.role, "content": item.content} for item in TURNS[:3]]
    names = {"bos_token": "<BOS>", "eos_token": "<EOS>"}
    for path in sorted(templates.glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        if "idefics3" in path.stem or "llava" in path.stem:
            continue  # they take lists of parts
        for thinking in (None, True, False):
            kwargs = {} if thinking is None else {"enable_thinking": thinking}
            theirs, _ = render_jinja_template(
                [rows], chat_template=source, add_generation_prompt=True, **names, **kwargs
            )
            ours = ChatTemplate(source, names).render(
                rows, add_generation_prompt=True, thinking=thinking
            )
            assert ours == theirs[0], path.stem
