"""Names of sources: paths, samples, folders, hub ids."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from selfcog.data import load_dataset
from selfcog.data.read import Source, parse_source, read_rows
from selfcog.data.rows import RawRow
from selfcog.errors import DataError, MissingExtraError
from selfcog.types import Finding

LINE = '{"query": "q%d", "response": "r"}\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with train.jsonl (5 rows)."""
    (tmp_path / "train.jsonl").write_text("".join(LINE % i for i in range(5)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_plain_paths_and_samples(folder: Path) -> None:
    assert parse_source("train.jsonl") == Source("file", "train.jsonl")
    assert parse_source("train.jsonl#3") == Source("file", "train.jsonl", 3)
    assert parse_source("train.jsonl#-1") == Source("file", "train.jsonl", None)
    assert parse_source(str(folder)) == Source("folder", str(folder))
    assert parse_source(f"{folder}#2").sample == 2


def test_a_path_that_exists_wins_over_the_syntax(folder: Path) -> None:
    for name in ("train.jsonl#3", "c:train.jsonl", "a#7"):
        (folder / name).write_text(LINE % 0)
        assert parse_source(name) == Source("file", name)
    assert parse_source("a#7#2") == Source("file", "a#7", 2)
    assert parse_source("c:train.jsonl#2") == Source("file", "c:train.jsonl", 2)


def test_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert parse_source("~/train.jsonl#1") == Source("file", str(folder / "train.jsonl"), 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian.jsonl", "no data at trian.jsonl; did you mean train.jsonl?"),
        ("trian.jsonl#3", "no data at trian.jsonl; did you mean train.jsonl?"),
        ("x/y/z.json", "no data at x/y/z.json: there is no folder x"),
        ("train.jsonl/a", "no data at train.jsonl/a: train.jsonl is not a folder"),
        ("train.jsonl#many", "train.jsonl#many: after # comes a number of rows, found 'many'"),
        ("train.jsonl#0", "train.jsonl#0: #0 takes no rows; give 1 or more, or leave it out"),
        ("  ", "the name of a data file is empty; give a path, a folder or hf::org/name"),
        ("hf::", "hf::: no data set named; write hf::org/name"),
    ],
)
def test_wrong_names(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_source(text)
    assert str(caught.value) == message


def test_something_like_a_hub_id_stays_a_missing_path(folder: Path) -> None:
    with pytest.raises(DataError, match="for a data set on a hub write hf::org/name or ms::org/n"):
        parse_source("org/name")


def test_hub_ids(folder: Path) -> None:
    assert parse_source("hf::org/name") == Source("hf", "org/name")
    assert parse_source("HF::org/name#5") == Source("hf", "org/name", 5)
    assert parse_source("ms::org/name:sub#5") == Source("ms", "org/name", 5, "sub")
    assert parse_source("hf::org/name:a/b") == Source("hf", "org/name", None, "a/b")
    assert parse_source(f"hf::{folder}#2") == Source("hf", str(folder), 2)
    assert parse_source("ms::org/name:sub").name == "ms::org/name:sub"


# Folders --------------------------------------------------------------------------------------


def test_folder_reads_all_its_files_in_order(folder: Path) -> None:
    data = folder / "data"
    (data / "sub").mkdir(parents=True)
    (data / ".hidden").mkdir()
    (data / ".hidden" / "x.jsonl").write_text("broken")
    (data / "b.jsonl").write_text(LINE % 1)
    (data / "a.csv").write_text("query,response\nq2,r\n")
    (data / "sub" / "c.json").write_text(f"[{LINE % 3}]")
    (data / "dataset_info.json").write_text("{}")
    (data / "README.md").write_text("# words")
    findings: list[Finding] = []
    found = list(read_rows(parse_source("data"), findings))
    assert [(Path(raw.source).name, raw.line) for raw in found] == [
        ("a.csv", 2),
        ("b.jsonl", 1),
        ("c.json", 1),
    ]
    (finding,) = findings
    assert "'README.md', 'dataset_info.json'" in finding.message


def test_folder_with_splits_gives_the_train_split(folder: Path) -> None:
    for name in ("train-00000.jsonl", "test-00000.jsonl", "valid.jsonl", "extra.jsonl"):
        (folder / name).write_text(LINE % 0)
    findings: list[Finding] = []
    found = list(read_rows(parse_source("."), findings))
    assert {Path(raw.source).name for raw in found} == {
        "extra.jsonl", "train-00000.jsonl", "train.jsonl"
    }  # fmt: skip
    assert "'test-00000.jsonl', 'valid.jsonl'" in findings[0].message


def test_folder_without_data(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"a folder without data files .*; it is empty"):
        list(read_rows(parse_source("empty")))


# Hubs -----------------------------------------------------------------------------------------


class StandIn(types.ModuleType):
    """The two functions that are used of a hub library, without a network."""

    def __init__(self, result: Any) -> None:
        super().__init__("datasets")
        self.calls: list[Any] = []
        self.result = result
        self.exceptions = types.SimpleNamespace(
            DatasetsError=type("DatasetsError", (Exception,), {})
        )

    def load_dataset(self, path: str, name: str | None = None) -> Any:
        self.calls.append((path, name))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


ROWS = [{"query": "a", "response": "b"}, {"query": "c", "response": "d"}]


def test_hf_train_split_and_subsets(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = StandIn({"test": [], "train": ROWS})
    monkeypatch.setitem(sys.modules, "datasets", hub)
    data = load_dataset(["hf::org/name:zh/en"])
    assert hub.calls == [("org/name", "zh"), ("org/name", "en")]
    assert [(row.source, row.line) for row in data.examples] == [
        ("hf::org/name:zh", 1),
        ("hf::org/name:zh", 2),
        ("hf::org/name:en", 1),
        ("hf::org/name:en", 2),
    ]


def test_hf_only_split_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", StandIn({"all": ROWS}))
    assert len(load_dataset(["hf::org/name#1"]).examples) == 1
    monkeypatch.setitem(sys.modules, "datasets", StandIn({"test": ROWS, "dev": ROWS}))
    with pytest.raises(DataError, match="no split called 'train'; found 'test', 'dev'"):
        load_dataset(["hf::org/name"])


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Couldn't reach 'org/name' on the Hub\n(ConnectionError)"),
        FileNotFoundError("Dataset 'org/name' doesn't exist on the Hub"),
        ValueError("BuilderConfig 'x' not found.\nAvailable: ['y']"),
    ],
)
def test_hf_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setitem(sys.modules, "datasets", StandIn(error))
    with pytest.raises(DataError) as caught:
        load_dataset(["hf::org/name"])
    message = str(caught.value)
    assert message.startswith("hf::org/name: cannot be loaded: ")
    assert str(error).split()[0] in message and "\n" not in message


def test_real_datasets_library_on_a_local_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets", reason="the datasets package is not installed")
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "cache"))
    (folder / "set").mkdir()
    (folder / "train.jsonl").rename(folder / "set" / "train.jsonl")
    data = load_dataset([f"hf::{folder / 'set'}#3"], seed=1)
    assert len(data.examples) == 3
    assert data.counts[0].num_read == 5
    assert all(row.messages[0].content == f"q{row.line - 1}" for row in data.examples)


def test_real_datasets_library_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets", reason="the datasets package is not installed")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="hf::selfcog-tests/none: cannot be loaded") as caught:
        load_dataset(["hf::selfcog-tests/none"])
    assert "\n" not in str(caught.value)


def test_hub_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setitem(sys.modules, "modelscope", None)
    for spec, extra in (("hf::a/b", "data"), ("ms::a/b", "modelscope")):
        with pytest.raises(MissingExtraError, match=rf"pip install 'selfcog\[{extra}\]'"):
            load_dataset([spec])


def test_modelscope(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class MsDataset:
        @staticmethod
        def load(name: str, subset_name: str, split: str) -> list[dict[str, str]]:
            calls.append((name, subset_name, split))
            if name == "org/gone":
                raise errors.NotExistError("404\nnot found")
            return ROWS

    errors = types.ModuleType("modelscope.hub.errors")
    errors.NotExistError = type("NotExistError", (Exception,), {})
    errors.RequestError = type("RequestError", (Exception,), {})
    sets = types.ModuleType("modelscope.msdatasets")
    sets.MsDataset = MsDataset
    for module in (
        types.ModuleType("modelscope"),
        types.ModuleType("modelscope.hub"),
        errors,
        sets,
    ):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    found = list(read_rows(parse_source("ms::org/name")))
    assert found == [RawRow(row, "ms::org/name", i) for i, row in enumerate(ROWS, 1)]
    list(read_rows(parse_source("ms::org/name:zh")))
    assert calls == [("org/name", "default", "train"), ("org/name", "zh", "train")]
    with pytest.raises(DataError, match="ms::org/gone: cannot be loaded: 404 not found"):
        load_dataset(["ms::org/gone"])
