"""Names, folders and checkpoints → where the weights are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from selfcog.errors import ModelError
from selfcog.events import CheckpointEvent, EndEvent, EventLog
from selfcog.model.locate import (
    EMBEDDED_FOLDER,
    fetch_model,
    find_checkpoint,
    label_of,
    resolve_model,
)
from selfcog.runs import CheckpointInfo


def make_adapter(folder: Path, base: str | None = None) -> Path:
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    return folder


def make_full(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_a_model_folder_is_itself(tmp_path: Path) -> None:
    folder = make_full(tmp_path / "Some-1.5B")
    paths = resolve_model(str(folder))
    assert (paths.path, paths.label, paths.adapter) == (folder, "Some-1.5B", None)
    assert paths.name == str(folder) and fetch_model(paths) is paths


def test_relative_and_home_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_full(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_model(".").label == "here"
    assert resolve_model(".").name == str((tmp_path / "here").resolve())
    assert resolve_model("~/here").path == tmp_path / "here"
    assert label_of("~/here/") == "here"


def test_embedded_is_the_model_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = make_full(tmp_path / "embedded")
    monkeypatch.chdir(tmp_path)
    paths = resolve_model("embedded")
    assert (paths.path, paths.label, paths.name) == (EMBEDDED_FOLDER, "embedded", "embedded")
    assert resolve_model("./embedded").name == str(local.resolve())


def test_adapter_takes_its_base_from_the_checkpoint(tmp_path: Path) -> None:
    base = make_full(tmp_path / "base")
    adapter = make_adapter(tmp_path / "checkpoint-3", base="/gone/base")
    info = CheckpointInfo(base_model=str(base), tuner_type="lora", step=3, system="S")
    info.write(adapter)
    for paths in (resolve_model(ckpt_dir=adapter), resolve_model(str(adapter))):
        assert (paths.path, paths.adapter, paths.label) == (base, adapter, "base")
        assert paths.info == info


def test_adapter_of_another_tool(tmp_path: Path) -> None:
    base = make_full(tmp_path / "base")
    adapter = make_adapter(tmp_path / "elsewhere", base=str(base))
    assert resolve_model(ckpt_dir=adapter).path == base
    nameless = make_adapter(tmp_path / "nameless")
    with pytest.raises(ModelError, match="give --model"):
        resolve_model(ckpt_dir=nameless)
    assert resolve_model(str(base), ckpt_dir=nameless).adapter == nameless


def test_named_model_wins_over_the_remembered_base(tmp_path: Path) -> None:
    moved = make_full(tmp_path / "moved")
    adapter = make_adapter(tmp_path / "checkpoint-1")
    CheckpointInfo(base_model="/no/such/base/here", tuner_type="lora").write(adapter)
    assert resolve_model(str(moved), ckpt_dir=adapter).path == moved
    with pytest.raises(ModelError, match=r"base of .*checkpoint-1.*--model"):
        resolve_model(ckpt_dir=adapter)


def test_adapter_in_a_default_folder(tmp_path: Path) -> None:
    base = make_full(tmp_path / "base")
    adapter = make_adapter(tmp_path / "checkpoint-9" / "default", base=str(base))
    assert resolve_model(ckpt_dir=tmp_path / "checkpoint-9").adapter == adapter


def test_merged_folder_is_the_model(tmp_path: Path) -> None:
    merged = make_full(tmp_path / "checkpoint-280-merged")
    CheckpointInfo("embedded", "lora", system="", merged_from="checkpoint-280").write(merged)
    paths = resolve_model(ckpt_dir=merged)
    assert (paths.path, paths.adapter, paths.name) == (merged, None, "embedded")
    assert paths.info is not None and paths.info.system == ""
    assert paths.label == "checkpoint-280-merged"
    assert resolve_model(str(merged)).info == paths.info


def test_run_directory_means_its_best_checkpoint(tmp_path: Path) -> None:
    run = tmp_path / "v0-20260101-000000"
    for step in (20, 100, 80):
        make_adapter(run / f"checkpoint-{step}")
    (run / "checkpoint-120").mkdir()
    assert find_checkpoint(run).name == "checkpoint-100"
    log = EventLog(run / "events.jsonl")
    log.emit(CheckpointEvent(step=100, path="/moved/checkpoint-100", reason="last"))
    assert find_checkpoint(run).name == "checkpoint-100"
    log.emit(EndEvent("done", best_checkpoint="/moved/checkpoint-80"))
    assert find_checkpoint(run).name == "checkpoint-80"
    with (run / "events.jsonl").open("a") as handle:
        handle.write('{"event": "st')
    assert find_checkpoint(run).name == "checkpoint-80"
    shutil.rmtree(run / "checkpoint-80")
    assert find_checkpoint(run).name == "checkpoint-100"


@pytest.mark.parametrize("name", ["./nothing", "~/nothing", "/no/such/folder", "a/b/c", "models/"])
def test_missing_paths_are_errors_at_once(name: str) -> None:
    with pytest.raises(ModelError, match="not found"):
        resolve_model(name)


def test_missing_path_names_its_sibling(tmp_path: Path) -> None:
    make_full(tmp_path / "Qwen2.5-7B-Instruct")
    with pytest.raises(ModelError, match=r"did you mean .*Qwen2\.5-7B-Instruct\?"):
        resolve_model(str(tmp_path / "Qwen2.5-7B-Instrct"))
    with pytest.raises(ModelError, match=r"did you mean .*Qwen2\.5-7B-Instruct\?"):
        resolve_model(str(tmp_path / "Qwen2.5-7B-Instrut" / "sub"))


def test_relative_path_whose_parent_exists_is_no_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_full(tmp_path / "models" / "one")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="did you mean models/one"):
        resolve_model("models/onee")


def test_hub_ids_are_not_touched_before_fetch() -> None:
    paths = resolve_model("Qwen/Qwen2.5-0.5B-Instruct", revision="main")
    assert paths.hub_id == "Qwen/Qwen2.5-0.5B-Instruct" and paths.label == "Qwen2.5-0.5B-Instruct"
    assert resolve_model("ms::Qwen/Qwen3-8B").label == "Qwen3-8B"
    with pytest.raises(ModelError, match="org/name"):
        resolve_model("hf::Qwen")


def test_a_hub_id_offline_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="could not be downloaded"):
        fetch_model(resolve_model("some-org/some-model"))


def test_bare_words() -> None:
    with pytest.raises(ModelError, match="did you mean 'embedded'"):
        resolve_model("embeded")
    with pytest.raises(ModelError, match="hub id is org/name"):
        resolve_model("gpt2")
    with pytest.raises(ModelError, match="no model is named"):
        resolve_model()


def test_pickles_and_gaps_are_refused(tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no \*\.safetensors weights; found: config\.json"):
        resolve_model(str(pickled))
    (pickled / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="pickle"):
        resolve_model(str(pickled))

    sharded = make_full(tmp_path / "sharded")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    (sharded / names["a"]).write_bytes(b"")
    with pytest.raises(ModelError, match=r"1 of 2 weight files are missing \(model-00002"):
        resolve_model(str(sharded))

    adapter = make_adapter(tmp_path / "adapter", base=str(sharded))
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelError, match="pickle"):
        resolve_model(ckpt_dir=adapter)


def test_a_folder_that_is_no_checkpoint_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for call in ({"ckpt_dir": tmp_path}, {"name": str(tmp_path)}):
        with pytest.raises(ModelError, match=r"holds no checkpoint.*found: notes\.txt"):
            resolve_model(**call)
    with pytest.raises(ModelError, match="is a file"):
        resolve_model(ckpt_dir=tmp_path / "notes.txt")
    with pytest.raises(ModelError, match="is a file"):
        resolve_model(str(tmp_path / "notes.txt"))
    (tmp_path / "adapter_config.json").write_text("{")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is not JSON"):
        resolve_model(ckpt_dir=tmp_path)


def test_locating_loads_no_torch() -> None:
    code = (
        "import sys\nfrom selfcog.model import locate\n"
        "locate.resolve_model('org/name')\n"
        "print(sorted({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
