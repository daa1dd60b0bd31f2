"""RemoteSpeaker against a real server on this machine, with a stub behind it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from stub_speaker import (
    IDENTITY,
    INTERVIEW,
    OLD,
    StubSpeaker,
    introduce,
    make_base,
    suite_of,
)

from selfcog.errors import ConfigError, ModelError
from selfcog.evaluate import remote
from selfcog.evaluate.measure import Examiner
from selfcog.evaluate.questions import Question
from selfcog.evaluate.remote import RemoteSpeaker
from selfcog.evaluate.speakers import Ask, Decoding
from selfcog.types import Message

# (body of the request) → status, and the reply: JSON, or bytes as they are.
Reply = Callable[[dict[str, Any]], tuple[int, Any]]
QUICK = suite_of("quick")


class ChatServer(ThreadingHTTPServer):
    """Answers POST /v1/chat/completions by ``reply``; keeps the requests in order of arrival."""

    request_queue_size = 64
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply: Reply = lambda body: (200, answer_with("好的。"))
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def speaker(self, **settings: Any) -> RemoteSpeaker:
        return RemoteSpeaker(self.base_url, "tuned", **settings)


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((dict(self.headers), body))
        status, reply = (
            (404, {}) if self.path != "/v1/chat/completions" else self.server.reply(body)
        )
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody waits any more
            self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(remote, "RETRY_WAITS_S", (0.0, 0.0, 0.0))
    with ChatServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def answer_with(text: str, *, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    turn = {"role": "assistant", "content": text, **message}
    return {
        "choices": [{"message": turn, "finish_reason": finish_reason}],
        "usage": {"completion_tokens": 7},
    }


def failing_first(times: int, status: int) -> Reply:
    """A reply that fails the first ``times`` requests with a status, and then succeeds."""
    failures = iter([status] * times)
    return lambda body: (
        (found, {"error": "not now"})
        if (found := next(failures, None))
        else (200, answer_with("我是扁仓。"))
    )


def ask(text: str = "你是谁？") -> Ask:
    return Ask((Message("user", text),))


def replying_as(stub: StubSpeaker) -> Reply:
    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        turns = tuple(Message(turn["role"], turn["content"]) for turn in body["messages"])
        decoding = Decoding(body["max_tokens"], body["temperature"], body["top_p"])
        return 200, answer_with(stub.answer([Ask(turns)], decoding)[0].text)

    return reply


def leak_when_sampled(question: Question, right: str, decoding: Decoding) -> str:
    """A fault at the sixth turn, and one more in samples only."""
    if question.template.endswith("multi_turn.t6"):
        return introduce(OLD, question.language)
    sampled = decoding.temperature > 0 and question.id == "zh.generalisation.01"
    return introduce(OLD, "zh") if sampled else right


# --- The same as when asked directly ----------------------------------------------------------


def test_a_server_gives_the_answers_of_the_stub_behind_it(server: ChatServer) -> None:
    stub = StubSpeaker(QUICK)
    server.reply = replying_as(stub)
    asks = [
        Ask(tuple(Message(turn.role, turn.text or "") for turn in question.turns))
        for question in QUICK.questions[:40]
    ]
    direct = [one.text for one in stub.answer(asks, Decoding())]
    assert [one.text for one in server.speaker().answer(asks, Decoding())] == direct


def test_a_server_gets_the_scorecard_of_the_stub_behind_it(server: ChatServer) -> None:
    stub = StubSpeaker(QUICK, fault=leak_when_sampled, can_prefill=False)
    server.reply = replying_as(stub)
    examiner = Examiner(IDENTITY, QUICK, INTERVIEW, num_samples=1)
    direct = examiner.score(stub, make_base(QUICK))
    served = examiner.score(server.speaker(), make_base(QUICK))
    assert served.tuned == f"tuned at {server.base_url}"
    assert direct.pool.leaks.num_passed > 1
    for part in ("families", "pool", "overclaims", "gates", "verdict", "failures", "notes"):
        assert getattr(served, part) == getattr(direct, part), part


# --- What is sent -----------------------------------------------------------------------------


def test_the_key_is_sent_as_authorization(server: ChatServer) -> None:
    server.speaker(api_key="sk-1").answer([ask()], Decoding())
    headers, _ = server.requests[0]
    assert headers["Authorization"] == "Bearer sk-1"


def test_without_a_key_no_authorization_is_sent(server: ChatServer) -> None:
    server.speaker().answer([ask()], Decoding())
    headers, _ = server.requests[0]
    assert "Authorization" not in headers


def test_the_decoding_is_sent(server: ChatServer) -> None:
    server.speaker().answer([ask()], Decoding(9, 0.7, 0.9, seed=5))
    _, body = server.requests[0]
    sent = {key: body[key] for key in ("model", "max_tokens", "temperature", "top_p", "seed")}
    assert sent == {
        "model": "tuned", "max_tokens": 9, "temperature": 0.7, "top_p": 0.9, "seed": 5,
    }  # fmt: skip
    assert body["stream"] is False


def test_every_sampled_answer_has_a_seed_of_its_own(server: ChatServer) -> None:
    server.speaker().answer([ask(), ask()], Decoding(temperature=0.7, seed=5))
    assert sorted(body["seed"] for _, body in server.requests) == [5, 6]


def test_the_system_prompt_comes_first_where_there_is_none(server: ChatServer) -> None:
    server.speaker(system="你是助手。").answer([ask()], Decoding())
    _, body = server.requests[0]
    assert body["messages"][0] == {"role": "system", "content": "你是助手。"}


def test_a_questions_own_system_prompt_is_kept(server: ChatServer) -> None:
    own = Ask((Message("system", ""), Message("user", "你是谁？")))
    server.speaker(system="你是助手。").answer([own], Decoding())
    _, body = server.requests[0]
    assert [turn["content"] for turn in body["messages"]] == ["", "你是谁？"]


def test_a_slash_at_the_end_of_the_address_does_no_harm(server: ChatServer) -> None:
    speaker = RemoteSpeaker(server.base_url + "/", "tuned")
    assert speaker.answer([ask()], Decoding())[0].text == "好的。"


def test_an_address_without_http_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="localhost:8000/v1"):
        RemoteSpeaker("localhost:8000/v1", "tuned")


# --- What comes back --------------------------------------------------------------------------


def test_the_number_of_tokens_and_a_cut_off_answer_are_read(server: ChatServer) -> None:
    server.reply = lambda body: (200, answer_with("我是", finish_reason="length"))
    (found,) = server.speaker().answer([ask()], Decoding())
    assert (found.text, found.num_tokens, found.finish_reason) == ("我是", 7, "length")


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_beside_the_answer_becomes_thinking(server: ChatServer, key: str) -> None:
    server.reply = lambda body: (200, answer_with("我是扁仓。", **{key: "用户问我是谁。"}))
    (found,) = server.speaker().answer([ask()], Decoding())
    assert (found.text, found.thinking) == ("我是扁仓。", "用户问我是谁。")


def test_reasoning_in_the_answer_is_split_off(server: ChatServer) -> None:
    text = "<think>\n用户问我是谁。\n</think>\n\n我是扁仓。"
    server.reply = lambda body: (200, answer_with(text))
    (found,) = server.speaker().answer([ask()], Decoding())
    assert (found.text, found.thinking) == ("我是扁仓。", "用户问我是谁。")


def test_no_content_is_an_empty_answer(server: ChatServer) -> None:
    server.reply = lambda body: (200, answer_with("", content=None))
    assert server.speaker().answer([ask()], Decoding())[0].text == ""


def test_answers_keep_the_order_of_the_questions(server: ChatServer) -> None:
    def slow_at_first(body: dict[str, Any]) -> tuple[int, Any]:
        text = body["messages"][-1]["content"]
        time.sleep(0.05 if int(text) < 4 else 0.0)
        return 200, answer_with(f"answer {text}")

    server.reply = slow_at_first
    told: list[tuple[int, int]] = []
    asks = [ask(str(place)) for place in range(20)]
    found = server.speaker().answer(asks, Decoding(), lambda *counts: told.append(counts))
    assert [one.text for one in found] == [f"answer {place}" for place in range(20)]
    assert told == [(place, 20) for place in range(1, 21)]


# --- What goes wrong --------------------------------------------------------------------------


def test_a_busy_server_is_asked_again(server: ChatServer) -> None:
    server.reply = failing_first(2, 503)
    (found,) = server.speaker().answer([ask()], Decoding())
    assert found.text == "我是扁仓。"
    assert len(server.requests) == 3


def test_a_server_that_stays_busy_is_a_model_error(server: ChatServer) -> None:
    server.reply = lambda body: (503, {"error": "loading"})
    with pytest.raises(ModelError, match=r"503.*loading"):
        server.speaker().answer([ask()], Decoding())
    assert len(server.requests) == 1 + len(remote.RETRY_WAITS_S)


def test_a_refused_key_is_a_model_error_at_once(server: ChatServer) -> None:
    server.reply = lambda body: (401, {"error": "bad key"})
    with pytest.raises(ModelError, match=r"401.*bad key"):
        server.speaker().answer([ask()], Decoding())
    assert len(server.requests) == 1


def test_one_failed_answer_ends_the_others(server: ChatServer) -> None:
    server.reply = lambda body: (401, {"error": "bad key"})
    with pytest.raises(ModelError):
        server.speaker(num_parallel=2).answer([ask()] * 200, Decoding())
    assert len(server.requests) < 200


def test_nobody_listening_is_a_model_error_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(remote, "RETRY_WAITS_S", (0.0, 0.0, 0.0))
    with socket.socket() as taken:  # bound, but not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        speaker = RemoteSpeaker(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "tuned")
        start = time.monotonic()
        with pytest.raises(ModelError, match="is the server running"):
            speaker.answer([ask()] * 20, Decoding())
    assert time.monotonic() - start < 5


def test_a_server_that_does_not_answer_in_time_is_a_model_error(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "RETRY_WAITS_S", ())
    released = threading.Event()

    def hang(body: dict[str, Any]) -> tuple[int, Any]:
        released.wait(5)
        return 200, answer_with("too late")

    server.reply = hang
    with pytest.raises(ModelError, match="timed out"):
        server.speaker(timeout_s=0.1).answer([ask()], Decoding())
    released.set()


@pytest.mark.parametrize(
    "reply", [{"error": "no such model"}, {"choices": []}, {"choices": [{"text": "hi"}]}, ["hi"]]
)
def test_a_reply_without_choices_is_a_clear_model_error(server: ChatServer, reply: Any) -> None:
    server.reply = lambda body: (200, reply)
    with pytest.raises(ModelError, match=r"choices\[0\].message.content.*chat completions API"):
        server.speaker().answer([ask()], Decoding())


def test_a_web_page_is_a_clear_model_error(server: ChatServer) -> None:
    server.reply = lambda body: (200, b"<html>Welcome</html>")
    with pytest.raises(ModelError, match="did not answer in JSON"):
        server.speaker().answer([ask()], Decoding())


def test_a_wrong_path_is_a_model_error_that_names_it(server: ChatServer) -> None:
    speaker = RemoteSpeaker(server.base_url.removesuffix("/v1"), "tuned")
    with pytest.raises(ModelError, match=r"/chat/completions answered 404"):
        speaker.answer([ask()], Decoding())


def test_bytes_that_are_no_text_are_a_model_error(server: ChatServer) -> None:
    server.reply = lambda body: (200, b"\xff\xfe\xfa")
    with pytest.raises(ModelError):
        server.speaker().answer([ask()], Decoding())


def test_content_in_parts_is_joined(server: ChatServer) -> None:
    parts = [{"type": "text", "text": "我是"}, {"type": "text", "text": "扁仓。"}]
    server.reply = lambda body: (200, answer_with("", content=parts))
    [found] = server.speaker().answer([ask()], Decoding())
    assert found.text == "我是扁仓。"


@pytest.mark.parametrize("content", [7, {"text": "我是扁仓。"}, [{"type": "text"}]])
def test_content_that_is_no_text_is_a_model_error(server: ChatServer, content: object) -> None:
    server.reply = lambda body: (200, answer_with("", content=content))
    with pytest.raises(ModelError, match="chat completions"):
        server.speaker().answer([ask()], Decoding())


def test_an_answer_that_breaks_off_is_a_model_error(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def promise_more(handler: _Handler, name: str, value: str) -> None:
        more = "1000000" if name == "Content-Length" else value
        BaseHTTPRequestHandler.send_header(handler, name, more)

    monkeypatch.setattr(_Handler, "send_header", promise_more)
    with pytest.raises(ModelError):
        server.speaker().answer([ask()], Decoding())


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:port/v1", "http://127.0.0.1:80 80/v1"])
def test_an_address_that_cannot_be_read_is_an_error_for_the_user(base_url: str) -> None:
    with pytest.raises((ConfigError, ModelError)):
        RemoteSpeaker(base_url, "tuned").answer([ask()], Decoding())
