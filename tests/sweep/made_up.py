"""Made-up settings, scores and cards, and a ``selfcog`` that pretends to train.

`pretend` puts a package of that name into the working folder: ``python -m selfcog sft`` then runs
it instead. It obeys --max_steps: 13 crashes, 99 sleeps, all others leave a run with a card whose
drift is max_steps / 1000.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from selfcog.config.load import make_config
from selfcog.config.schema import SftConfig
from selfcog.evaluate.likelihood import Drift
from selfcog.evaluate.scorecard import FamilyScore, Pool, Scorecard, Verdict
from selfcog.evaluate.stats import PairedRates, Rate
from selfcog.sweep import Scores, TrialResult
from selfcog.sweep.choice import PointScore

N = 50

PRETENDER = """
import json, os, pathlib, subprocess, sys, time
import yaml
settings = yaml.safe_load(open(sys.argv[sys.argv.index("--config") + 1], encoding="utf-8"))
steps, run = settings["train"]["max_steps"], pathlib.Path(settings["output"]["output_dir"])
print("steps", steps, "seed", settings["train"]["seed"], flush=True)
print(json.dumps({name: os.environ.get(name) for name in
    ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "RANK", "NPROC_PER_NODE")}), flush=True)
assert not run.exists(), "left over from an earlier attempt"
if steps == 13:
    print("selfcog: error: thirteen is too much", file=sys.stderr)
    sys.exit(3)
if steps == 99:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pathlib.Path("pids").open("a").write(f"{os.getpid()} {child.pid}\\n")
    time.sleep(60)
checkpoint = run / "checkpoint-7"
checkpoint.mkdir(parents=True)
(run / "run.json").write_text(json.dumps({"best_model_checkpoint": str(checkpoint)}))
card = json.loads(pathlib.Path("card.json").read_text(encoding="utf-8"))
card["drift"][0]["mean_kl"] = steps / 1000
(checkpoint / "scorecard.json").write_text(json.dumps(card))
"""


def settings(**values: Any) -> SftConfig:
    """Settings of a small training of the model that ships along."""
    given = {
        "model": "embedded",
        "model_name": ("小黄", "Xiao Huang"),
        "model_author": ("某组", "Some Group"),
        "self_cognition_sample": 20,
        **values,
    }
    config = make_config("sft", given)
    assert isinstance(config, SftConfig)
    return config


def card(identity: int = 45, kl: float = 0.02, *, fit: bool = True) -> Scorecard:
    """``identity`` of N questions right in each language."""
    families = [
        FamilyScore("generalisation", language, Rate(count * identity, count * N))
        for language, count in (("all", 2), ("zh", 1), ("en", 1))
    ]
    pair = PairedRates(30, 2, 1, 5)
    families += [
        FamilyScore(name, "all", pair.tuned, pair.base, pair) for name in ("locality", "exact")
    ]
    return Scorecard(
        {"zh": "小黄"},
        {"zh": "某组"},
        "tuned",
        "base",
        "quick",
        tuple(families),
        Pool(Rate(1, 100), 0.05, 1, 0.0),
        Rate(0, 28),
        (
            Drift("the base's own answers", 8, 100, kl, 0.1, 0.98, 1.0),
            Drift("your rows", 8, 100, 9.0, 9.0, 0.1, 1.0),
        ),
        verdict=Verdict(fit, "fit to ship" if fit else "not fit yet"),
    )


def result(
    identity: int = 45, kl: float = 0.02, *, fit: bool = True, name: str = "one", folder: str = "/x"
) -> TrialResult:
    scores = Scores.of(card(identity, kl, fit=fit))
    return TrialResult(name, folder, "done", 0, 12.0, checkpoint="run/checkpoint-7", scores=scores)


def failed(name: str = "lost", folder: str = "/x") -> TrialResult:
    return TrialResult(name, folder, "failed", 1, 3.0, "exit code 1: out of memory")


def point(steps: int, *results: TrialResult) -> PointScore:
    return PointScore({"max_steps": steps}, results)


def pretend(folder: Path) -> None:
    package = folder / "selfcog"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PRETENDER, encoding="utf-8")
    (folder / "card.json").write_text(json.dumps(card().to_json()), encoding="utf-8")
