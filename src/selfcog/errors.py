"""Every error that a user can meet. One root, so that the command line can print one line for it.

Each message says what is wrong, what was found and what to do. ``exit_code`` is what the process
ends with: 2 for wrong usage, 1 for everything else.
"""


class SelfcogError(Exception):
    """Root of all errors that are meant for the user, not for the developer."""

    exit_code = 1


class ConfigError(SelfcogError, ValueError):
    """A flag, a key or a combination of settings that cannot be used."""

    exit_code = 2


class DataError(SelfcogError, ValueError):
    """Rows or files that cannot be used as training or question data."""


class TemplateError(SelfcogError, ValueError):
    """A chat template that cannot render a conversation, or whose answer cannot be located."""


class ModelError(SelfcogError, ValueError):
    """A model, adapter or tokenizer that is missing, incomplete or of the wrong kind."""


class TrainError(SelfcogError, RuntimeError):
    """Training that cannot start or go on: nothing to train on, a loss of 0 or NaN."""


class ExportError(SelfcogError, RuntimeError):
    """A merge or conversion that failed or whose result does not answer like its source."""


class MissingExtraError(SelfcogError, ImportError):
    """An optional package that a named feature needs; the message has the install line."""


class Interrupted(SelfcogError):
    """A signal ended the run after a checkpoint was written. Exit code 128 + signal number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[type["Interrupted"], tuple[str, int]]:
        return Interrupted, (str(self), self.exit_code - 128)


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
