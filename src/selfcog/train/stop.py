"""Stopping in good order: a signal ends the current step, not the process."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

HANDLED = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Inside the block SIGTERM and SIGINT are noted; a second SIGINT ends the process at once.

    A repeated SIGTERM is nothing new: schedulers send it to every process, and torchrun hands it
    on to its ranks as well. Only the main thread can receive signals; elsewhere the block changes
    nothing.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in HANDLED:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._put_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == self.signal_number == signal.SIGINT:
            self._put_back()
            signal.raise_signal(number)
        self.signal_number = number

    def _put_back(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
