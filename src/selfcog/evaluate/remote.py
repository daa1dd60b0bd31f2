"""A model behind the OpenAI chat API: vLLM, Ollama, llama.cpp's server, selfcog's own.

Only ``POST {base_url}/chat/completions`` is used, without streaming. The standard library does the
HTTP; several requests are under way at a time, which servers batch.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from selfcog.errors import ConfigError, ModelError
from selfcog.evaluate.speakers import Ask, Decoding, Progress
from selfcog.model.text_pieces import split_thinking
from selfcog.types import Completion

# Answers that a busy or starting server gives; the same request may succeed a moment later.
RETRY_STATUS = (408, 425, 429, 500, 502, 503, 504)
RETRY_WAITS_S = (0.5, 2.0, 5.0)


@dataclass
class RemoteSpeaker:
    """``model`` as the server calls it. ``api_key`` goes into the Authorization header.

    ``system`` is put first where a conversation has no system message (None: nothing is).
    """

    base_url: str
    model: str
    api_key: str | None = None
    system: str | None = None
    timeout_s: float = 120.0
    num_parallel: int = 8
    can_prefill: bool = False

    def __post_init__(self) -> None:
        try:
            parts = urllib.parse.urlsplit(self.base_url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            # Reading the port checks it; white space would break the request line.
            usable = usable and parts.port != 0 and not any(map(str.isspace, self.base_url))
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError(
                f"--base_url {self.base_url} is no web address; give http://HOST:PORT/v1"
            )
        self.base_url = self.base_url.rstrip("/")

    @property
    def label(self) -> str:
        return f"{self.model} at {self.base_url}"

    def answer(
        self, asks: Sequence[Ask], decoding: Decoding, progress: Progress | None = None
    ) -> list[Completion]:
        """Raises ModelError when the server cannot be reached or refuses."""
        answers: list[Completion] = []
        with ThreadPoolExecutor(self.num_parallel) as pool:
            jobs = [
                pool.submit(self._complete, ask, decoding, decoding.seed + place)
                for place, ask in enumerate(asks)
            ]
            try:
                for job in jobs:
                    answers.append(job.result())
                    if progress is not None:
                        progress(len(answers), len(jobs))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return answers

    def _complete(self, ask: Ask, decoding: Decoding, seed: int) -> Completion:
        turns = [{"role": turn.role, "content": turn.content} for turn in ask.messages]
        if self.system is not None and turns[0]["role"] != "system":
            turns.insert(0, {"role": "system", "content": self.system})
        body: dict[str, Any] = {
            "model": self.model,
            "messages": turns,
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "stream": False,
        }
        if decoding.temperature > 0:
            body["seed"] = seed
        return self._read(self._post(body))

    def _read(self, reply: Any) -> Completion:
        try:
            choice = reply["choices"][0]
            message = choice["message"]
            text = _join_parts(message["content"])
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{self.base_url} answered without choices[0].message.content "
                f"({str(reply)[:120]}); is it a chat completions API?"
            ) from error
        thinking, answer = split_thinking(text, opened=False)
        thinking = thinking or message.get("reasoning_content") or message.get("reasoning")
        reason: Literal["stop", "length"] = (
            "length" if choice.get("finish_reason") == "length" else "stop"
        )
        num_tokens = (reply.get("usage") or {}).get("completion_tokens") or 0
        return Completion(answer, num_tokens, reason, thinking)

    def _post(self, body: dict[str, Any]) -> Any:
        url = f"{self.base_url}/chat/completions"
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        data = json.dumps(body).encode()
        for wait_s in (*RETRY_WAITS_S, None):
            request = urllib.request.Request(url, data, headers)
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                    return json.loads(response.read())
            except urllib.error.HTTPError as error:
                detail = error.read(300).decode(errors="replace").strip()
                if error.code not in RETRY_STATUS or wait_s is None:
                    raise ModelError(f"{url} answered {error.code}: {detail}") from error
            except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
                if wait_s is None:
                    reason = getattr(error, "reason", error)
                    raise ModelError(
                        f"{url} cannot be reached ({reason}); is the server running?"
                    ) from error
            except ValueError as error:  # not JSON, or not even text
                raise ModelError(f"{url} did not answer in JSON ({error})") from error
            time.sleep(wait_s or 0.0)
        raise AssertionError("the last try returns or raises")


def _join_parts(content: Any) -> str:
    """A message's text; some servers give it as a list of parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type", "text") == "text")
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError("content is no text")
    return content
