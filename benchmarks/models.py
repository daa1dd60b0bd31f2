"""Random-weight models, an adapter for each, and the rows, made once under ``output/bench``.

    python -m benchmarks.models --models S M --output output/bench

Speed does not depend on what the weights are, so nothing is downloaded. The tokenizer is a real
one, from ``../shared/tokenizers/qwen2.5-instruct`` (or below SELFCOG_SHARED): the length of a text
in tokens and the cost of tokenising it are those of a real model.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, make_rows, stratified

VOCABULARY = 151_936
TOKENIZER = Path("tokenizers") / "qwen2.5-instruct"
LORA_RANK, LORA_ALPHA = 8, 32
# Changed when what is built changes, so that an old cache is built anew.
RECIPE = 1
# A file that cannot be used: its second line is cut off.
BROKEN_ROWS = (
    '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n{"'
)


class SkipBenchmark(Exception):
    """Something that the benchmark needs and that cannot be made is not there."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A Qwen2 of random weights; ``examples`` make one optimiser step, ``steps`` by default."""

    hidden: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    examples: int
    steps: int


SHAPES = {
    # Only to try the benchmark itself.
    "T": Shape(64, 256, 2, 2, 1, 4, 1),
    # 44.8 M weights, of which 5.9 M outside the embedding: the output head is most of the work.
    "S": Shape(256, 1024, 6, 4, 2, 16, 1),
    # The shape of Qwen2-0.5B: 494 M weights.
    "M": Shape(896, 4864, 24, 14, 2, 8, 1),
}


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """A file of rows that are each seen once; ``num_tokens`` of all of them."""

    path: Path
    num_rows: int
    num_tokens: int


def find_tokenizer() -> Path:
    """The tokenizer's folder. Raises SkipBenchmark."""
    shared = os.environ.get("SELFCOG_SHARED")
    folder = Path(shared) if shared else Path(__file__).parents[2] / "shared"
    if not (folder / TOKENIZER / "tokenizer.json").is_file():
        raise SkipBenchmark(
            f"skipped: there is no {TOKENIZER}/tokenizer.json in ../shared; SELFCOG_SHARED names "
            "another folder of reference files"
        )
    return folder / TOKENIZER


def model_folder(output: Path, name: str) -> Path:
    return output / "models" / name


def adapter_folder(output: Path, name: str) -> Path:
    return output / "adapters" / name


def read_rows(output: Path) -> list[Row]:
    lines = (output / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    return [Row(**json.loads(line)) for line in lines]


def training_rows(output: Path, num_rows: int) -> TrainingRows:
    """``num_rows`` of the rows as a file of messages, their lengths standing for all 300."""
    rows = stratified(read_rows(output), num_rows)
    path = output / "data" / f"rows-{num_rows}.jsonl"
    write_messages(path, rows)
    return TrainingRows(path, num_rows, sum(row.num_tokens for row in rows))


def write_messages(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"messages": row.messages()}, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def build(output: Path, names: list[str]) -> None:
    """Make what is not there yet: rows, models, adapters. Raises SkipBenchmark."""
    tokenizer = find_tokenizer()
    output.mkdir(parents=True, exist_ok=True)
    if not _is_done(output / "rows.done", "rows"):
        _build_rows(output, tokenizer)
        _mark(output / "rows.done", "rows")
    for name in names:
        done = output / "models" / f"{name}.done"
        recipe = json.dumps(asdict(SHAPES[name]))
        if not _is_done(done, recipe):
            _build_model(output, name, tokenizer)
            _mark(done, recipe)


def _build_rows(output: Path, tokenizer: Path) -> None:
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    rows = make_rows(lambda text: len(backend.encode(text, add_special_tokens=False).ids))
    lines = [json.dumps(asdict(row), ensure_ascii=False) for row in rows]
    (output / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (output / "broken.jsonl").write_text(BROKEN_ROWS, encoding="utf-8")
    question = [{"role": "user", "content": "你好"}]
    (output / "question.jsonl").write_text(json.dumps({"messages": question}), encoding="utf-8")
    _build_demo_rows(output / "demo.jsonl")


def _build_demo_rows(path: Path) -> None:
    """The identity rows that ``selfcog demo`` makes, before it asks the base for its wording."""
    from selfcog.commands.rows import collect_rows
    from selfcog.config.schema import DemoConfig, IdentitySection, ModelSection, SftConfig

    demo = DemoConfig()
    config = SftConfig(
        model=ModelSection(model=demo.model),
        identity=IdentitySection(
            model_name=demo.model_name,
            model_author=demo.model_author,
            self_cognition_sample=demo.self_cognition_sample,
        ),
    )
    lines = []
    for example in collect_rows(config).mixture.train:
        messages = [{"role": one.role, "content": one.content} for one in example.messages]
        lines.append(json.dumps({"messages": messages}, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _build_model(output: Path, name: str, tokenizer: Path) -> None:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape = SHAPES[name]
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=151_645,
        pad_token_id=151_643,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    folder = model_folder(output, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / file, folder / file)
    _build_adapter(model, adapter_folder(output, name))


def _build_adapter(model: Any, folder: Path) -> None:
    """A LoRA whose second matrices are not zero, so that a merge has something to do."""
    import torch
    from peft import LoraConfig, get_peft_model

    shutil.rmtree(folder, ignore_errors=True)
    tuned = get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM", r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules="all-linear"
        ),
    )
    for key, parameter in tuned.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter, std=0.02)
    tuned.save_pretrained(folder)


def _is_done(marker: Path, recipe: str) -> bool:
    return marker.is_file() and marker.read_text("utf-8") == f"{RECIPE} {recipe}"


def _mark(marker: Path, recipe: str) -> None:
    marker.write_text(f"{RECIPE} {recipe}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the models and rows of the benchmark.")
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=["S", "M"])
    parser.add_argument("--output", type=Path, default=Path("output/bench"))
    args = parser.parse_args()
    try:
        build(args.output, args.models)
    except SkipBenchmark as reason:
        print(reason)


if __name__ == "__main__":
    main()
