"""A progress bar for answering questions: who is asked, how many are answered, time left."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


class AskingBar:
    """Shown on a terminal only, and gone when it ends. Use as a context manager."""

    def __init__(self, console: Console, *, show: bool = True) -> None:
        from rich import progress as parts

        self.bar = parts.Progress(
            parts.TextColumn("{task.description}"),
            parts.BarColumn(bar_width=24),
            parts.MofNCompleteColumn(),
            parts.TimeElapsedColumn(),
            parts.TextColumn("ETA"),
            parts.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (show and console.is_terminal),
        )
        self.task = self.bar.add_task("asking", total=None)
        self.who = ""

    def __enter__(self) -> AskingBar:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def say(self, what: str) -> None:
        """What goes on while nothing can be counted."""
        self.bar.update(self.task, description=what, total=None)

    def show(self, who: str, done: int, total: int) -> None:
        """``done`` of ``total`` conversations of ``who`` are answered."""
        if who != self.who:
            self.who = who
            self.bar.reset(self.task, description=f"asking: {who}", total=total)
        self.bar.update(self.task, completed=done, total=total)
