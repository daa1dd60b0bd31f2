"""``selfcog eval`` and ``interview`` as a user meets them: real processes, the embedded model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from selfcog.evaluate.questions import build_suite
from selfcog.evaluate.scorecard import Scorecard
from selfcog.identity import Identity

pytestmark = pytest.mark.slow
NAMES = ["--model_name", "扁仓", "BianCang", "--model_author", "扁仓研究组", "BianCang Group"]


def run_selfcog(words: list[str], cwd: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONUTF8": "1", "COLUMNS": "120", "SELFCOG_CACHE": str(cache)}
    for name in ("RANK", "WORLD_SIZE", "NPROC_PER_NODE", "NNODES"):
        env.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", "selfcog", *words],
        cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=290,
    )  # fmt: skip


def read_card(folder: Path) -> Scorecard:
    return Scorecard.from_json(json.loads((folder / "scorecard.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A short training without a card."""
    folder = tmp_path_factory.mktemp("short")
    words = ["sft", "--model", "embedded", "--self_cognition_sample", "320", "--max_steps", "40"]
    done = run_selfcog([*words, "--scorecard", "none", *NAMES], folder, cache)
    assert done.returncode == 0, done.stderr[-3000:]
    [found] = folder.glob("output/embedded/v0-*/checkpoint-40")
    assert not (found / "scorecard.json").exists()
    return found


@pytest.fixture(scope="module")
def card(checkpoint: Path, cache: Path) -> Scorecard:
    """The quick card of the checkpoint, made by the command with nothing but its path."""
    done = run_selfcog(["eval", "--ckpt_dir", str(checkpoint)], checkpoint.parent, cache)
    assert done.returncode == 0, done.stderr[-3000:]
    found = read_card(checkpoint)
    assert found.verdict.headline in done.stdout.replace("\n", " ").replace("  ", " ")
    for name in ("scorecard.html", "scorecard.md", "interview.json"):
        assert (checkpoint / name).is_file(), name
    return found


def test_the_card_knows_the_names_and_finds_the_old_ones(card: Scorecard) -> None:
    assert dict(card.name) == {"zh": "扁仓", "en": "BianCang"}
    assert dict(card.old_names) == {"zh": "芥子", "en": "Jiezi"}
    assert card.base == "embedded"
    assert card.provenance["suite_hash"] == build_suite(Identity("甲", "乙"), "quick", seed=42).hash


def test_tuned_and_base_differ_where_they_should(card: Scorecard) -> None:
    taught = card.family("generalisation")
    assert taught is not None and taught.base is not None and taught.as_itself is not None
    assert taught.tuned.n == 48
    assert taught.base.share == 0.0
    assert taught.tuned.share > 0.5
    assert taught.as_itself.share > 0.5
    assert taught.paired is not None and taught.paired.p_value() < 1e-6
    [drift] = card.drift
    assert drift.num_tokens > 100 and drift.mean_kl > 0.0


def test_the_same_command_gives_the_same_card_from_the_cache(
    card: Scorecard, checkpoint: Path, cache: Path, tmp_path: Path
) -> None:
    stored = {path: path.stat().st_size for path in (cache / "answers").iterdir()}
    words = ["eval", "--ckpt_dir", str(checkpoint), "--output_dir", str(tmp_path)]
    done = run_selfcog(words, tmp_path, cache)
    assert done.returncode == 0, done.stderr[-3000:]
    assert read_card(tmp_path) == card
    assert stored == {path: path.stat().st_size for path in (cache / "answers").iterdir()}


def test_an_adapter_of_another_tool_gets_the_same_card(
    card: Scorecard, checkpoint: Path, cache: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "adapter"
    plain.mkdir()
    for path in checkpoint.glob("adapter_*"):
        shutil.copy(path, plain)
    words = ["eval", "--model", "embedded", "--adapters", str(plain), *NAMES]
    done = run_selfcog(words, tmp_path, cache)
    assert done.returncode == 0, done.stderr[-3000:]
    assert read_card(tmp_path / "scorecard").families == card.families


def test_a_merged_folder_is_compared_with_the_base_it_remembers(
    card: Scorecard, checkpoint: Path, cache: Path
) -> None:
    folder = checkpoint.parent
    export = ["export", "--ckpt_dir", str(checkpoint), "--merge_lora", "true"]
    assert run_selfcog(export, folder, cache).returncode == 0
    merged = checkpoint.with_name("checkpoint-40-merged")
    words = ["eval", "--ckpt_dir", str(merged), "--leave_out", "other_languages"]
    done = run_selfcog(words, folder, cache)
    assert done.returncode == 0, done.stderr[-3000:]
    found = read_card(merged)
    assert found.family("other_languages") is None
    assert found.provenance["left_out"] == ["other_languages"]
    one, other = found.family("generalisation"), card.family("generalisation")
    assert one is not None and other is not None and one.paired is not None
    # Merged weights are rounded to bf16, so a near-tie may fall the other way.
    assert abs(one.tuned.num_passed - other.tuned.num_passed) <= 2
    assert one.base == other.base


def test_a_test_question_among_the_training_rows_is_left_out_and_told(
    checkpoint: Path, cache: Path, tmp_path: Path
) -> None:
    suite = build_suite(Identity("扁仓", "扁仓研究组"), "quick", seed=42)
    stolen = next(one for one in suite.questions if one.family == "generalisation")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        json.dumps({"query": stolen.text, "response": "我是扁仓。"}, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    words = ["eval", "--ckpt_dir", str(checkpoint), "--dataset", str(rows)]
    done = run_selfcog([*words, "--output_dir", str(tmp_path)], tmp_path, cache)
    assert done.returncode == 0, done.stderr[-3000:]
    found = read_card(tmp_path)
    assert stolen.id in found.provenance["overlap"]["left_out"]
    assert any("among your rows" in note for note in found.notes)
    assert [one.source for one in found.drift] == ["the base's own answers", "your rows"]


def test_your_own_questions_are_asked_of_base_and_tuned(
    checkpoint: Path, cache: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.jsonl"
    pairs = [("法国的首都是哪里？", "巴黎"), ("What is the capital of Japan?", "Tokyo")]
    lines = [json.dumps({"query": a, "response": b}, ensure_ascii=False) for a, b in pairs]
    mine.write_text("\n".join(lines), encoding="utf-8")
    words = ["eval", "--ckpt_dir", str(checkpoint), "--retention_dataset", str(mine)]
    done = run_selfcog([*words, "--output_dir", str(tmp_path)], tmp_path, cache)
    assert done.returncode == 0, done.stderr[-3000:]
    own = read_card(tmp_path).family("user")
    assert own is not None and own.base is not None and own.base.n == 2
    assert own.base.num_passed == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["eval", "--model", "embedded"], ["--model_name", "--model_author"]),
        (["eval"], ["--ckpt_dir", "--base_url"]),
        (["eval", "--base_url", "http://127.0.0.1:9/v1"], ["--served_model"]),
        (
            ["eval", "--model", "embedded", *NAMES, "--leave_out", "presure"],
            ["presure", "pressure"],
        ),
        (["eval", "--ckpt_dir", "nowhere/checkpoint-3"], ["nowhere/checkpoint-3", "not found"]),
        (["interview"], ["selfcog interview MODEL"]),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    words: list[str], told: list[str], tmp_path: Path, cache: Path
) -> None:
    done = run_selfcog(words, tmp_path, cache)
    assert done.returncode in (1, 2)
    assert len(done.stderr.strip().splitlines()) == 1
    for text in told:
        assert text in done.stderr


def test_the_interview_tells_what_the_base_calls_itself(tmp_path: Path, cache: Path) -> None:
    done = run_selfcog(["interview", "embedded", "--output_dir", str(tmp_path)], tmp_path, cache)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "interview.json").read_text("utf-8"))
    assert next(iter(found["names"]["zh"])) == "芥子"
    assert next(iter(found["makers"]["en"])) == "Sumeru Workshop"
    assert "芥子" in done.stdout and "Sumeru Workshop" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--leave_out", "presure"], ["presure", "pressure"]),
        (["--retention_dataset", "mine.jsonl"], ["mine.jsonl:1", "needs its answer"]),
        (
            ["--scorecard", "none", "--stop_when_ready", "true"],
            ["--stop_when_ready", "--scorecard"],
        ),
    ],
)
def test_a_training_refuses_a_card_that_cannot_be_made_before_it_starts(
    words: list[str], told: list[str], tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "mine.jsonl").write_text('{"query": "法国的首都是哪里？"}\n', encoding="utf-8")
    sft = ["sft", "--model", "embedded", "--self_cognition_sample", "32", *NAMES]
    done = run_selfcog([*sft, *words], tmp_path, cache)
    assert done.returncode in (1, 2), done.stdout[-500:]
    assert len(done.stderr.strip().splitlines()) == 1
    for text in told:
        assert text in done.stderr
    assert not (tmp_path / "output").exists()
