"""Who is compared: the tools, the settings that are tried, and their command lines.

Every tool trains the same rows with LoRA of rank 8 on all linear layers, without dropout, the same
examples a step and a constant rate of 1e-4. What is left is the tool's own default, but for the
flags that name a setting.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.models import LORA_ALPHA, LORA_RANK, TrainingRows

DRIVERS = Path(__file__).parent / "drivers"
PROBE = str(DRIVERS / "probe.py")
SCRIPT = str(DRIVERS / "cli.py")
OURS = "selfcog"


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool. ``package`` is what must be importable, ``versions`` what the report names."""

    title: str
    package: str
    versions: tuple[str, ...]


PEERS = {
    OURS: Peer("selfcog", "selfcog", ("selfcog", "torch", "transformers", "peft", "accelerate")),
    "hf": Peer("HF Trainer + peft", "peft", ("torch", "transformers", "peft", "accelerate")),
    "trl": Peer("TRL", "trl", ("trl", "torch", "transformers", "peft")),
    "swift": Peer("ms-swift", "swift", ("ms-swift", "torch", "transformers", "peft", "trl")),
    "llamafactory": Peer(
        "LLaMA-Factory", "llamafactory", ("llamafactory", "torch", "transformers", "peft")
    ),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One way of running a tool: ``batch`` examples at once, and further flags.

    ``keep``: needed for a bar, so repeated even where another setting is faster. ``after``: only
    tried where the setting of that name did not run out of memory.
    """

    peer: str
    name: str
    batch: int = 1
    flags: tuple[str, ...] = ()
    keep: bool = False
    after: str = ""

    @property
    def label(self) -> str:
        return f"{PEERS[self.peer].title}, {self.name}"


SETTINGS = (
    Setting(OURS, "default", keep=True),
    Setting(OURS, "bfloat16", flags=("--torch_dtype", "bfloat16")),
    Setting(
        OURS,
        "checkpointing",
        flags=("--torch_dtype", "bfloat16", "--gradient_checkpointing", "true"),
        keep=True,
    ),
    Setting("hf", "batch 1"),
    Setting("hf", "batch 4", batch=4),
    Setting("hf", "batch 8 (default)", batch=8, after="batch 4"),
    Setting("trl", "batch 1, bfloat16", flags=("--bfloat16", "--no_checkpointing")),
    Setting("trl", "batch 4, its dtype", batch=4),
    Setting("swift", "default", keep=True),
    Setting("swift", "no checkpointing", flags=("--gradient_checkpointing", "false")),
    Setting("llamafactory", "batch 1", flags=("disable_gradient_checkpointing=true",)),
    Setting("llamafactory", "batch 4, checkpointing", batch=4),
)
# The model that ships along, as ``selfcog demo`` trains it: 16 examples a step, all cores.
DEMO_SETTINGS = (
    Setting(OURS, "the same rows", keep=True),
    Setting("hf", "batch 4", batch=4),
    Setting("hf", "batch 8", batch=8),
    Setting("hf", "batch 16", batch=16),
    Setting(OURS, "with the demo's replay on top", flags=("--replay_sample", "400")),
)


@dataclass(frozen=True, slots=True)
class Job:
    """One training to be run: ``steps`` of ``examples`` each, every row of ``rows`` once."""

    model: Path
    rows: TrainingRows
    steps: int
    examples: int
    folder: Path
    rank: int = LORA_RANK
    alpha: int = LORA_ALPHA
    threads: int | None = 1
    stop_at_first_step: bool = False

    @property
    def probe_result(self) -> Path:
        return self.folder / "probe.json"


@dataclass(frozen=True, slots=True)
class Installed:
    """Interpreters by peer, versions by peer; ``missing``: reasons by peer."""

    pythons: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def of(self, settings: Sequence[Setting]) -> list[Setting]:
        """Those whose tool is there."""
        return [one for one in settings if one.peer in self.pythons]


def find_installed(given: dict[str, str], envs: Path) -> Installed:
    """Where each peer is: as given, else in ``envs/NAME``, else in this very environment."""
    found = Installed()
    for name, peer in PEERS.items():
        own = envs / name / "bin" / "python"
        python = given.get(name) or (str(own) if own.is_file() else sys.executable)
        versions = ask_versions(python, peer)
        if versions is None:
            found.missing[name] = "not installed (benchmarks/peers.md says how)"
        else:
            found.pythons[name] = python
            found.versions[name] = versions
    return found


def ask_versions(python: str, peer: Peer) -> dict[str, str] | None:
    """The versions in another interpreter's environment; None where the package is not there."""
    code = (
        "import importlib.metadata as m, importlib.util as u, json, sys\n"
        "ok = u.find_spec(sys.argv[1]) is not None\n"
        "known = {d.metadata['Name'].lower().replace('_', '-') for d in m.distributions()}\n"
        "print(json.dumps({n: m.version(n) for n in sys.argv[2:] if n in known} if ok else None))"
    )
    try:
        done = subprocess.run(
            [python, "-c", code, peer.package, *peer.versions], capture_output=True, text=True
        )
    except OSError:
        return None
    found: dict[str, str] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return found


def environment(peer: str, threads: int | None, cache: Path) -> dict[str, str]:
    """What a contestant finds in its environment. Peers are told to stay offline; we must."""
    env = {
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
        "SELFCOG_CACHE": str(cache / "selfcog"),
        "HF_HOME": str(cache / "hf"),
        "MODELSCOPE_CACHE": str(cache / "modelscope"),
    }
    if threads is not None:
        env |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    if peer != OURS:
        env |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    return env


def train_command(python: str, setting: Setting, job: Job) -> list[str]:
    """The command that trains ``job``; its folder is made, and files that it needs in there."""
    job.folder.mkdir(parents=True, exist_ok=True)
    probe = [python, PROBE, *(["--stop_at_first_step"] if job.stop_at_first_step else [])]
    probe.append(str(job.probe_result))
    if setting.peer == OURS:
        return [*probe, "module", "selfcog", "sft", *_selfcog_flags(setting, job)]
    if setting.peer in ("hf", "trl"):
        script = str(DRIVERS / f"{setting.peer}_train.py")
        return [*probe, "file", script, *_script_flags(setting, job)]
    if setting.peer == "swift":
        # Without the launcher that ``swift sft`` is: it only imports and starts this module.
        return [*probe, "module", "swift.cli.sft", *_swift_flags(setting, job)]
    settings = job.folder / "train.yaml"
    settings.write_text(_llamafactory_yaml(setting, job), encoding="utf-8")
    return [*probe, "file", SCRIPT, "llamafactory-cli", "train", str(settings)]


def _selfcog_flags(setting: Setting, job: Job) -> list[str]:
    flags = ["--model", str(job.model), "--dataset", str(job.rows.path)]
    flags += ["--split_dataset_ratio", "0", "--lora_rank", str(job.rank)]
    flags += ["--lora_alpha", str(job.alpha), "--global_batch_size", str(job.examples)]
    flags += ["--max_steps", str(job.steps), "--eval_steps", str(job.steps)]
    flags += ["--learning_rate", "1e-4", "--lr_scheduler_type", "constant", "--warmup_ratio", "0"]
    # Nothing beyond the rows: no replay, no questions before or after.
    flags += ["--scorecard", "none", "--search_scale", "false"]
    if "--replay_sample" not in setting.flags:
        flags += ["--replay_sample", "0"]
    flags += ["--progress", "false", "--add_version", "false"]
    flags += ["--output_dir", str(job.folder / "run")]
    if job.threads is not None:
        flags += ["--num_threads", str(job.threads)]
    return [*flags, *setting.flags]


def _script_flags(setting: Setting, job: Job) -> list[str]:
    flags = ["--model", str(job.model), "--rows", str(job.rows.path)]
    flags += ["--batch", str(setting.batch), "--accumulation", str(accumulation(setting, job))]
    flags += ["--steps", str(job.steps), "--rank", str(job.rank), "--alpha", str(job.alpha)]
    return [*flags, "--output", str(job.folder / "run"), *setting.flags]


def _swift_flags(setting: Setting, job: Job) -> list[str]:
    flags = ["--model", str(job.model), *SWIFT_MODEL, "--dataset", str(job.rows.path)]
    flags += ["--check_model", "false"]  # or it would ask its hub
    flags += ["--tuner_type", "lora", "--lora_rank", str(job.rank)]
    flags += ["--lora_alpha", str(job.alpha), "--lora_dropout", "0"]
    flags += ["--target_modules", "all-linear", "--max_length", "2048", "--use_cpu", "true"]
    flags += ["--split_dataset_ratio", "0", "--per_device_train_batch_size", str(setting.batch)]
    flags += ["--gradient_accumulation_steps", str(accumulation(setting, job))]
    flags += ["--max_steps", str(job.steps), "--learning_rate", "1e-4"]
    flags += ["--lr_scheduler_type", "constant", "--warmup_ratio", "0", "--save_strategy", "no"]
    flags += ["--dataloader_num_workers", "0", "--report_to", "none", "--add_version", "false"]
    return [*flags, "--output_dir", str(job.folder / "run"), *setting.flags]


# The folder's name says nothing to ms-swift.
SWIFT_MODEL = ("--model_type", "qwen2", "--template", "chatml")


def _llamafactory_yaml(setting: Setting, job: Job) -> str:
    """JSON is YAML; LLaMA-Factory wants its data set described in a file beside the rows."""
    info = {
        "rows": {
            "file_name": str(job.rows.path.resolve()),
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }
    }
    (job.folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    settings: dict[str, object] = {
        "model_name_or_path": str(job.model),
        "template": "qwen",
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": job.rank,
        "lora_alpha": job.alpha,
        "lora_target": "all",
        "dataset": "rows",
        "dataset_dir": str(job.folder),
        "cutoff_len": 2048,
        "per_device_train_batch_size": setting.batch,
        "gradient_accumulation_steps": accumulation(setting, job),
        "max_steps": job.steps,
        "learning_rate": 1e-4,
        "lr_scheduler_type": "constant",
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "preprocessing_num_workers": 1,
        "dataloader_num_workers": 0,
        "overwrite_cache": True,
        "output_dir": str(job.folder / "run"),
    }
    for flag in setting.flags:
        key, _, value = flag.partition("=")
        settings[key] = json.loads(value)
    return json.dumps(settings, indent=1)


def accumulation(setting: Setting, job: Job) -> int:
    """Micro-batches a step. Raises ValueError where the batches do not make up the step."""
    if job.examples % setting.batch:
        raise ValueError(f"{setting.label}: {job.examples} examples a step are no whole batches")
    return job.examples // setting.batch
