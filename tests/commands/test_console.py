"""What the terminal shows is what was said: texts are never read as markup."""

from __future__ import annotations

import io

from rich.console import Console

from selfcog.console import TrainingView
from selfcog.events import CheckpointEvent, WarningEvent


def shown(*events: CheckpointEvent | WarningEvent) -> str:
    out = io.StringIO()
    view = TrainingView(Console(file=out, width=200, highlight=False))
    for event in events:
        view(event)
    return out.getvalue()


def test_brackets_in_texts_and_paths_stay() -> None:
    text = shown(
        WarningEvent("the name '[bold]X[/]' is odd"),
        CheckpointEvent(3, "/runs/[v1]/checkpoint-3", "signal"),
    )
    assert "the name '[bold]X[/]' is odd" in text
    assert "/runs/[v1]/checkpoint-3" in text
