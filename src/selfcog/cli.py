"""``selfcog VERB …``: the verb's module is imported after its words are understood, not before.

Exit codes: 0 done, 2 wrong usage, 1 failed, 130 interrupted, 141 the reader of the output left."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from selfcog import __version__, startup
from selfcog.errors import ConfigError, SelfcogError

# verb → (module below selfcog.commands, one line of help)
VERBS = {
    "demo": ("demo", "teach the model that ships along a name, and show it before and after"),
    "sft": ("sft", "train a model of yours on an identity and on your own data"),
    "sweep": ("sweep", "train a grid of settings, measure each, and choose one"),
    "infer": ("infer", "talk to a model, a checkpoint or a merged folder"),
    "eval": ("eval", "measure a model: is it the new identity, and what did it cost?"),
    "interview": ("interview", "ask a model what it says of itself today"),
    "export": ("export", "merge a checkpoint into a folder that runs anywhere"),
    "merge-lora": ("export", "the same as export --merge_lora true"),
}
SETTINGS_FILES = (".yaml", ".yml", ".json")
# What the same thing is called elsewhere.
OTHER_NAMES = {
    "train": "sft",
    "finetune": "sft",
    "chat": "infer",
    "merge": "merge-lora",
    "score": "eval",
}

HELP = """\
selfcog {version}: give a chat model a name and a maker of its own.

usage: selfcog VERB [run.yaml] [--flag value …]

{verbs}

  help VERB     all flags of a verb (the same as selfcog VERB --help)
  version       the version

start here:
  selfcog demo
  selfcog sft --model PATH --self_cognition_sample 500 --model_name 小黄 'Xiao Huang' \\
      --model_author 某某研究组 'Some Research Group'
  selfcog infer --ckpt_dir output/…/checkpoint-N
  selfcog eval --ckpt_dir output/…/checkpoint-N
  selfcog export --ckpt_dir output/…/checkpoint-N --merge_lora true

ms-swift's flags are understood. NPROC_PER_NODE=2 selfcog sft … trains with two processes.
--debug, or SELFCOG_DEBUG=1, shows the trace of an error.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    if argv is None:
        startup.own_process()
    words = list(sys.argv[1:] if argv is None else argv)
    if "--debug" in words:
        words = [word for word in words if word != "--debug"]
        # Through the environment, so that the ranks which torchrun starts see it as well.
        os.environ["SELFCOG_DEBUG"] = "1"
    # Threads that wait by spinning take the cores from those that compute: on a busy 2-core
    # machine a training step took 1.5 s instead of 0.47 s. Must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _keep_output_printable()
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except SystemExit as stop:
        return _exit_code(stop)
    except BrokenPipeError:
        return _leave_quietly()
    except (SelfcogError, OSError) as error:
        _report(str(error))
        return error.exit_code if isinstance(error, SelfcogError) else 1
    except KeyboardInterrupt:
        _report("interrupted", is_error=False)
        return 130
    except EOFError:
        _report("the input ended before it was complete")
        return 1


def _dispatch(words: list[str]) -> int:
    verb, *rest = words or ["--help"]
    if verb in ("-h", "--help") or words == ["help"]:
        _print_help()
        return 0
    if verb in ("version", "--version", "-V"):
        print(f"selfcog {__version__}")
        return 0
    if verb == "help":
        verb, rest = rest[0], ["--help"]
    if verb not in VERBS and verb.replace("_", "-") in VERBS:
        verb = verb.replace("_", "-")
    if verb not in VERBS:
        raise ConfigError(_explain_unknown(verb))
    command = VERBS[verb][0]
    if "--help" in rest or "-h" in rest:
        from selfcog.config.help import use_colour, write_help

        print(write_help(command, colour=use_colour(sys.stdout)))
        return 0
    return run_verb(command, _complete(verb, rest))


def run_verb(command: str, words: Sequence[str]) -> int:
    """Do what the words after a verb say; the exit code. Raises SelfcogError."""
    from selfcog.config.load import parse_command

    parsed = parse_command(command, words)
    return int(import_module(f"selfcog.commands.{command}").main(parsed))


def _complete(verb: str, words: list[str]) -> list[str]:
    """The words with what their verb lets one leave out."""
    named = {word.partition("=")[0].replace("-", "_") for word in words}
    if verb == "merge-lora" and "__merge_lora" not in named:
        return [*words, "--merge_lora", "true"]
    is_model = words and not words[0].startswith("-") and not words[0].endswith(SETTINGS_FILES)
    if verb == "interview" and is_model:
        return ["--model", *words]
    return words


def _print_help() -> None:
    verbs = "\n".join(f"  {verb:<13} {about}" for verb, (_, about) in VERBS.items())
    print(HELP.format(version=__version__, verbs=verbs), end="")


def _explain_unknown(verb: str) -> str:
    import difflib

    if verb.startswith("-"):
        return f"{verb} before a verb; write: selfcog sft {verb} … (selfcog --help lists the verbs)"
    known = [*VERBS, "help", "version", *OTHER_NAMES]
    match = difflib.get_close_matches(verb.lower(), known, n=1)
    meant = OTHER_NAMES.get(match[0], match[0]) if match else ""
    hint = f"did you mean selfcog {meant}?" if meant else f"verbs: {', '.join(VERBS)}"
    return f"unknown verb {verb}; {hint}"


def _report(message: str, *, is_error: bool = True) -> None:
    """One line on stderr; under torchrun only rank 0 speaks. The trace too when debugging."""
    if os.environ.get("RANK", "0") != "0":
        return
    if os.environ.get("SELFCOG_DEBUG", "") not in ("", "0"):
        traceback.print_exc()
    is_plain = not sys.stderr.isatty() or "NO_COLOR" in os.environ
    label = "" if not is_error else "error: " if is_plain else "\x1b[1;31merror:\x1b[0m "
    print(f"selfcog: {label}{' '.join(message.split())}", file=sys.stderr)


def _keep_output_printable() -> None:
    """A terminal that cannot show a character gets a question mark, not a crash."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _leave_quietly() -> int:
    """The reader (``| head``) has gone: no message, and no second one while Python shuts down."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _exit_code(stop: SystemExit) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_quietly()
    return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
