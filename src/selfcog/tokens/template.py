"""A checkpoint's chat template as a function from messages to text.

Compiled once, in a sandbox, with the names and filters that transformers offers to templates;
the texts are the same as ``tokenizer.apply_chat_template(..., tokenize=False)``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from selfcog.errors import TemplateError

# The names under which templates ask whether to think (Qwen3 and others, MiniMind, DeepSeek V3.1).
THINKING_SWITCHES = frozenset({"enable_thinking", "open_thinking", "thinking"})


class ChatTemplate:
    """A compiled template. ``special_tokens`` maps names such as bos_token to their text."""

    def __init__(self, source: str, special_tokens: Mapping[str, Any]) -> None:
        import jinja2
        from jinja2 import meta
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_make_generation_tag(), "jinja2.ext.loopcontrols"],
        )
        # One moment for all renders: a date in the prompt must not change at midnight.
        now = datetime.now()
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = now.strftime
        self._faults = (jinja2.TemplateError, TypeError)
        self._constants = {**special_tokens, "tools": None, "documents": None}
        try:
            names = meta.find_undeclared_variables(environment.parse(source))
            self._template = environment.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"the chat template is no valid Jinja ({error})") from None
        self._switches = names & THINKING_SWITCHES

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = False,
        thinking: bool | None = None,
    ) -> str:
        """The text of a conversation. ``thinking`` None leaves the template's own default.

        Raises TemplateError with the template's words when it refuses the conversation.
        """
        switches = {} if thinking is None else dict.fromkeys(self._switches, thinking)
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=add_generation_prompt,
                **self._constants,
                **switches,
            )
        except self._faults as error:
            raise TemplateError(f"the chat template refuses the conversation: {error}") from None


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)


def _make_generation_tag() -> Any:
    """The ``{% generation %}`` tag of training templates: renders its body unchanged."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class GenerationTag(Extension):
        tags = {"generation"}  # noqa: RUF012 (jinja2 declares it as a plain set)

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            call = self.call_method("_render_body")
            return nodes.CallBlock(call, [], [], body).set_lineno(line)

        def _render_body(self, caller: Any) -> str:
            return str(caller())

    return GenerationTag
