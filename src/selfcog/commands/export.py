"""``selfcog export --merge_lora true``: checkpoint-N → checkpoint-N-merged.

The merged folder is complete and needs no selfcog; greedy answers before and after are compared.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from selfcog.config.load import Parsed
from selfcog.config.schema import ExportConfig
from selfcog.console import make_console, print_notes
from selfcog.errors import ConfigError, ExportError
from selfcog.model.locate import ModelPaths, fetch_model, resolve_model
from selfcog.runs import CheckpointInfo

if TYPE_CHECKING:
    from rich.console import Console

    from selfcog.export.merge import MergeResult


def run(config: ExportConfig) -> MergeResult:
    """Merge, say where the result lies and what to type next."""
    from selfcog.export.merge import MergeOptions, merge_checkpoint

    if not config.merge_lora:
        raise ConfigError("nothing to do: merging is the only export so far; add --merge_lora true")
    folder = config.ckpt_dir or config.adapters
    paths = resolve_model(config.model, config.model_revision, ckpt_dir=folder)
    if paths.adapter is None:
        raise ExportError(explain_nothing_to_merge(paths))
    paths = fetch_model(paths)
    assert paths.adapter is not None
    console = make_console()
    console.print(f"merging {paths.adapter} into {paths.name}", markup=False)
    result = merge_checkpoint(
        paths.adapter,
        paths.path,
        Path(config.output_dir).expanduser() if config.output_dir else None,
        options=MergeOptions(
            torch_dtype=config.torch_dtype,
            max_shard_size=config.max_shard_size,
            check=config.check_answers,
            exist_ok=config.exist_ok,
            system=config.system,
            trust_remote_code=config.trust_remote_code,
        ),
        info=describe(paths),
        say=lambda line: console.print(f"note: {line}", markup=False),
    )
    show(console, result)
    return result


def describe(paths: ModelPaths) -> CheckpointInfo:
    """What the merged folder remembers: the checkpoint's own facts, and the base really used."""
    if paths.info is None:
        return CheckpointInfo(paths.name, "lora", base_revision=paths.revision)
    return replace(paths.info, base_model=paths.name, base_revision=paths.revision)


def explain_nothing_to_merge(paths: ModelPaths) -> str:
    if paths.info is not None and paths.info.merged_from is not None:
        kind = f"is a merged model already (from {paths.info.merged_from})"
    else:
        kind = "holds full weights, no adapter"
    return (
        f"nothing to merge: {paths.path} {kind}; use it as it is: "
        f"selfcog infer --ckpt_dir {paths.path}"
    )


def show(console: Console, result: MergeResult) -> None:
    size = (
        f"{result.num_bytes / 1e9:.2f} GB"
        if result.num_bytes >= 1e8
        else (f"{result.num_bytes / 1e6:.1f} MB")
    )
    what = f"{result.num_patched} of {result.num_tensors} tensors changed, {size}"
    console.print(f"{result.status}: {what}", markup=False)
    if result.check is not None:
        check = result.check
        console.print(
            f"check: {check.num_equal} of {check.num_questions} greedy answers equal before and "
            f"after; logits differ by at most {check.max_logit_diff:.2g}, on average by "
            f"{check.noise:.2g} of what the adapter changes",
            markup=False,
        )
        for line in check.differing:
            console.print(f"  a near-tie fell the other way: {line}", markup=False)
    relative = os.path.relpath(result.path)
    path = relative if len(relative) < len(str(result.path)) else str(result.path)
    console.print(f"merged model: {path}", markup=False)
    console.print(f"next: selfcog infer --ckpt_dir {path}", markup=False)


def main(parsed: Parsed[ExportConfig]) -> int:
    print_notes(parsed.notices)
    run(parsed.config)
    return 0
