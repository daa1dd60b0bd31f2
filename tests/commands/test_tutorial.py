"""The tutorial's own command lines, ``swift`` → ``selfcog``, as real processes.

The model is tiny and random: what is tested is that the lines run as they stand, what they write
and that the steps are those of ms-swift. What a model learns is tested with the embedded one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from selfcog.train.launch import find_port

NUM_DOMAIN_ROWS = 1100
SYMPTOMS = ("头痛", "咳嗽", "胃痛", "失眠", "皮疹", "腰酸", "耳鸣", "发热", "乏力", "牙痛")


def run_selfcog(
    words: list[str], cwd: Path, *, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        env.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", "selfcog", *words],
        cwd=cwd,
        env=env,
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.fixture(scope="module")
def domain_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the shape of DISC-Med-SFT: _id, source, conversation."""
    path = tmp_path_factory.mktemp("data") / "DISC-Med-SFT_released.jsonl"
    with path.open("w", encoding="utf-8") as handle:
        for number in range(NUM_DOMAIN_ROWS):
            symptom = SYMPTOMS[number % len(SYMPTOMS)]
            turns = [
                {"role": "user", "content": f"我{symptom}已经{number}天了，怎么办？"},
                {"role": "assistant", "content": f"{symptom}{number}天，请先到医院检查。"},
            ]
            row = {"_id": f"made-{number}", "source": "made", "conversation": turns}
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def tutorial_words(model: Path, data: Path, output: Path) -> list[str]:
    line = (
        f"sft --model_type qwen1half-14b-chat --model_id_or_path {model} "
        "--model_revision master --sft_type lora --tuner_backend swift --template_type qwen "
        f"--dtype AUTO --output_dir {output} --ddp_backend nccl "
        f"--custom_train_dataset_path {data} --train_dataset_sample 1000 --num_train_epochs 3 "
        "--max_length 4096 --check_dataset_strategy warning --lora_rank 8 --lora_alpha 32 "
        "--lora_dropout_p 0.05 --lora_target_modules ALL --gradient_checkpointing true "
        "--batch_size 1 --weight_decay 0.01 --learning_rate 1e-5 --max_grad_norm 0.5 "
        "--warmup_ratio 0.4 --eval_steps 10 --save_steps 10 --save_total_limit 2 "
        "--logging_steps 5 --self_cognition_sample 500 --model_name 扁仓 BianCang "
        "--model_author 某大学某研究组 QLU-NLP Research Group"
    )
    return line.split(" ")


def closing_path(output: str, name: str) -> Path:
    match = re.search(rf"^{name}: (.+)$", output, re.MULTILINE)
    assert match, output[-2000:]
    return Path(match.group(1))


def read_events(run_dir: Path) -> list[dict[str, object]]:
    lines = (run_dir / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_the_tutorial_runs_as_it_stands(
    tiny_model_dir: Path, domain_file: Path, tmp_path: Path
) -> None:
    words = tutorial_words(tiny_model_dir, domain_file, tmp_path / "output")
    done = run_selfcog(words, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]

    last = closing_path(done.stdout, "last_model_checkpoint")
    best = closing_path(done.stdout, "best_model_checkpoint")
    run_dir = last.parent
    # 1000 + 500 rows, 16 a step: 94 steps an epoch, 282 in three.
    assert last.name == "checkpoint-282"
    assert re.fullmatch(r"v0-\d{8}-\d{6}", run_dir.name)
    events = read_events(run_dir)
    saved = [event["step"] for event in events if event["event"] == "checkpoint"]
    assert saved == [*range(10, 281, 10), 282]
    evaluated = [event["step"] for event in events if event["event"] == "eval"]
    assert evaluated == [*range(10, 281, 10), 282]
    kept = {path.name for path in run_dir.glob("checkpoint-*")}
    assert kept == {last.name, best.name} and len(kept) <= 2
    report = json.loads((run_dir / "data_report.json").read_text(encoding="utf-8"))
    kinds = {kind: found["rows"] for kind, found in report["kinds"]["train"].items()}
    assert kinds == {"domain": 1000, "identity": 450, "known": 50}
    for name in ("config.yaml", "logging.jsonl"):
        assert (run_dir / name).is_file(), name
    assert list((run_dir / "images").glob("*.png"))
    # The author's first word is Chinese, the rest is English; and selfcog says so.
    assert "QLU-NLP Research Group" in done.stdout

    infer = ["infer", "--ckpt_dir", str(last), "--max_new_tokens", "8"]
    chat = run_selfcog(infer, tmp_path, stdin="你是谁?\nexit\n")
    assert chat.returncode == 0, chat.stderr[-2000:]

    export = f"export --model_cache_dir {tiny_model_dir} --ckpt_dir {last} --merge_lora true"
    merged = run_selfcog(export.split(" "), tmp_path)
    assert merged.returncode == 0, merged.stderr[-2000:]
    folder = last.with_name("checkpoint-282-merged")
    assert (folder / "config.json").is_file()
    again = ["infer", "--ckpt_dir", str(folder), "--max_new_tokens", "8"]
    chat = run_selfcog(again, tmp_path, stdin="你是谁?\n")
    assert chat.returncode == 0, chat.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("deepspeed", [[], ["--deepspeed", "default-zero3"]])
def test_the_sft_line_under_two_processes(
    deepspeed: list[str], tiny_model_dir: Path, shared_dir: Path, tmp_path: Path
) -> None:
    data = shared_dir / "data" / "disc_med_sft_sample.jsonl"
    words = [*tutorial_words(tiny_model_dir, data, tmp_path / "output"), "--max_steps", "12"]
    words += deepspeed
    done = run_selfcog(words, tmp_path, NPROC_PER_NODE="2")
    assert done.returncode == 0, done.stderr[-3000:]
    last = closing_path(done.stdout, "last_model_checkpoint")
    assert last.name == "checkpoint-12"
    assert "gloo" in done.stdout
    assert ("--deepspeed zero3: done by PyTorch's FSDP2" in done.stdout) == bool(deepspeed)
    start = next(event for event in read_events(last.parent) if event["event"] == "start")
    assert start["world_size"] == 2 and start["examples_per_step"] == 16


@pytest.mark.slow
def test_two_nodes_meet_at_the_first_ones_address(tiny_model_dir: Path, tmp_path: Path) -> None:
    """Two launchers on one machine, as a scheduler starts one on each node."""
    data = tmp_path / "rows.jsonl"
    rows = [{"query": f"q {n}", "response": f"a {n}"} for n in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = f"sft --model {tiny_model_dir} --dataset {data} --max_steps 3 --replay_sample 0"
    nodes = {"NPROC_PER_NODE": "1", "NNODES": "2", "MASTER_ADDR": "127.0.0.1"}
    nodes["MASTER_PORT"] = str(find_port())
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(
            lambda rank: run_selfcog(words.split(" "), tmp_path, **nodes, NODE_RANK=rank), "01"
        )
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    last = closing_path(first.stdout, "last_model_checkpoint")
    assert "last_model_checkpoint" not in second.stdout
    start = next(event for event in read_events(last.parent) if event["event"] == "start")
    assert start["world_size"] == 2


def test_the_first_infer_line_talks_to_the_base(tiny_model_dir: Path, tmp_path: Path) -> None:
    words = f"infer --model_type qwen1half-14b-chat --model_id_or_path {tiny_model_dir}"
    done = run_selfcog([*words.split(" "), "--max_new_tokens", "8"], tmp_path, stdin="你是谁?\n")
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_failed_run_ends_with_an_error_code(tiny_model_dir: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"query": "a", "respnse": "b"}\n' * 4, encoding="utf-8")
    words = ["sft", "--model", str(tiny_model_dir), "--dataset", str(data)]
    alone = run_selfcog(words, tmp_path)
    assert alone.returncode == 1
    assert "respnse" in alone.stderr and "response" in alone.stderr
    assert len(alone.stderr.strip().splitlines()) == 1
    ranks = run_selfcog(words, tmp_path, NPROC_PER_NODE="2")
    assert ranks.returncode != 0
