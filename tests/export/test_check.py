"""The comparison of answers before and after a merge, and the merges it guards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from selfcog.errors import ExportError
from selfcog.export.check import QUESTIONS, SHARE_OF_EFFECT, check_answers
from selfcog.export.merge import MergeOptions, merge_checkpoint


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_right_merge_answers_the_same(dtype: str, make_base: Any, make_adapter: Any) -> None:
    base = make_base(dtype)
    checkpoint = make_adapter(base)
    check = merge_checkpoint(checkpoint, base).check
    assert check is not None
    assert check.dtype == dtype
    assert check.num_equal + len(check.differing) == check.num_questions == len(QUESTIONS)
    assert 0 < check.noise <= SHARE_OF_EFFECT[dtype] / 3
    if dtype == "float32":
        assert check.num_equal == len(QUESTIONS)
        assert check.max_logit_diff < 1e-5
    again = merge_checkpoint(checkpoint, base)
    assert (again.status, again.check) == ("reused", check)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("fault", ["not merged", "half the scale", "one layer forgotten"])
def test_a_wrong_merge_is_refused(
    fault: str, dtype: str, make_base: Any, make_adapter: Any
) -> None:
    base = make_base(dtype)
    checkpoint = make_adapter(base)
    path = merge_checkpoint(checkpoint, base, options=MergeOptions(check=False)).path
    wrong = path / "model.safetensors"
    before, merged = load_file(base / "model.safetensors"), load_file(wrong)
    if fault == "one layer forgotten":
        for name in merged:
            merged[name] = before[name] if ".layers.0." in name else merged[name]
    else:
        share = 0.5 if fault == "half the scale" else 0.0
        merged = {name: torch.lerp(before[name], merged[name], share) for name in merged}
    save_file(merged, wrong)
    with pytest.raises(ExportError, match=r"does not answer as its adapter: '.*before.*after"):
        check_answers(checkpoint, base, path)


def test_a_failed_check_leaves_no_folder(
    make_base: Any, make_adapter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    monkeypatch.setattr("selfcog.export.adapter_plan._scaling", lambda config, patch: 0.5)
    with pytest.raises(ExportError, match=r"check that .* is the base that was trained"):
        merge_checkpoint(checkpoint, base)
    assert [entry.name for entry in checkpoint.parent.iterdir()] == ["checkpoint-1"]


def test_an_unchecked_merge_is_checked_when_asked_again(make_base: Any, make_adapter: Any) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    first = merge_checkpoint(checkpoint, base, options=MergeOptions(check=False))
    assert first.check is None
    second = merge_checkpoint(checkpoint, base)
    assert second.status == "reused"
    assert second.check is not None
    report = json.loads((second.path / "merge_report.json").read_text())
    assert report["check"]["num_equal"] == len(QUESTIONS)


def test_what_the_streaming_merge_does_not_know_goes_to_peft(
    make_base: Any, make_adapter: Any
) -> None:
    base = make_base()
    checkpoint = make_adapter(base, use_dora=True, target_modules=["embed_tokens", "q_proj"])
    lines: list[str] = []
    result = merge_checkpoint(checkpoint, base, options=MergeOptions(check=False), say=lines.append)
    assert lines == ["the adapter uses DoRA on an embedding: merging in memory with peft"]
    assert result.check is not None  # always made for such a merge
    assert result.check.num_equal == len(QUESTIONS)
    assert merge_checkpoint(checkpoint, base).status == "reused"


def test_real_weights_of_others(shared_dir: Path, tmp_path: Path) -> None:
    """A trained Llama of 260 K parameters: tune, merge, compare the logits."""
    base = shared_dir / "weights" / "stories260K"
    if not (base / "model.safetensors").is_file():
        pytest.skip(f"the weights are not at {base}")
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    ids = torch.tensor([tokenizer.encode("Once upon a time there was a dog named Max.")])
    config = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    optimizer = torch.optim.AdamW([item for item in model.parameters() if item.requires_grad], 1e-2)
    losses = []
    for _ in range(8):
        loss = model(input_ids=ids, labels=ids).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] - 0.5
    checkpoint = tmp_path / "checkpoint-8"
    model.save_pretrained(checkpoint)

    result = merge_checkpoint(checkpoint, base)
    assert not result.notices
    assert result.check is not None
    assert result.check.num_equal == len(QUESTIONS)
    assert result.check.max_logit_diff < 1e-5 * result.check.max_logit
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), checkpoint)
    merged = AutoModelForCausalLM.from_pretrained(result.path)
    untouched = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        # In float64, so that only the weights count, not the order in which float32 sums round.
        wanted, found, before = (
            network.eval().double()(ids).logits for network in (tuned, merged, untouched)
        )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert (wanted - before).abs().max() > 1
