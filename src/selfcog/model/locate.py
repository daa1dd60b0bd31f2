"""Which folder a model or checkpoint name means. No torch, no network before ``fetch_model``.

A name is a folder, a hub id (``org/name``, ``hf::org/name``, ``ms::org/name``) or ``embedded``
(a folder of that name is ``./embedded``).
A text that looks like a path and does not exist is an error at once; it never becomes a hub id.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from selfcog.errors import MissingExtraError, ModelError, first_line
from selfcog.runs import CHECKPOINT_NAME, CheckpointInfo

EMBEDDED = "embedded"
EMBEDDED_FOLDER = Path(__file__).parent / "embedded"
ADAPTER_CONFIG = "adapter_config.json"
MODEL_CONFIG = "config.json"
HUB_PART = re.compile(r"[A-Za-z0-9][\w.\-]*$")
# What a hub download leaves out: other formats of the same weights, and pickles.
HUB_IGNORED = ["*.bin", "*.pt", "*.pth", "*.ckpt", "*.gguf", "*.onnx", "*.h5", "*.msgpack"]


@dataclass(frozen=True, slots=True)
class ModelPaths:
    """Where a model lies.

    ``path`` is the folder of the full weights, ``adapter`` that of a LoRA adapter for them.
    ``name`` is the base as a checkpoint should remember it: an absolute path, a hub id, embedded.
    ``label`` names the model in output paths. ``info`` is what the checkpoint remembers.
    While ``hub_id`` is set nothing is downloaded yet and ``path`` is no folder: ``fetch_model``.
    """

    path: Path
    label: str
    name: str
    adapter: Path | None = None
    info: CheckpointInfo | None = None
    revision: str | None = None
    hub_id: str | None = None


def resolve_model(
    name: str | None = None,
    revision: str | None = None,
    ckpt_dir: str | Path | None = None,
) -> ModelPaths:
    """What ``name`` and ``ckpt_dir`` mean together; nothing is downloaded.

    ``ckpt_dir`` may be an adapter (its base is ``name`` if given, else what the checkpoint
    remembers), a folder of full weights, or a run directory (its best, else last checkpoint).
    ``name`` alone may be an adapter folder too. Raises ModelError.
    """
    if ckpt_dir is None:
        if name is None:
            raise ModelError("no model is named; give --model, or --ckpt_dir of a checkpoint")
        base = _resolve_base(name, revision)
        if base.hub_id is None and base.path.is_dir() and not (base.path / MODEL_CONFIG).is_file():
            return _resolve_checkpoint(base.path, None, revision)
        if base.hub_id is None:
            check_weights(base.path)
            return replace(base, info=CheckpointInfo.read(base.path))
        return base
    folder = Path(ckpt_dir).expanduser()
    if not folder.exists():
        raise ModelError(_missing_path(str(ckpt_dir), "checkpoint"))
    return _resolve_checkpoint(folder, name, revision)


def fetch_model(paths: ModelPaths) -> ModelPaths:
    """The same paths, with the hub id downloaded (or found in the hub's cache) first.

    Raises ModelError when the hub cannot be reached or has no such model.
    """
    if paths.hub_id is None:
        return paths
    source, _, repo = paths.hub_id.rpartition("::")
    folder = _download_ms(repo, paths.revision) if source == "ms" else _download_hf(repo, paths)
    check_weights(folder)
    return replace(paths, path=folder, hub_id=None)


def check_weights(folder: Path) -> None:
    """Raise ModelError unless ``folder`` is a complete checkpoint in safetensors."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is a file; a model is the folder with {MODEL_CONFIG} in it")
    if not (folder / MODEL_CONFIG).is_file():
        raise ModelError(f"{folder} has no {MODEL_CONFIG}; {_list_content(folder)}")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(read_json(index).get("weight_map", {}).values()))
        missing = [shard for shard in shards if not (folder / shard).is_file()]
        if missing or not shards:
            found = f"{len(missing)} of {len(shards)} weight files are missing"
            raise ModelError(f"{folder}: {found} ({', '.join(missing[:3])}); copy them again")
    elif not any(folder.glob("*.safetensors")):
        if any(folder.glob("pytorch_model*.bin")) or any(folder.glob("*.pt")):
            raise ModelError(
                f"{folder} has its weights as pickle (.bin, .pt) files only, which can run code "
                "and are not loaded; convert them to safetensors"
            )
        raise ModelError(f"{folder} has no *.safetensors weights; {_list_content(folder)}")


def find_checkpoint(folder: Path) -> Path:
    """The checkpoint that ``folder`` means: itself, its ``default/`` part, or a run's best.

    Raises ModelError that says what was found instead.
    """
    for candidate in (folder, folder / "default"):
        if (candidate / ADAPTER_CONFIG).is_file() or (candidate / MODEL_CONFIG).is_file():
            return candidate
    if not folder.is_dir():
        raise ModelError(f"{folder} is a file; --ckpt_dir is a checkpoint folder")
    steps = sorted(
        (int(match.group(1)), entry)
        for entry in folder.iterdir()
        if (match := CHECKPOINT_NAME.match(entry.name))
        and ((entry / ADAPTER_CONFIG).is_file() or (entry / MODEL_CONFIG).is_file())
    )
    if steps:
        return _best_of_run(folder) or steps[-1][1]
    raise ModelError(
        f"{folder} holds no checkpoint (no {ADAPTER_CONFIG}, {MODEL_CONFIG} or checkpoint-N/); "
        f"{_list_content(folder)}"
    )


def label_of(name: str) -> str:
    """The last part of a path or hub id, for output folders."""
    text = name.rpartition("::")[2]
    return EMBEDDED if name == EMBEDDED else Path(text).expanduser().resolve().name or "model"


def _resolve_checkpoint(folder: Path, name: str | None, revision: str | None) -> ModelPaths:
    checkpoint = find_checkpoint(folder)
    info = CheckpointInfo.read(checkpoint) or CheckpointInfo.read(folder)
    if not (checkpoint / ADAPTER_CONFIG).is_file():
        check_weights(checkpoint)
        base_name = info.base_model if info else str(checkpoint)
        return ModelPaths(checkpoint, label_of(str(checkpoint)), base_name, info=info)
    if not (checkpoint / "adapter_model.safetensors").is_file():
        if (checkpoint / "adapter_model.bin").is_file():
            raise ModelError(
                f"{checkpoint} has its adapter as a pickle (adapter_model.bin), which can run "
                "code and is not loaded; convert it to adapter_model.safetensors"
            )
        raise ModelError(f"{checkpoint} has no adapter_model.safetensors; the adapter is damaged")
    if name is not None:
        base = _resolve_base(name, revision)
    else:
        remembered = info.base_model if info else _base_of_adapter(checkpoint)
        try:
            base = _resolve_base(remembered, revision or (info.base_revision if info else None))
        except ModelError as error:
            raise ModelError(f"the base of {checkpoint}: {error}; name it with --model") from None
    if base.hub_id is None:
        check_weights(base.path)
    return replace(base, adapter=checkpoint, info=info)


def _base_of_adapter(checkpoint: Path) -> str:
    base = read_json(checkpoint / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not base:
        raise ModelError(
            f"{checkpoint / ADAPTER_CONFIG} does not say which base model the adapter is for; "
            "give --model"
        )
    return str(base)


def _resolve_base(name: str, revision: str | None) -> ModelPaths:
    """A folder, an id or ``embedded``; the folder's content is not looked at."""
    if name == EMBEDDED:
        if not (EMBEDDED_FOLDER / MODEL_CONFIG).is_file():
            raise ModelError(f"the embedded model is not installed ({EMBEDDED_FOLDER} is empty)")
        return ModelPaths(EMBEDDED_FOLDER, EMBEDDED, EMBEDDED)
    source, _, repo = name.rpartition("::")
    if source in ("hf", "ms"):
        if not _is_hub_id(repo):
            raise ModelError(f"{name!r} is no hub id; write {source}::org/name")
        return ModelPaths(Path(repo), label_of(name), name, revision=revision, hub_id=name)
    path = Path(name).expanduser()
    if path.exists():
        return ModelPaths(path, label_of(name), str(path.resolve()))
    if _looks_like_path(name):
        raise ModelError(_missing_path(name, "model"))
    if _is_hub_id(name):
        return ModelPaths(Path(name), label_of(name), name, revision=revision, hub_id=name)
    near = difflib.get_close_matches(name, [EMBEDDED, *_siblings(path)], 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ModelError(
        f"model {name!r} not found: no folder of this name here, and a hub id is org/name{hint}"
    )


def _looks_like_path(name: str) -> bool:
    if name.startswith((".", "~", os.sep)) or name.endswith("/") or name.count("/") > 1:
        return True
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        return True
    return "/" in name and Path(name).parent.is_dir()


def _is_hub_id(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 2 and all(HUB_PART.match(part) for part in parts)


def _missing_path(name: str, what: str) -> str:
    """``what`` not found, with the part of the path that does exist and its nearest entry."""
    path = Path(name).expanduser()
    missing = path
    while not missing.parent.exists() and missing.parent != missing:
        missing = missing.parent
    near = difflib.get_close_matches(missing.name, _siblings(missing), 1, cutoff=0.5)
    if near:
        hint = f"did you mean {missing.parent / near[0]}?"
    elif missing == path:
        hint = f"{missing.parent.resolve()} exists but has no {path.name!r}"
    else:
        hint = f"{missing} does not exist either"
    return f"{what} folder {name} not found; {hint}"


def _siblings(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []


def _best_of_run(run: Path) -> Path | None:
    """The best checkpoint that the run's last "end" event names, if it is still there."""
    events = run / "events.jsonl"
    if not events.is_file():
        return None
    best: Path | None = None
    for line in events.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue  # a run that was killed may end in half a line
        if event.get("event") == "end" and event.get("best_checkpoint"):
            # By name: the run directory may have been moved since.
            best = run / Path(event["best_checkpoint"]).name
    return best if best is not None and best.is_dir() else None


def _list_content(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    shown = ", ".join(names[:6]) + (" …" if len(names) > 6 else "")
    return f"found: {shown}" if names else "the folder is empty"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of a model folder. Raises ModelError where it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not JSON ({error}); the file is damaged") from None
    if not isinstance(data, dict):
        raise ModelError(f"{path} is not a JSON object; the file is damaged")
    return data


def _download_hf(repo: str, paths: ModelPaths) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(repo, revision=paths.revision, ignore_patterns=HUB_IGNORED)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = first_line(error)
        raise ModelError(
            f"hub model {repo} could not be downloaded ({reason}); give the path of a folder, "
            "or check the id and the network"
        ) from None
    return Path(folder)


def _download_ms(repo: str, revision: str | None) -> Path:
    try:
        snapshot_download = import_module("modelscope").snapshot_download
    except ImportError:
        raise MissingExtraError(
            f'ms::{repo} needs the modelscope package: pip install "selfcog[modelscope]"'
        ) from None
    return Path(snapshot_download(repo, revision=revision))
