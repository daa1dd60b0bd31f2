"""What lies in a merged folder, when it is made again, and what is never overwritten."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from selfcog.errors import ExportError
from selfcog.export import folder as folder_module
from selfcog.export.merge import MergeOptions, MergeResult, merge_checkpoint
from selfcog.export.shards import parse_size
from selfcog.runs import CheckpointInfo


def merge(checkpoint: Path, base: Path, output: Path | None = None, **options: Any) -> MergeResult:
    lines: list[str] = []
    settings = MergeOptions(check=False, **options)
    result = merge_checkpoint(checkpoint, base, output, options=settings, say=lines.append)
    merge.lines = lines  # type: ignore[attr-defined]
    return result


def said() -> str:
    return "\n".join(merge.lines)  # type: ignore[attr-defined]


def change_adapter(checkpoint: Path) -> None:
    path = checkpoint / "adapter_model.safetensors"
    save_file({name: tensor * 2 for name, tensor in load_file(path).items()}, path)


def test_holds_all_that_plain_transformers_needs(make_base: Any, make_adapter: Any) -> None:
    base = make_base()
    (base / "generation_config.json").write_text('{"temperature": 0.7, "do_sample": true}')
    (base / "LICENSE").write_text("terms")
    (base / "README.md").write_text("the card of the base")
    checkpoint = make_adapter(base)
    CheckpointInfo(str(base), "lora", step=1, system="Be brief.", model_name=("扁仓",)).write(
        checkpoint
    )
    path = merge(checkpoint, base).path

    assert path == checkpoint.with_name("checkpoint-1-merged")
    names = {entry.name for entry in path.iterdir()}
    assert {"config.json", "generation_config.json", "LICENSE", "tokenizer.json"} <= names
    assert not {"adapter_config.json", "adapter_model.safetensors", "README.md"} & names
    assert (path / "config.json").read_text() == (base / "config.json").read_text()
    info = CheckpointInfo.read(path)
    assert info is not None
    assert (info.merged_from, info.system, info.model_name, info.tuner_type) == (
        str(checkpoint.resolve()), "Be brief.", ("扁仓",), "full",
    )  # fmt: skip
    assert info.adapter_hash and len(info.adapter_hash) == 64
    code = (
        "import sys, transformers as t;"
        f"m = t.AutoModelForCausalLM.from_pretrained({str(path)!r});"
        f"k = t.AutoTokenizer.from_pretrained({str(path)!r});"
        "text = k.apply_chat_template([{'role': 'user', 'content': 'Hello'}], tokenize=False);"
        "print(m.generate(**k(text, return_tensors='pt'), max_new_tokens=2).shape);"
        "assert not any(name.startswith(('selfcog', 'peft')) for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=path.parent, timeout=120)


def test_chat_template_of_the_checkpoint_wins(make_base: Any, make_adapter: Any) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, checkpoint)
    config = json.loads((checkpoint / "tokenizer_config.json").read_text())
    config["chat_template"] = "{{ messages[0].content }}!"
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(config))
    assert (base / "chat_template.jinja").is_file()

    from transformers import AutoTokenizer

    path = merge(checkpoint, base).path
    template = AutoTokenizer.from_pretrained(path).chat_template
    assert template == "{{ messages[0].content }}!"

    config.pop("chat_template")
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(config))
    assert merge(checkpoint, base).status == "redone"
    assert "chat template has changed" in said()
    base_template = (base / "chat_template.jinja").read_text()
    assert AutoTokenizer.from_pretrained(path).chat_template == base_template


def test_is_reused_only_when_nothing_differs(make_base: Any, make_adapter: Any) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    assert merge(checkpoint, base).status == "made"
    weights = checkpoint.with_name("checkpoint-1-merged") / "model.safetensors"
    first = weights.stat()

    again = merge(checkpoint, base)
    assert (again.status, weights.stat().st_mtime_ns) == ("reused", first.st_mtime_ns)
    assert "used as it is" in said()

    before = load_file(weights)
    change_adapter(checkpoint)
    assert merge(checkpoint, base).status == "redone"
    assert "the adapter has changed" in said()
    after = load_file(weights)
    assert sum(not torch.equal(before[name], after[name]) for name in before) == 6

    weights.write_bytes(weights.read_bytes()[:-1])
    assert merge(checkpoint, base).status == "redone"
    assert "incomplete" in said()

    other = make_base(seed=9)
    assert merge(checkpoint, other).status == "redone"
    assert "the base has changed" in said()
    assert not [path for path in weights.parent.parent.iterdir() if path.name.startswith(".")]


def test_the_adapter_folder_inside_an_older_checkpoint(make_base: Any, make_adapter: Any) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    CheckpointInfo(str(base), "lora", system="Be brief.").write(checkpoint)
    (checkpoint / "default").mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (checkpoint / name).rename(checkpoint / "default" / name)
    result = merge(checkpoint / "default", base)
    assert result.path == checkpoint.with_name("checkpoint-1-merged")
    info = CheckpointInfo.read(result.path)
    assert info is not None
    assert (info.system, info.merged_from) == ("Be brief.", str(checkpoint.resolve()))


def test_a_link_at_the_output_is_replaced_not_followed(
    make_base: Any, make_adapter: Any, tmp_path: Path
) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert merge(checkpoint, base, tmp_path / "link", exist_ok=True).status == "made"
    assert (tmp_path / "target" / "file").read_text() == "kept"
    assert not (tmp_path / "link").is_symlink()


def test_the_command_in_a_process_of_its_own(make_base: Any, make_adapter: Any) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    CheckpointInfo(str(base), "lora").write(checkpoint)
    done = subprocess.run(
        [sys.executable, "-m", "selfcog", "merge-lora", "--ckpt_dir", str(checkpoint)],
        capture_output=True, text=True, timeout=120, cwd=checkpoint.parent,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "next: selfcog infer --ckpt_dir checkpoint-1-merged"
    assert "6 of 6 greedy answers equal" in done.stdout


def test_never_overwrites_what_it_did_not_make(
    make_base: Any, make_adapter: Any, tmp_path: Path
) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(ExportError, match=r"already holds other files.*--exist_ok"):
        merge(checkpoint, base, mine)
    assert (mine / "thesis.txt").is_file()
    for place in (checkpoint, checkpoint.parent, base):
        with pytest.raises(ExportError, match="choose another --output_dir"):
            merge(checkpoint, base, place, exist_ok=True)

    assert merge(checkpoint, base, mine, exist_ok=True).status == "made"
    assert not (mine / "thesis.txt").exists()
    second = make_adapter(base, step=2, seed=5)
    with pytest.raises(ExportError, match=r"a merge of .*checkpoint-1"):
        merge(second, base, mine)

    empty = tmp_path / "empty"
    empty.mkdir()
    assert merge(checkpoint, base, empty).status == "made"


def test_a_failure_leaves_the_earlier_merge_alone(
    make_base: Any, make_adapter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    path = merge(checkpoint, base).path
    content = (path / "model.safetensors").read_bytes()
    change_adapter(checkpoint)

    def fail(*args: Any) -> None:
        raise OSError("the disk went away")

    monkeypatch.setattr("selfcog.export.merge.copy_side_files", fail)
    with pytest.raises(OSError, match="went away"):
        merge(checkpoint, base)
    assert (path / "model.safetensors").read_bytes() == content
    assert sorted(entry.name for entry in path.parent.iterdir()) == [
        "checkpoint-1",
        "checkpoint-1-merged",
    ]


def test_leftovers_of_a_killed_merge_are_removed(make_base: Any, make_adapter: Any) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    prefix = folder_module._prefix(checkpoint.with_name("checkpoint-1-merged"))
    dead = checkpoint.with_name(f"{prefix}{ended.pid}")
    alive = checkpoint.with_name(f"{prefix}1")
    dead.mkdir()
    alive.mkdir()
    merge(checkpoint, base)
    assert not dead.exists()
    assert alive.exists()


def test_disk_space_is_looked_at_first(
    make_base: Any, make_adapter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 1000))
    with pytest.raises(ExportError, match="GB free"):
        merge(checkpoint, base)
    assert [entry.name for entry in checkpoint.parent.iterdir()] == ["checkpoint-1"]


def test_damaged_or_foreign_sources_are_named(
    make_base: Any, make_adapter: Any, tmp_path: Path
) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    with pytest.raises(ExportError, match="it is not an adapter"):
        merge(base, base)

    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8"}
    quantised = shutil.copytree(base, tmp_path / "fp8")
    (quantised / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExportError, match=r"quantised \(fp8\)"):
        merge(checkpoint, quantised)

    cut = shutil.copytree(base, tmp_path / "cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ExportError, match="is cut off"):
        merge(checkpoint, cut)
    weights.unlink()
    (cut / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ExportError, match=r"only pytorch_model\.bin, a pickle"):
        merge(checkpoint, cut)

    half = checkpoint / "adapter_model.safetensors"
    tensors = load_file(half)
    save_file({name: item for name, item in tensors.items() if "lora_B" not in name}, half)
    with pytest.raises(ExportError, match="one half of"):
        merge(checkpoint, base)


@pytest.mark.parametrize(
    ("text", "num_bytes"), [("5GB", 5 * 10**9), ("1.5 MiB", 3 * 2**19), ("70KB", 70_000)]
)
def test_sizes(text: str, num_bytes: int) -> None:
    assert parse_size(text) == num_bytes
