"""``checkpoint-N`` → ``checkpoint-N-merged``: the adapter folded into the base's weights.

The base's safetensors files are copied tensor by tensor and only what the adapter touches is
computed, with peft's own arithmetic (patch.py), so that the memory needed is that of one tensor
and the result is peft's bit for bit. What that path does not know is merged by peft in memory.
A merge that is there already is used again only when adapter, base and settings are the same and
no file is missing; otherwise it is made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from selfcog import __version__
from selfcog.errors import ExportError, first_line
from selfcog.export.adapter_plan import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    AdapterPlan,
    read_adapter_config,
    read_plan,
)
from selfcog.export.check import AnswerCheck, check_answers
from selfcog.export.folder import (
    CONFIG,
    REPORT,
    TOKENIZER_FILES,
    build_beside,
    change_config,
    check_output,
    check_space,
    copy_side_files,
    hash_files,
    is_complete,
    list_files,
    read_json,
    read_report,
)
from selfcog.export.patch import TORCH_NAMES, Merger, to_bytes
from selfcog.export.shards import (
    ELEMENT_BYTES,
    FLOAT_NAMES,
    OutputTensor,
    StoredTensor,
    fingerprint,
    parse_size,
    read_tensors,
    split_shards,
    write_shards,
)
from selfcog.export.tying import Tying, resolve_tying
from selfcog.runs import CheckpointInfo, write_json_atomic

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """How to merge. ``torch_dtype`` "auto" keeps every tensor's own format.

    The base's sharding is kept; files above ``max_shard_size`` are split. ``system`` is the system
    prompt of the answer check; None = the checkpoint's own.
    """

    torch_dtype: str = "auto"
    max_shard_size: str = "5GB"
    check: bool = True
    exist_ok: bool = False
    system: str | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True)
class MergeResult:
    """Where the merged model lies. ``status``: made, redone (something differed) or reused.

    ``num_patched`` of ``num_tensors`` tensors differ from the base's; ``num_bytes`` are weights.
    """

    path: Path
    status: Literal["made", "redone", "reused"]
    num_patched: int
    num_tensors: int
    num_bytes: int
    check: AnswerCheck | None = None
    notices: list[str] = field(default_factory=list)


def merge_checkpoint(
    ckpt: Path,
    base: Path,
    output: Path | None = None,
    *,
    options: MergeOptions | None = None,
    info: CheckpointInfo | None = None,
    say: Say = lambda line: None,
) -> MergeResult:
    """Merge the adapter folder ``ckpt`` into the weights of ``base``; no torch before it is needed.

    ``output`` None: beside the checkpoint, with "-merged" at the end. ``info`` None: what the
    checkpoint's own checkpoint.json says. ``say`` gets one line about each decision.
    Raises ExportError, also when the merged model answers otherwise than base and adapter.
    """
    options = options or MergeOptions()
    config = read_adapter_config(ckpt)
    # Old ms-swift runs keep the adapter in checkpoint-N/default.
    checkpoint = ckpt.parent if ckpt.name == "default" else ckpt
    output = output or checkpoint.with_name(f"{checkpoint.resolve().name}-merged")
    info = info or CheckpointInfo.read(checkpoint) or _foreign_info(config, base)
    system = options.system if options.system is not None else info.system
    earlier = check_output(output, checkpoint, base, exist_ok=options.exist_ok)
    wanted = {
        "adapter_hash": hash_files(ckpt, (ADAPTER_CONFIG, ADAPTER_WEIGHTS)),
        "tokenizer_hash": hash_files(checkpoint, TOKENIZER_FILES),
        "base_fingerprint": fingerprint(base),
        "torch_dtype": options.torch_dtype,
        "max_shard_size": options.max_shard_size,
    }
    if earlier:
        difference = _difference(output, wanted)
        if not difference:
            return _reuse(output, ckpt, base, options, system, say)
        say(f"{output} is an earlier merge; {difference}: merging again")

    plan, tensors, changes = _plan(ckpt, base, options)
    notices = [f"{plan.unsupported}: merging in memory with peft"] if plan.unsupported else []
    if "tie_word_embeddings" in changes:
        notices.append("the adapter changes embedding and output head differently: no longer tied")
    for notice in notices:
        say(notice)
    output.parent.mkdir(parents=True, exist_ok=True)
    num_bytes = sum(tensor.num_bytes for tensor in tensors)
    check_space(output.parent, num_bytes)
    with build_beside(output) as folder:
        if plan.unsupported:
            _merge_in_memory(ckpt, base, folder, tensors, options)
        else:
            shards = _group(tensors, parse_size(options.max_shard_size))
            write_shards(folder, shards)
        copy_side_files(base, checkpoint, folder)
        change_config(folder, changes)
        merged = replace(
            info,
            tuner_type="full",
            merged_from=str(checkpoint.resolve()),
            adapter_hash=wanted["adapter_hash"],
            selfcog_version=__version__,
        )
        merged.write(folder)
        check = None
        # What peft merges is not known to be exact (it doubles a LoRA on tied embeddings).
        if options.check or plan.unsupported:
            check = check_answers(
                ckpt, base, folder, system=system, trust_remote_code=options.trust_remote_code
            )
        result = MergeResult(
            path=output,
            status="redone" if earlier else "made",
            num_patched=sum(tensor.compute is not None for tensor in tensors),
            num_tensors=len(tensors),
            num_bytes=num_bytes,
            check=check,
            notices=notices,
        )
        _write_report(folder, wanted, result)
    return result


def _foreign_info(config: dict[str, Any], base: Path) -> CheckpointInfo:
    return CheckpointInfo(config.get("base_model_name_or_path") or str(base), "lora")


def _difference(output: Path, wanted: dict[str, str]) -> str:
    """What makes the merge at ``output`` another one than is wanted; "" for nothing."""
    report = read_report(output)
    if not report or not is_complete(output, report):
        return "it is incomplete"
    names = {
        "adapter_hash": "the adapter has changed",
        "tokenizer_hash": "the tokenizer or chat template has changed",
        "base_fingerprint": "the base has changed",
        "torch_dtype": "torch_dtype differs",
        "max_shard_size": "max_shard_size differs",
    }
    changed = [text for key, text in names.items() if report.get(key) != wanted[key]]
    return ", ".join(changed)


def _reuse(
    output: Path, ckpt: Path, base: Path, options: MergeOptions, system: str | None, say: Say
) -> MergeResult:
    report = read_report(output)
    say(f"{output} is complete and from this very adapter and base: used as it is")
    result = MergeResult(
        path=output,
        status="reused",
        num_patched=report["num_patched"],
        num_tensors=report["num_tensors"],
        num_bytes=report["num_bytes"],
        check=AnswerCheck.from_json(report["check"]) if report["check"] else None,
    )
    if options.check and result.check is None:
        check = check_answers(
            ckpt, base, output, system=system, trust_remote_code=options.trust_remote_code
        )
        result = replace(result, check=check)
        write_json_atomic(output / REPORT, report | {"check": check.to_json()})
    return result


def _write_report(folder: Path, wanted: dict[str, str], result: MergeResult) -> None:
    counts = {
        key: value
        for key, value in asdict(result).items()
        if key in ("num_patched", "num_tensors", "num_bytes", "notices")
    }
    check = result.check.to_json() if result.check else None
    report = {**wanted, **counts, "check": check, "files": list_files(folder)}
    write_json_atomic(folder / REPORT, report)


def _plan(
    ckpt: Path, base: Path, options: MergeOptions
) -> tuple[AdapterPlan, list[OutputTensor], dict[str, Any]]:
    """The adapter's plan, the tensors to write in the base's order, and changes to config.json."""
    method = read_json(base / CONFIG).get("quantization_config")
    if method:
        raise ExportError(
            f"the base {base} is quantised ({method.get('quant_method', 'unknown method')}); an "
            "adapter is merged into 16- or 32-bit weights: name the unquantised base with --model"
        )
    stored = read_tensors(base)
    plan = read_plan(ckpt, stored)
    tying = Tying()
    if not plan.unsupported and plan.outside_layers():
        tying = resolve_tying(base, plan, stored, options.trust_remote_code)
        plan.unsupported = tying.unsupported
    changes = dict(tying.config_changes)
    if options.torch_dtype != "auto":
        name = "dtype" if "dtype" in read_json(base / CONFIG) else "torch_dtype"
        changes[name] = options.torch_dtype
    merger = Merger()
    tensors = [
        _output_tensor(plan, name, source, options.torch_dtype, merger)
        for name, source in {**stored, **tying.added}.items()
        if name not in tying.dropped
    ]
    return plan, tensors, changes


def _output_tensor(
    plan: AdapterPlan, name: str, source: StoredTensor, dtype: str, merger: Merger
) -> OutputTensor:
    is_float = source.dtype in TORCH_NAMES
    code = FLOAT_NAMES[dtype] if dtype != "auto" and is_float else source.dtype
    patch = plan.patches.get(name)
    if patch is None and code == source.dtype:
        return OutputTensor(name, code, source.shape, source=source)

    def compute() -> memoryview:
        return to_bytes(merger.merge(source, patch), code)

    return OutputTensor(name, code, source.shape, source=source, compute=compute)


def _group(tensors: list[OutputTensor], max_bytes: int) -> list[list[OutputTensor]]:
    """The tensors by the file of the base they come from, too large files split."""
    by_file: dict[Path, list[OutputTensor]] = {}
    for tensor in tensors:
        assert tensor.source is not None
        by_file.setdefault(tensor.source.path, []).append(tensor)
    return split_shards(by_file.values(), max_bytes)


def _merge_in_memory(
    ckpt: Path, base: Path, folder: Path, tensors: list[OutputTensor], options: MergeOptions
) -> None:
    from selfcog.model.adapter import load_adapter
    from selfcog.model.load import load_model

    sizes: Counter[str] = Counter()
    for tensor in tensors:
        if tensor.dtype in TORCH_NAMES:
            sizes[tensor.dtype] += tensor.num_bytes // ELEMENT_BYTES[tensor.dtype]
    dtype = TORCH_NAMES[sizes.most_common(1)[0][0]]
    model = load_model(
        base, torch_dtype=dtype, device="cpu", trust_remote_code=options.trust_remote_code
    )
    try:
        merged = load_adapter(model, ckpt).merge_and_unload()
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise ExportError(f"peft cannot merge {ckpt}: {first_line(error)}") from error
    with _no_progress_bar():
        merged.save_pretrained(folder, max_shard_size=options.max_shard_size.replace(" ", ""))


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shows_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shows_bars:
            logging.enable_progress_bar()
