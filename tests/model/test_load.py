"""Loading a tokenizer and a model from folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from selfcog.errors import ModelError
from selfcog.model.load import LARGE_BYTES, choose_dtype, load_model, load_tokenizer


def test_model_and_tokenizer_load_quietly(
    tiny_model_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = load_model(tiny_model_dir)
    tokenizer = load_tokenizer(tiny_model_dir)
    assert model.dtype == torch.float32 and not model.training
    assert tokenizer.pad_token == "<|endoftext|>" and tokenizer.padding_side == "right"
    ids = torch.tensor([tokenizer.encode("你是谁？")])
    assert model(ids).logits.shape == (1, ids.shape[1], len(tokenizer))
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err == ""


def test_dtypes(tiny_model_dir: Path) -> None:
    assert load_model(tiny_model_dir, torch_dtype="bfloat16").dtype == torch.bfloat16
    assert choose_dtype("auto", torch.device("cpu")) == torch.float32
    with pytest.raises(ModelError, match="int8"):
        load_model(tiny_model_dir, torch_dtype="int8")


@pytest.mark.parametrize(
    ("stored", "size", "has_bfloat16", "wanted"),
    [
        ("bfloat16", LARGE_BYTES, True, torch.bfloat16),
        ("bfloat16", LARGE_BYTES - 1, True, torch.float32),
        ("bfloat16", LARGE_BYTES, False, torch.float32),
        ("float32", LARGE_BYTES, True, torch.float32),
        ("float16", LARGE_BYTES, True, torch.float32),  # has more digits than bfloat16
    ],
)
def test_a_large_bfloat16_model_stays_so_where_the_cpu_has_it(
    stored: str,
    size: int,
    has_bfloat16: bool,
    wanted: torch.dtype,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bfloat16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    for key in ("dtype", "torch_dtype"):  # transformers 5 and 4
        (tmp_path / "config.json").write_text(json.dumps({key: stored}))
        for number, part in enumerate((size // 2, size - size // 2)):
            with (tmp_path / f"model-{number}.safetensors").open("wb") as file:
                file.truncate(part)  # takes no room on the disk
        assert choose_dtype("auto", torch.device("cpu"), tmp_path) == wanted
    assert choose_dtype("float32", torch.device("cpu"), tmp_path) == torch.float32


def test_attention_implementation_is_passed_on(tiny_model_dir: Path) -> None:
    assert load_model(tiny_model_dir, attn_impl="eager").config._attn_implementation == "eager"
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(tiny_model_dir, attn_impl="no_such_attention")


def test_missing_weights_are_not_made_up(tiny_model_dir: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_model_dir, tmp_path / "gap")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 of .*layers\.1\.mlp\.up_proj"):
        load_model(folder)


def test_config_of_another_size(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model_dir, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 96}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder)


def test_remote_code_needs_the_flag(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model_dir, tmp_path / "remote")
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "unheard_of"
    config["auto_map"] = {"AutoConfig": "x.XConfig", "AutoModelForCausalLM": "x.XModel"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "x.py").write_text("raise SystemExit('executed')")
    with pytest.raises(ModelError, match="--trust_remote_code"):
        load_model(folder)


def test_a_missing_folder_never_becomes_a_hub_id() -> None:
    for load in (load_model, load_tokenizer):
        with pytest.raises(ModelError, match="not found"):
            load("no-org/no-model")


def test_a_folder_without_tokenizer(tiny_model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_model_dir / "config.json").read_bytes())
    with pytest.raises(ModelError, match="tokenizer"):
        load_tokenizer(tmp_path)


def test_a_pad_token_is_found(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model_dir, tmp_path / "padless")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["pad_token"]
    path.write_text(json.dumps(config))
    assert load_tokenizer(folder).pad_token == "<|endoftext|>"


def test_foreign_weights_load(shared_dir: Path) -> None:
    folder = shared_dir / "weights" / "stories260K"
    if not folder.is_dir():
        pytest.skip("shared/weights/stories260K is not there")
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    assert tokenizer.pad_token_id == 2
    prompt = torch.tensor([tokenizer.encode("Once upon a time")])
    story = model.generate(prompt, max_new_tokens=20, do_sample=False)
    assert "there was a little girl" in tokenizer.decode(story[0])
