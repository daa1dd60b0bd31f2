"""Answers to 64 prompts of mixed length: transformers' generate beside selfcog's own way.

    python -m benchmarks.generation --output output/bench --models M embedded --repeats 3

Both have a base and an unmerged LoRA adapter, the same prompts, stop ids and number of new tokens,
one thread; bfloat16, and for the embedded model float32 as well. transformers gets the prompts as
they come, padded on the left, in batches of 8, 16 and 64; the best of these is what selfcog is
compared with. M, of random weights, gets random ids of 8 to 400 tokens, long-tailed; the embedded
model gets questions of the scorecard. ``same`` are the answers that are the same ids as those of
transformers in batches of 8.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.contestants import DRIVERS, OURS, environment
from benchmarks.measure import Reading, run
from benchmarks.models import SHAPES, adapter_folder, model_folder
from benchmarks.series import Series, Task, interleave
from selfcog.model.locate import EMBEDDED_FOLDER

NUM_PROMPTS, NEW_TOKENS = 64, 64
SHORTEST, LONGEST = 8, 400
EMBEDDED = "embedded"
DTYPES = ("bfloat16", "float32")
# What new tokens a CPU second are called.
SPEED = "tokens_per_cpu_s"
PLAIN = "transformers generate"
BATCHES = (8, 16, 64)
OUR_BATCHES = (64, 8)
# Of the qwen2.5 tokenizer: <|im_end|>, <|endoftext|>.
STOP, PAD = 151_645, 151_643
# Large enough to change answers, small enough that they remain answers.
EMBEDDED_ADAPTER_STD = 0.004


def run_generation(
    output: Path,
    model: str,
    repeats: int,
    say: Callable[[str], None],
    python: str = sys.executable,
    dtypes: Sequence[str] = (),
) -> list[Series]:
    """Both ways in turn, in each number format; after the first round the best batch of each."""
    found: list[Series] = []
    for dtype in dtypes or (DTYPES if model == EMBEDDED else DTYPES[:1]):
        tasks = generation_tasks(output, model, dtype, python)
        found += with_same(output, interleave(tasks, repeats, SPEED, say))
    return found


def generation_tasks(output: Path, model: str, dtype: str, python: str) -> list[Task]:
    prompts = build_prompts(output, model)
    base = EMBEDDED_FOLDER if model == EMBEDDED else model_folder(output, model)
    words = [python, str(DRIVERS / "generate.py"), "--model", str(base)]
    words += ["--adapter", str(adapter_folder(output, model)), "--dtype", dtype]
    words += ["--prompts", str(prompts), "--new", str(NEW_TOKENS)]

    def task(peer: str, batch: int) -> Task:
        series = Series("generate", series_name(model, dtype), peer, f"batch {batch}")
        result = result_of(output, series)
        way = "selfcog" if peer == OURS else "transformers"

        def once(number: int) -> Reading:
            result.unlink(missing_ok=True)
            extra = ["--way", way, "--batch", str(batch), "--result", str(result)]
            env = environment(OURS, 1, output / "cache")
            outcome = run([*words, *extra], result.with_suffix(".txt"), env)
            if outcome.status != "ok" or not result.is_file():
                status = "failed" if outcome.status == "ok" else outcome.status
                message = f"exit code {outcome.code}: {outcome.tail}"
                return Reading(status=status, message=message)
            return Reading(json.loads(result.read_text(encoding="utf-8"))["values"])

        return Task(series, once)

    ours = [task(OURS, batch) for batch in OUR_BATCHES]
    return [*ours, *(task(PLAIN, batch) for batch in BATCHES)]


def series_name(model: str, dtype: str) -> str:
    return f"{model}, {dtype}"


def with_same(output: Path, series: Sequence[Series]) -> list[Series]:
    """Every reading with the number of answers that are those of transformers, batch 8."""

    def answers(one: Series) -> list[list[int]]:
        path = result_of(output, one)
        if not path.is_file():
            return []
        found: list[list[int]] = json.loads(path.read_text(encoding="utf-8"))["answers"]
        return found

    wanted = answers(next(one for one in series if one.label == f"{PLAIN}, batch {BATCHES[0]}"))
    for one in series:
        same = sum(ours == theirs for ours, theirs in zip(answers(one), wanted, strict=False))
        one.readings = [
            replace(reading, values=reading.values | {"same": float(same)})
            if reading.values
            else reading
            for reading in one.readings
        ]
    return list(series)


def result_of(output: Path, series: Series) -> Path:
    words = f"{series.model} {series.peer} {series.setting}".replace(",", "").split()
    path = output / "runs" / "generate" / f"{'_'.join(words)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def build_prompts(output: Path, model: str) -> Path:
    """A file of prompts as ids, with stop and pad ids."""
    path = output / "data" / f"prompts-{model}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if model == EMBEDDED:
        build_embedded_adapter(adapter_folder(output, EMBEDDED))
        task = embedded_prompts()
    else:
        lengths = mixed_lengths(NUM_PROMPTS)
        draw = random.Random(0)
        # Ordinary tokens only: those that end a turn come later in the vocabulary.
        prompts = [[draw.randrange(PAD) for _ in range(length)] for length in lengths]
        task = {"prompts": prompts, "stop": [STOP], "pad": PAD}
    path.write_text(json.dumps(task), encoding="utf-8")
    return path


def mixed_lengths(number: int) -> list[int]:
    """Lengths from SHORTEST to LONGEST, evenly spread in their logarithm, in random order."""
    ratio = LONGEST / SHORTEST
    lengths = [round(SHORTEST * ratio ** (place / (number - 1))) for place in range(number)]
    random.Random(0).shuffle(lengths)
    return lengths


def embedded_prompts() -> dict[str, object]:
    from selfcog.commands.rows import make_identity
    from selfcog.config.schema import DemoConfig, IdentitySection
    from selfcog.evaluate.questions import build_suite
    from selfcog.model.load import load_tokenizer
    from selfcog.tokens.render import Renderer
    from selfcog.types import Message

    demo = DemoConfig()
    names = IdentitySection(model_name=demo.model_name, model_author=demo.model_author)
    suite = build_suite(make_identity(names), "full")
    renderer = Renderer(load_tokenizer(EMBEDDED_FOLDER))
    asked = [
        renderer.prompt_ids([Message(turn.role, turn.text or "") for turn in question.turns])
        for question in suite.questions
        if question.judge != "choice" and all(turn.text is not None for turn in question.turns)
    ]
    prompts = random.Random(0).sample(asked, NUM_PROMPTS)
    pad = renderer.tokenizer.pad_token_id
    return {"prompts": prompts, "stop": list(renderer.stop_ids), "pad": pad}


def build_embedded_adapter(folder: Path) -> None:
    if (folder / "adapter_model.safetensors").is_file():
        return
    import torch
    from peft import LoraConfig, get_peft_model

    from benchmarks.models import LORA_ALPHA, LORA_RANK
    from selfcog.model.load import load_model

    torch.manual_seed(0)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules="all-linear"
    )
    tuned = get_peft_model(load_model(EMBEDDED_FOLDER), config)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=EMBEDDED_ADAPTER_STD)
    tuned.save_pretrained(folder)


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=about, epilog=more)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = (*SHAPES, EMBEDDED)
    parser.add_argument("--models", nargs="+", choices=names, default=["M", EMBEDDED])
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=[])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("output/bench"))
    args = parser.parse_args()
    output: Path = args.output.resolve()
    shapes = [name for name in args.models if name in SHAPES]
    if shapes:
        build = [sys.executable, "-m", "benchmarks.models", "--output", str(output)]
        subprocess.run([*build, "--models", *shapes], check=True)

    from benchmarks.report import part_tables

    series: list[Series] = []
    for model in args.models:
        series += run_generation(output, model, args.repeats, say, dtypes=args.dtypes)
    print("\n\n".join(part_tables(series)))
    print(json.dumps([one.to_json() for one in series], ensure_ascii=False))


if __name__ == "__main__":
    main()
