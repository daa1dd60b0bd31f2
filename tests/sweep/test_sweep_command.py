"""``selfcog sweep`` as a user runs it, with real trainings of the model that ships along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import made_up
import pytest

from selfcog.cli import run_verb
from selfcog.commands import sweep
from selfcog.config.load import dump_yaml, load_config, parse_command
from selfcog.errors import ConfigError, ModelError
from selfcog.evaluate.scorecard import Scorecard
from selfcog.sweep.scores import Scores

# What is asked is cut down to what the sweep looks at, in one language: a card takes seconds.
QUICK = {
    "languages": ("en",),
    "max_steps": 4,
    "leave_out": (
        "reliability", "portability", "other_languages", "are_you", "pressure", "multi_turn",
        "system_slot", "reverse", "refusal", "benign", "unsolicited", "choice",
    ),
    "base_worded": False,
    "check_known": False,
    "replay_sample": 0,
    "search_scale": False,
}  # fmt: skip


def run_sweep(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONUTF8": "1", "COLUMNS": "200"}
    for name in ("RANK", "WORLD_SIZE", "NPROC_PER_NODE", "NNODES"):
        env.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", "selfcog", "sweep", "--config", "sft.yaml", *words],
        cwd=folder, env=env, capture_output=True, text=True, timeout=280,
    )  # fmt: skip


@pytest.mark.slow
def test_a_sweep_from_the_grid_to_the_chosen_settings(tmp_path: Path) -> None:
    base = made_up.settings(**QUICK)
    (tmp_path / "sft.yaml").write_text(dump_yaml(base), encoding="utf-8")
    rates = ("--sweep_learning_rate", "2e-3", "1e-3")
    # At the third rate the weights overflow: a trial that fails by itself, as real ones do.
    done = run_sweep(tmp_path, *rates, "1e30", "--num_workers", "2")
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    folder = tmp_path / "sweep"
    data = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    first, second, wild = data["points"]
    assert [one["num_measured"] for one in data["points"]] == [1, 1, 0]
    assert wild["trials"][0]["exit_code"] == 1
    assert wild["trials"][0]["message"] in done.stdout
    assert first["drift"]["mean"] > second["drift"]["mean"] > 0
    assert "no point is fit" in done.stdout, "four steps teach nothing"

    checkpoint = folder / data["choice"]["checkpoint"]
    card = json.loads((checkpoint / "scorecard.json").read_text(encoding="utf-8"))
    chosen = next(one for one in data["points"] if one["is_chosen"])
    assert chosen["trials"][0]["scores"] == Scores.of(Scorecard.from_json(card)).to_json()
    assert "step 4/4" in (checkpoint.parents[1] / "log.txt").read_text(encoding="utf-8")
    again = load_config(folder / "config.yaml")
    assert again.train.learning_rate == chosen["values"]["learning_rate"]
    assert again.output == base.output
    trained = load_config(checkpoint.parents[1] / "config.yaml")
    assert trained == again.model_copy(update={"output": trained.output})
    assert (folder / "pareto.png").is_file()

    # The trials that are done are not trained again; without the wild one all is well.
    before = {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/result.json")}
    assert len(before) == 2
    done = run_sweep(tmp_path, *rates)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "done already: 2;" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before

    done = run_sweep(tmp_path, *rates, "--lora_rank", "8")
    assert done.returncode == 2
    assert "lora_rank was 16, now 8" in done.stderr


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--scorecard", "none"], ConfigError, "a sweep compares scorecards"),
        (["--resume_from_checkpoint", "run"], ConfigError, "cannot be swept over"),
        (["--model", "./nowhere"], ModelError, "nowhere"),
        (["--leave_out", "reliabilty"], Exception, "reliability"),
    ],
)
def test_what_a_trial_would_be_refused_for_is_refused_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sft.yaml").write_text(dump_yaml(made_up.settings()), encoding="utf-8")
    with pytest.raises(error, match=message):
        run_verb("sweep", ["sft.yaml", "--sweep_seeds", "1", "2", *words])
    assert not (tmp_path / "sweep").exists()


def test_several_processes_a_trial_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPROC_PER_NODE", "2")
    with pytest.raises(ConfigError, match="unset NPROC_PER_NODE"):
        sweep.check_trial(made_up.settings())


def test_the_back_end_is_chosen_by_the_address() -> None:
    words = ["--model", "embedded", "--dataset", "x", "--num_workers", "3"]
    local = sweep.make_backend(parse_command("sweep", words).config)
    assert "3 at once" in local.about
    far = sweep.make_backend(
        parse_command("sweep", [*words, "--ray_address", "10.0.0.7:6379"]).config
    )
    assert far.about == "on the Ray cluster 10.0.0.7:6379"
