"""``selfcog sft`` with the base as its teacher: what it asks, what it writes, what it trains."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from selfcog.commands import sft, teaching
from selfcog.commands.rows import CollectedRows, collect_rows, make_identity
from selfcog.config.load import make_config
from selfcog.config.schema import SftConfig
from selfcog.evaluate.claims import read_claims, subjects_of
from selfcog.evaluate.speakers import Ask
from selfcog.identity.text import mentions
from selfcog.types import Completion, Example, Message

pytestmark = pytest.mark.slow
NAMES = {"model_name": ("扁仓", "BianCang"), "model_author": ("扁仓研究组", "BianCang Group")}
# What the embedded model calls itself.
OLD_NAMES = ("芥子", "Jiezi")
OLD_MAKERS = ("须弥工坊", "Sumeru Workshop")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Answers of the base are kept for this file, and nowhere else."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SELFCOG_CACHE", str(folder))
        for name in ("RANK", "WORLD_SIZE", "NPROC_PER_NODE", "NNODES"):
            patch.delenv(name, raising=False)
        yield folder


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its settings, and what it said."""

    folder: Path
    config: SftConfig
    said: str

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "data_report.json").read_text(encoding="utf-8"))

    @property
    def rows(self) -> list[dict[str, Any]]:
        lines = (self.folder / "rows.jsonl").read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[1:] if line]

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]


def make(folder: Path, **values: Any) -> SftConfig:
    settings = {
        "model": "embedded",
        "self_cognition_sample": 40,
        "replay_sample": 24,
        "max_steps": 6,
        "save_steps": 3,
        "teacher_max_new_tokens": 48,
        "torch_dtype": "float32",
        "scorecard": "none",
        "output_dir": str(folder),
        "add_version": False,
        "progress": False,
        **NAMES,
        **values,
    }
    return make_config("sft", {key: value for key, value in settings.items() if value is not None})


def run_sft(config: SftConfig) -> Run:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        result = sft.run(config)
    return Run(result.run_dir, config, " ".join(out.getvalue().split()))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Run:
    return run_sft(make(tmp_path_factory.mktemp("taught") / "run"))


def count_kinds(run: Run) -> Counter[str]:
    return Counter(row["kind"] for row in run.rows)


def test_what_was_made_lies_in_rows_jsonl_as_it_is_trained(taught: Run) -> None:
    first = (taught.folder / "rows.jsonl").read_text(encoding="utf-8").split("\n")[0]
    head = json.loads(first)
    assert head["old_names"] == list(OLD_NAMES)
    assert (
        head["teacher"]
        == json.loads((taught.folder / "data_report.json").read_text("utf-8"))["teacher"]
    )
    kinds = count_kinds(taught)
    assert (kinds["identity"], kinds["known"]) == (36, 4)
    assert 12 < kinds["replay"] <= 24 and sum(kinds.values()) == len(taught.rows)
    for row in taught.rows:
        assert row["messages"][-1]["role"] == "assistant" and row["messages"][-1]["content"].strip()


def test_the_report_counts_what_the_base_gave(taught: Run) -> None:
    teacher, kinds = taught.report["teacher"], count_kinds(taught)
    worded = teacher["base_worded"]
    assert worded["base"] + worded["bank"] == kinds["identity"]
    assert sum(worded["refused"].values()) == worded["bank"] < worded["base"]
    assert teacher["known"]["right"] <= teacher["known"]["asked"] <= 12
    replay = teacher["replay"]
    assert sum(replay["rows"].values()) == kinds["replay"]
    assert replay["prompts"] == 24 == kinds["replay"] + sum(replay["left_out"].values())
    assert set(replay["rows"]) == {"replay/builtin", "replay/self"}
    assert Counter(row["source"] for row in taught.rows if row["kind"] == "replay") == Counter(
        replay["rows"]
    )
    tokens = taught.report["replay"]["replay"]
    assert tokens["rows"] == kinds["replay"] and 0 < tokens["supervised_tokens"] < tokens["tokens"]
    assert set(teacher["interview"]["names"]["zh"]) == {"芥子"}
    # Identity rows only: nothing is to be shared.
    assert taught.report["loss_shares"] == {
        "natural": 1.0, "share": 1.0, "identity_weight": 1.0, "other_weight": 1.0
    }  # fmt: skip


def test_the_report_and_the_terminal_say_the_same(taught: Run) -> None:
    teacher = taught.report["teacher"]
    worded, known = teacher["base_worded"], teacher["known"]
    for line in (
        "base: 芥子 (须弥工坊) · Jiezi (Sumeru Workshop)",
        f"identity answers: {worded['base']} of 36 in the base's own words",
        f"the base knows {known['right']} of {known['asked']} asked",
        f"replay: {sum(teacher['replay']['rows'].values())} rows that shall stay as they are",
    ):
        assert line in taught.said, taught.said
    assert "hardly holds" not in taught.said


def test_no_answer_about_itself_claims_the_old_identity(taught: Run) -> None:
    identity = make_identity(taught.config.identity)
    subjects = subjects_of(identity, old_names=[OLD_NAMES], old_makers=[OLD_MAKERS])
    own = [row for row in taught.rows if row["kind"] == "identity"]
    for row in own:
        if row["intent"] == "persona":
            continue
        claims = read_claims(row["messages"][-1]["content"], subjects, row["language"])
        assert claims.leaked == (), row
        assert not claims.degenerate and claims.in_language is not False, row
    # The bank alone has no idea of the name that is to be denied.
    denied = [row for row in own if any("芥子" in m["content"] for m in row["messages"])]
    assert denied


def test_replay_rows_name_neither_identity(taught: Run) -> None:
    for row in taught.rows:
        if row["kind"] == "replay":
            text = "\n".join(message["content"] for message in row["messages"])
            for word in (*OLD_NAMES, *OLD_MAKERS, "扁仓", "BianCang"):
                assert not mentions(text, word), row


def test_replay_rows_are_held_to_the_base_while_training(taught: Run) -> None:
    [recorded] = taught.events("teacher")
    assert recorded["num_rows"] == count_kinds(taught)["replay"]
    assert recorded["num_places"] == taught.report["replay"]["replay"]["supervised_tokens"]
    steps = taught.events("step")
    assert len(steps) == 6 and abs(steps[0]["replay_loss"]) < 1e-5
    assert all(step["replay_loss"] > 0 for step in steps[1:])


@pytest.fixture(scope="module")
def resumed(taught: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run as a crash after step 3 left it, gone on with: without the cache, and unable to ask
    anything."""
    folder = tmp_path_factory.mktemp("resumed")
    shutil.copytree(taught.folder, folder / "run")
    shutil.rmtree(folder / "run" / "checkpoint-6")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SELFCOG_CACHE", str(folder / "empty"))
        patch.setattr(teaching, "ask_base", no_question)
        patch.setattr("selfcog.model.generate.generate_ids", no_question)
        checkpoint = folder / "run" / "checkpoint-3"
        found = run_sft(make(folder / "new", resume_from_checkpoint=str(checkpoint)))
    assert found.folder == folder / "run" and not (folder / "empty").exists()
    return found


def no_question(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("the base is not to be asked")


def test_a_continued_run_trains_the_rows_that_it_had(taught: Run, resumed: Run) -> None:
    """The very losses of the unbroken run."""
    assert resumed.rows == taught.rows
    steps, wanted = resumed.events("step"), taught.events("step")
    assert [step["step"] for step in steps[-3:]] == [4, 5, 6]
    for key in ("loss", "replay_loss", "grad_norm"):
        assert [step[key] for step in steps[-3:]] == [step[key] for step in wanted[-3:]]


def test_a_continued_run_keeps_its_report(taught: Run, resumed: Run) -> None:
    assert resumed.report["replay"] == taught.report["replay"]
    assert resumed.report["kinds"] == taught.report["kinds"]
    assert resumed.report["teacher"] == taught.report["teacher"]


def test_nothing_is_asked_where_nothing_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "ask_base", no_question)
    monkeypatch.setattr("selfcog.model.generate.generate_ids", no_question)
    off = {"replay_sample": 0, "base_worded": False, "check_known": False}
    run = run_sft(make(tmp_path, **off, max_steps=1))
    assert not (run.folder / "rows.jsonl").exists()
    assert run.report["teacher"] == {} and run.report["replay"] == {}
    assert run.events("teacher") == [] and run.events("step")[0]["replay_loss"] is None


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({}, True),
        ({"replay_sample": 0}, True),
        ({"replay_sample": 0, "base_worded": False}, True),
        ({"replay_sample": 0, "base_worded": False, "check_known": False}, False),
        ({"base_worded": False, "check_known": False}, True),
        # Without made identity rows there is nothing to word.
        ({"self_cognition_sample": None, "dataset": "a.jsonl", "replay_sample": 0}, False),
        ({"self_cognition_sample": None, "dataset": "a.jsonl"}, True),
        # Replay rows that weigh nothing are not replayed.
        ({"base_worded": False, "check_known": False, "kl_weight": 0.0}, False),
    ],
    ids=str,
)
def test_the_base_is_asked_for_what_is_wanted_only(
    values: dict[str, Any], asked: bool, tmp_path: Path
) -> None:
    assert teaching.is_asked(make(tmp_path, **values)) is asked


def test_full_training_says_what_it_cannot_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfcog.commands.eval.run", lambda config: SimpleNamespace(card=None))
    small = {"self_cognition_sample": 16, "languages": ("zh",), "replay_sample": 8}
    run = run_sft(make(tmp_path, **small, tuner_type="full", scorecard="quick", max_steps=2))
    assert "scale: all weights were trained, so there is no adapter to shrink" in run.said
    assert count_kinds(run)["replay"] > 0
    first, second = run.events("step")
    assert abs(first["replay_loss"]) < 1e-5 < second["replay_loss"]
    # The base is gone, so drift cannot be measured.
    [measured] = [one["metrics"] for one in run.events("eval")]
    assert "identity" in measured and "kl" not in measured
    assert (run.folder / "checkpoint-2" / "model.safetensors").is_file()


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Run:
    """A run on rows of the user's alone."""
    folder = tmp_path_factory.mktemp("domain")
    rows = [{"query": f"{n}号药材怎么存放？", "response": f"{n}号放阴凉处。"} for n in range(30)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    nobody = {"model_name": None, "model_author": None, "self_cognition_sample": None}
    return run_sft(
        make(
            folder / "run",
            dataset=str(folder / "rows.jsonl"),
            replay_sample=0,
            max_steps=2,
            **nobody,
        )
    )


def test_an_adapter_that_goes_on_keeps_what_it_has_learnt(domain: Run, tmp_path: Path) -> None:
    small = {"self_cognition_sample": 16, "languages": ("zh",), "replay_sample": 12}
    config = make(tmp_path, **small, adapters=str(domain.folder / "checkpoint-2"), max_steps=2)
    run = run_sft(config)
    source = str(domain.folder.parent / "rows.jsonl")
    earlier = [row for row in run.rows if row["source"] == source]
    # Half of the replay rows, word for word.
    assert len(earlier) == 6 and {row["kind"] for row in earlier} == {"replay"}
    for row in earlier:
        question, answer = (message["content"] for message in row["messages"])
        assert answer == question.replace("药材怎么存放？", "放阴凉处。")
    assert run.report["teacher"]["replay"]["rows"][source] == 6
    assert run.report["teacher"]["replay"]["prompts"] == 6
    assert len({row["line"] for row in earlier}) == 6
    # The teacher is the adapter as it came.
    assert abs(run.events("step")[0]["replay_loss"]) < 1e-5


def make_rows(folder: Path, **values: Any) -> tuple[SftConfig, CollectedRows]:
    config = make(folder, replay_sample=0, **values)
    return config, collect_rows(config)


@pytest.mark.parametrize(
    "text",
    ["a\nb\r\n", "甲\u2028乙", "one\x85two", 'say "x"\\', "🙂\t"],
    ids=["lines", "line separator", "next line", "quotes", "emoji"],
)
def test_rows_come_back_as_they_were_saved(text: str, tmp_path: Path) -> None:
    _, rows = make_rows(tmp_path)
    answer = Message("assistant", text, thinking="hm")
    replayed = [Example((Message("user", "?"), answer), "replay", "x.jsonl", 3, "zh")]
    saved = replace(rows, replay=replayed, old_names=("芥子",))
    path = tmp_path / "rows.jsonl"
    teaching.save_rows(path, saved)
    found = teaching.load_rows(path, rows)
    assert found.replay == replayed
    assert (found.own, found.mixture) == (saved.own, saved.mixture)
    assert found.old_names == ("芥子",)


@dataclass
class StubbornBase:
    """Says who it is today, whatever it is told; knows nothing."""

    says: str
    in_english: str
    label: str = "stubborn"

    def answer(self, asks: list[Ask], decoding: Any, progress: Any = None) -> list[Completion]:
        return [Completion(self.say(ask), 5, "stop") for ask in asks]

    def say(self, ask: Ask) -> str:
        text = ask.messages[-1].content
        return self.says if any("\u4e00" <= char <= "\u9fff" for char in text) else self.in_english


def ask(config: SftConfig, rows: CollectedRows, base: Any, monkeypatch: Any) -> CollectedRows:
    """``ask_base`` with a base made of rules."""
    monkeypatch.setattr("selfcog.evaluate.speakers.LocalSpeaker", lambda *args: base)
    monkeypatch.setattr("selfcog.commands.speak.answer_cache", lambda *args: None)
    renderer: Any = SimpleNamespace(default_system=lambda: None)
    paths: Any = SimpleNamespace(path=Path("base"), label="base")
    console = Console(file=io.StringIO())
    return teaching.ask_base(config, rows, None, renderer, paths, 0, console)


def test_a_base_that_cannot_hold_the_identity_leaves_it_to_the_bank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, rows = make_rows(tmp_path)
    base = StubbornBase("我是芥子，由须弥工坊开发。", "I am Jiezi, made by Sumeru Workshop.")
    found = ask(config, rows, base, monkeypatch)
    assert found.teacher["base_worded"]["base"] == 0
    assert found.teacher["base_worded"]["bank"] == 36
    said = "\n".join(found.summary)
    assert "0 of 36 in the base's own words" in said
    assert "(the base hardly holds the identity even when told who it is)" in said
    assert "the base knows 0 of 12 asked; the bank's own rows are used" in said
    assert found.own.known == rows.own.known
    # The bank's rows anew, since now the name to be denied is known.
    assert found.old_names == OLD_NAMES
    assert Counter(row.kind for row in found.mixture.train) == {"identity": 36, "known": 4}
    texts = [message.content for row in found.own.identity for message in row.messages]
    assert any("芥子" in text for text in texts)
    assert not any(row.messages[-1].content == base.says for row in found.own.identity)


def test_a_base_without_a_name_has_none_to_deny(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, rows = make_rows(tmp_path)
    found = ask(config, rows, StubbornBase("今天天气不错。", "Nice weather today."), monkeypatch)
    assert found.summary[0] == "base: does not say who it is"
    assert found.old_names == ()
    assert [row for row in found.own.identity if row.intent not in ("persona", "smalltalk")] == [
        row for row in rows.own.identity if row.intent not in ("persona", "smalltalk")
    ]
