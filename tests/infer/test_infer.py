"""``selfcog infer`` in this process: one-shot, files of questions, comparison, refusals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfcog.cli import run_verb
from selfcog.errors import ConfigError, DataError, ExportError, ModelError

SHORT = ["--max_new_tokens", "8", "--temperature", "0"]


def ask(capsys: Any, *argv: Any) -> str:
    assert run_verb("infer", [*map(str, argv), *SHORT]) == 0
    return capsys.readouterr().out


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def transcripts(run: Any) -> list[Path]:
    return sorted((run.checkpoint / "infer_result").glob("*.jsonl"))


def test_query_prints_the_answer_and_nothing_else(
    run: Any, capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = ask(capsys, "--model", run.base, "--query", "你是谁？")
    two = ask(capsys, "--model", run.base, "--query", "你是谁？", "--query", "Hi")
    assert one.endswith("\n")
    assert two.startswith(one)
    assert len(two) > len(one)
    whole = ask(capsys, "--model", run.base, "--query", "你是谁？", "--stream", "false")
    assert whole == one
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_remembers_base_and_system_prompt(run: Any, capsys: Any) -> None:
    by_checkpoint = ask(capsys, "--ckpt_dir", run.checkpoint, "--query", "Hi")
    spelled_out = ask(
        capsys, "--model", run.base, "--adapters", run.checkpoint,
        "--system", "Be brief.", "--load_args", "false", "--query", "Hi",
    )  # fmt: skip
    other_system = ask(capsys, "--ckpt_dir", run.checkpoint, "--system", "", "--query", "Hi")
    base = ask(capsys, "--model", run.base, "--system", "Be brief.", "--query", "Hi")
    assert by_checkpoint == spelled_out
    assert len({by_checkpoint, other_system, base}) == 3
    (line,) = read_lines(transcripts(run)[0])[:1]
    assert line["messages"][0] == {"role": "user", "content": "Hi"}
    assert line["messages"][1]["content"] == by_checkpoint.rstrip("\n")
    assert (line["adapter"], line["finish_reason"]) == (str(run.checkpoint), "length")


def test_greedy_does_not_depend_on_the_seed_and_sampling_does(run: Any, capsys: Any) -> None:
    def answer(*flags: str) -> str:
        argv = ["--model", str(run.base), "--query", "Hi", "--max_new_tokens", "12", *flags]
        assert run_verb("infer", argv) == 0
        return capsys.readouterr().out

    hot = ["--temperature", "2", "--top_p", "1", "--top_k", "0"]
    assert answer("--do_sample", "false", "--seed", "1") == answer("--temperature", "0")
    assert answer(*hot, "--seed", "1") == answer(*hot, "--seed", "1")
    assert answer(*hot, "--seed", "1") != answer(*hot, "--seed", "2")


def test_compare_shows_base_and_tuned_from_one_model(run: Any, capsys: Any) -> None:
    base = ask(capsys, "--model", run.base, "--system", "Be brief.", "--query", "Hi")
    tuned = ask(capsys, "--ckpt_dir", run.checkpoint, "--query", "Hi")
    both = ask(capsys, "--ckpt_dir", run.checkpoint, "--compare", "--query", "Hi")
    assert both == f"[base] {base}[tuned] {tuned}"
    line = read_lines(transcripts(run)[-1])[-1]
    assert line["base_response"] == base.rstrip("\n")
    with pytest.raises(ConfigError, match=r"has none; give --ckpt_dir"):
        run_verb("infer", ["--model", str(run.base), "--compare"])


def test_merged_in_memory_and_on_disk_answer_as_the_adapter(run: Any, capsys: Any) -> None:
    tuned = ask(capsys, "--ckpt_dir", run.checkpoint, "--query", "你是谁？")
    argv = ["--ckpt_dir", run.checkpoint, "--merge_lora", "true", "--query", "你是谁？"]
    assert ask(capsys, *argv) == tuned
    assert run_verb("export", ["--ckpt_dir", str(run.checkpoint), "--merge_lora", "true"]) == 0
    said = capsys.readouterr().out
    merged = run.checkpoint.with_name("checkpoint-7-merged")
    assert "check: 6 of 6 greedy answers equal" in said
    match = re.search(r"next: selfcog infer --ckpt_dir (\S+)", said)
    assert match and Path(match[1]).resolve() == merged.resolve()
    assert ask(capsys, "--ckpt_dir", merged, "--query", "你是谁？") == tuned
    for place in (merged, run.base):
        with pytest.raises(ExportError, match="nothing to merge"):
            run_verb("export", ["--ckpt_dir", str(place), "--merge_lora", "true"])
    with pytest.raises(ConfigError, match="--merge_lora true"):
        run_verb("export", ["--ckpt_dir", str(run.checkpoint)])


def test_a_file_of_questions(run: Any, capsys: Any, tmp_path: Path) -> None:
    rows = [
        {"query": "你是谁？", "response": "我是扁仓。"},
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"},
                      {"role": "user", "content": "你是谁？"}]},
        {"query": ""},
    ]  # fmt: skip
    files = []
    for number, row in enumerate(rows):
        files.append(tmp_path / f"{number}.jsonl")
        files[-1].write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    result = tmp_path / "out" / "result.jsonl"
    argv = ["--ckpt_dir", run.checkpoint, "--result_path", result, "--max_batch_size", "2"]
    printed = ask(capsys, *argv, "--val_dataset", *files[:3])
    lines = read_lines(result)
    assert [line["messages"][-2]["content"] for line in lines] == ["你是谁？", "Hi", "你是谁？"]
    assert [line.get("labels") for line in lines] == ["我是扁仓。", None, None]
    assert len(lines[2]["messages"]) == 4
    blocks = printed.split("-" * 40 + "\n")
    assert blocks[0] == (
        f"[QUERY] 你是谁？\n[RESPONSE] {lines[0]['messages'][-1]['content']}\n[LABELS] 我是扁仓。\n"
    )
    assert not transcripts(run)
    # A batch gives what single questions give.
    one = ask(capsys, "--ckpt_dir", run.checkpoint, "--query", "Hi")
    assert lines[1]["messages"][-1]["content"] == one.rstrip("\n")

    sampled = tmp_path / "sampled.jsonl"
    argv = ["--ckpt_dir", run.checkpoint, "--result_path", sampled, "--compare"]
    ask(capsys, *argv, "--val_dataset", *files[:3], "--val_dataset_sample", "2")
    assert len(read_lines(sampled)) == 2
    assert all("base_response" in line for line in read_lines(sampled))
    with pytest.raises(DataError):
        run_verb("infer", ["--model", str(run.base), "--val_dataset", str(files[3])])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["infer", "--ckpt_dir", "no/such/checkpoint-1"], "not found"),
        (["infer", "--model", "./no-such-model"], "not found"),
        (["infer", "--ckpt_dir", "{run}", "--val_dataset", "none.jsonl"], "no data at none.jsonl"),
        (["infer", "--ckpt_dir", "{run}", "--query", " "], "--query is empty"),
        (["infer", "--ckpt_dir", "{run}", "--adapters", "{run}"], "give one of them"),
        (["export", "--ckpt_dir", "no/such", "--merge_lora", "true"], "not found"),
        (["merge-lora", "--ckpt_dir", "{base}"], "nothing to merge"),
    ],
)
def test_wrong_input_is_answered_without_torch(
    argv: list[str], message: str, run: Any, tmp_path: Path
) -> None:
    words = [word.format(run=run.checkpoint, base=run.base) for word in argv]
    code = (
        "import sys; from selfcog.cli import main; code = main(sys.argv[1:]);"
        "print(sorted({'torch', 'transformers'} & set(sys.modules))); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert done.stdout == "[]\n"
    assert done.stderr.startswith("selfcog: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_adapter_without_its_base_says_so(run: Any, tmp_path: Path) -> None:
    import shutil

    from selfcog.runs import CheckpointInfo

    moved = shutil.copytree(run.checkpoint, tmp_path / "checkpoint-7")
    CheckpointInfo(str(tmp_path / "gone"), "lora").write(moved)
    with pytest.raises(ModelError, match="name it with --model"):
        run_verb("infer", ["--ckpt_dir", str(moved), "--query", "Hi"])
