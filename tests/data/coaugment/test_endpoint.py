"""The endpoint against a local server: what is sent, what is retried, what is paid, what is reported."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from openmoon.data.coaugment.chat import Failure
from openmoon.data.coaugment.endpoint import DOWN, HOPELESS, Endpoint, Request, ask_all
from openmoon.data.coaugment.journal import Journal
from openmoon.data.coaugment.product import Product
from openmoon.errors import UserError

KEY = "sk-never-to-be-written"
Answer = Callable[[dict[str, Any], int], tuple[int, dict[str, str], bytes]]


def said(text: str, finish: str | None = "stop") -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}, "finish_reason": finish}]}).encode()


class Server(ThreadingHTTPServer):
    """Answers as `answer` says, which is told the request and how often the same one came before."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Answer = lambda body, tries: (200, {}, said("A fine " + body["messages"][1]["content"][0]["text"]))
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.tries: Counter[bytes] = Counter()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(data)
        self.server.seen.append((self.path, dict(self.headers), body))
        tries, self.server.tries[data] = self.server.tries[data], self.server.tries[data] + 1
        status, headers, answer = self.server.answer(body, tries)
        try:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)
        except OSError:
            pass  # the client has given up

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def answers(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "answers.jsonl")


def endpoint(server: Server, **changes: Any) -> Endpoint:
    return replace(Endpoint(server.url, "seer-2", KEY, timeout=5, retries=2, backoff=0.5), **changes)


def requests(count: int, picture: Path | None = None) -> list[Request]:
    return [Request(Product(f"p{n}", f"mug {n}", None, "Mug", {"colour": "red"}), picture) for n in range(count)]


def ask(asked: Endpoint, wanted: list[Request], answers: Journal, waits: list[float] | None = None) -> list[str | Failure]:
    found = dict(ask_all(asked, wanted, answers, pause=(waits if waits is not None else []).append))
    assert sorted(found) == list(range(len(wanted)))
    return [found[n] for n in range(len(wanted))]


def test_what_is_sent(server: Server, answers: Journal, pictures: list[Path]) -> None:
    (text,) = ask(endpoint(server, side=32), requests(1, pictures[0]), answers)
    assert text == "A fine title: mug 0 category: Mug colour: red"
    ((path, headers, body),) = server.seen
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body["model"] == "seer-2"
    url = body["messages"][1]["content"][1]["image_url"]["url"]
    kind, data = url.split(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(data)[:2] == b"\xff\xd8"
    ask(endpoint(server, key=None), requests(1), answers)
    assert "Authorization" not in server.seen[-1][1]


def test_the_key_is_written_nowhere(server: Server, answers: Journal, tmp_path: Path) -> None:
    server.answer = lambda body, tries: (401, {}, f"bad key {KEY}".encode())
    with pytest.raises(UserError, match="HTTP 401 Unauthorized") as error:
        ask(endpoint(server), requests(1), answers)
    assert KEY not in str(error.value)
    server.answer = lambda body, tries: (401, {}, json.dumps({"error": {"message": f"no such key:\n{KEY}."}}).encode())
    with pytest.raises(UserError, match=r"HTTP 401 Unauthorized \(no such key: \(the key\)\)\.") as error:
        ask(endpoint(server), requests(1), answers)
    assert KEY not in repr(endpoint(server))
    assert "\n" not in str(error.value)
    server.answer = lambda body, tries: (200, {}, said("fine"))
    ask(endpoint(server), requests(3), answers)
    assert not any(KEY in path.read_text() for path in tmp_path.rglob("*.jsonl"))


def test_a_key_that_is_refused_later_ends_the_run_too(server: Server, answers: Journal) -> None:
    ask(endpoint(server), requests(1), answers)
    server.answer = lambda body, tries: (401, {}, b"")
    with pytest.raises(UserError, match="HTTP 401"):
        ask(endpoint(server, concurrency=1), requests(8), answers)
    assert len(server.seen) <= 1 + HOPELESS + 1


def test_products_that_are_refused_do_not_end_a_later_run(server: Server, answers: Journal) -> None:
    def answer(body: dict[str, Any], tries: int) -> tuple[int, dict[str, str], bytes]:
        return (400, {}, b"") if int(body["messages"][1]["content"][0]["text"].split()[2]) > 3 else (200, {}, said("x"))

    server.answer = answer
    assert ask(endpoint(server), requests(4), answers) == ["x"] * 4
    for _ in range(2):
        found = ask(endpoint(server), requests(8), answers)
        assert found[:4] == ["x"] * 4
        assert all("HTTP 400" in str(failure) for failure in found[4:])


def test_what_a_model_wants_in_a_request_is_sent(server: Server, answers: Journal) -> None:
    wanted = {"max_completion_tokens": 500, "reasoning_effort": "low"}
    ask(endpoint(server, url=server.url + "/?version=3", parameters=wanted), requests(1), answers)
    ((path, _, body),) = server.seen
    assert path == "/v1/chat/completions?version=3"
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == wanted


@pytest.mark.parametrize("url", ["host/v1", "ftp://host/v1", "http://host:80a/v1", "http:///v1", "http://ho st/v1", "http://host/ü"])
def test_an_address_that_is_none_is_not_asked(url: str, answers: Journal) -> None:
    with pytest.raises(UserError, match=r"endpoint\.url: .* is no address"):
        ask(Endpoint(url, "seer-2"), requests(1), answers)


def test_a_redirect_does_not_carry_the_key_away(server: Server, answers: Journal) -> None:
    server.answer = lambda body, tries: (302, {"Location": server.url + "/elsewhere"}, b"")
    with pytest.raises(UserError, match="HTTP 302"):
        ask(endpoint(server), requests(1), answers)
    assert len(server.seen) == 1


def test_a_busy_server_is_asked_again_with_growing_waits(server: Server, answers: Journal) -> None:
    server.answer = lambda body, tries: (200, {}, said("done")) if tries == 2 else (503, {}, b"")
    waits: list[float] = []
    assert ask(endpoint(server), requests(1), answers, waits) == ["done"]
    assert waits == [0.5, 1.0]
    server.answer = lambda body, tries: (200, {}, said("done")) if tries else (429, {"Retry-After": "7"}, b"")
    waits.clear()
    ask(endpoint(server), requests(2)[1:], answers, waits)
    assert waits == [7.0]


def slow(body: dict[str, Any], tries: int) -> tuple[int, dict[str, str], bytes]:
    time.sleep(0.6)
    return 200, {}, said("late")


@pytest.mark.parametrize(
    ("answer", "reason", "tries"),
    [
        (lambda body, tries: (500, {}, b"oops"), "HTTP 500 Internal Server Error", 3),
        (lambda body, tries: (413, {}, b"{}"), "HTTP 413", 1),
        (lambda body, tries: (200, {}, b"<html>"), "not a chat-completions answer", 3),
        (lambda body, tries: (200, {}, b'{"choices": []}'), "not a chat-completions answer", 3),
        (lambda body, tries: (200, {}, b"[" * 100_000), "not a chat-completions answer", 3),
        (lambda body, tries: (413, {}, b"[" * 100_000), "HTTP 413", 1),
        (lambda body, tries: (503, {"Retry-After": "\xb2"}, b""), "HTTP 503", 3),
        (lambda body, tries: (200, {}, said("  \n")), "empty answer", 1),
        (lambda body, tries: (200, {}, json.dumps({"choices": [{"message": {"content": [{"text": None}, {}]}}]}).encode()),
         "empty answer", 1),
        (lambda body, tries: (200, {}, said("A mug of fine stonewa", "length")), "cut off in the middle; raise max_tokens", 1),
        (lambda body, tries: (200, {}, said("A", "content_filter")), "the endpoint's filter", 1),
        (lambda body, tries: (200, {}, said("a \ud83d mug")), "lone surrogates", 1),
        (lambda body, tries: (413, {}, b'{"error": {"message": "use max_completion_tokens"}}'), "(use max_completion_tokens)", 1),
        (lambda body, tries: (413, {}, b'{"detail": ["too large"]}'), "HTTP 413 Request Entity Too Large", 1),
        (lambda body, tries: (413, {}, b'{"detail": "' + b"x" * 999 + b'"}'), "xxx…)", 1),
        (lambda body, tries: (200, {"Content-Length": "900"}, said("cut off")), "connection broke", 3),
        (slow, "timeout", 3),
    ],
)  # fmt: skip
def test_failures_are_reported_by_reason_and_asked_again_by_the_next_run(
    server: Server, answers: Journal, answer: Answer, reason: str, tries: int
) -> None:
    server.answer = answer
    (failure,) = ask(endpoint(server, timeout=0.2), requests(1), answers)
    assert isinstance(failure, Failure)
    assert reason in str(failure)
    assert len(server.seen) == tries
    server.answer = lambda body, tries: (200, {}, said("better"))
    assert ask(endpoint(server), requests(1), answers) == ["better"]


QUOTA = json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}).encode()


@pytest.mark.parametrize(("status", "body"), [(402, b""), (429, QUOTA)])
def test_an_account_that_is_not_paid_ends_the_run_without_waiting(
    server: Server, answers: Journal, status: int, body: bytes
) -> None:
    server.answer = lambda sent, tries: (status, {}, body)
    waits: list[float] = []
    with pytest.raises(UserError, match=f"HTTP {status}"):
        ask(endpoint(server, concurrency=1), requests(90), answers, waits)
    assert HOPELESS <= len(server.seen) < 90, "the next ones may be under way"
    assert waits == []


@pytest.mark.parametrize("sound", [0, 2])
def test_an_endpoint_in_trouble_ends_the_run(server: Server, answers: Journal, sound: int) -> None:
    """From the start, where nothing usable comes, or later, where the server breaks down."""

    def answer(body: dict[str, Any], tries: int) -> tuple[int, dict[str, str], bytes]:
        place = int(body["messages"][1]["content"][0]["text"].split()[2])
        return (200, {}, said("x")) if place < sound else (200, {}, b"<html>")

    server.answer = answer
    with pytest.raises(UserError, match="not a chat-completions answer"):
        ask(endpoint(server, concurrency=2, retries=0), requests(40), answers)
    assert sound + DOWN * 2 <= len(server.seen) < sound + 40


@pytest.mark.parametrize(("answer", "reason"), [((200, {}, said("")), "empty answer"), ((400, {}, b""), "HTTP 400")])
def test_many_products_in_a_row_without_a_text_end_no_run(
    server: Server, answers: Journal, answer: tuple[int, dict[str, str], bytes], reason: str
) -> None:
    """Once the endpoint answered: neither the run in which it did, nor a later one, which is told the same again."""
    server.answer = lambda body, tries: (200, {}, said("x")) if "mug 0" in str(body) else answer
    for _ in range(2):
        found = ask(endpoint(server, concurrency=1), requests(DOWN + 20), answers)
        assert found[0] == "x"
        assert all(reason in str(failure) for failure in found[1:])


def test_who_stops_waits_for_no_further_try(server: Server, answers: Journal) -> None:
    server.answer = lambda body, tries: (200, {}, said("x")) if "mug 0" in str(body) else (503, {"Retry-After": "60"}, b"")
    asking = ask_all(endpoint(server), requests(4), answers)
    assert next(asking) == (0, "x")
    started = time.monotonic()
    asking.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 10


def test_an_unreadable_picture_costs_its_product_alone(server: Server, answers: Journal, tmp_path: Path) -> None:
    wanted = [*requests(1), Request(Product("x", "mug"), tmp_path / "gone.jpg")]
    text, failure = ask(endpoint(server), wanted, answers)
    assert isinstance(text, str)
    assert "picture cannot be read" in str(failure)
    assert len(server.seen) == 1


def test_nothing_is_paid_twice(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"

    def answer(body: dict[str, Any], tries: int) -> tuple[int, dict[str, str], bytes]:
        number = body["messages"][1]["content"][0]["text"].split()[2]
        return (200, {}, said("x")) if number < "3" else (500, {}, b"")

    server.answer = answer
    first = ask(endpoint(server, retries=0), requests(6), Journal(path))
    assert [isinstance(one, str) for one in first] == [True] * 3 + [False] * 3
    with open(path, "a") as file:
        file.write('{"key": "a line that a kill cut sh')
    server.seen.clear()
    server.answer = lambda body, tries: (200, {}, said("y"))
    assert ask(endpoint(server), requests(6), Journal(path)) == ["x"] * 3 + ["y"] * 3
    assert len(server.seen) == 3
    assert ask(endpoint(server), requests(6), Journal(path)) == ["x"] * 3 + ["y"] * 3
    assert len(server.seen) == 3
    ask(endpoint(server, model="seer-3"), requests(1), Journal(path))
    assert len(server.seen) == 4


def test_equal_requests_under_way_at_once_are_sent_once(server: Server, answers: Journal) -> None:
    server.answer = lambda body, tries: (time.sleep(0.1), (200, {}, said("same")))[1]  # type: ignore[func-returns-value]
    assert ask(endpoint(server), requests(1) * 6, answers) == ["same"] * 6
    assert len(server.seen) == 1


def test_no_more_requests_than_allowed_are_under_way(server: Server, answers: Journal) -> None:
    now, most, lock = 0, 0, threading.Lock()

    def answer(body: dict[str, Any], tries: int) -> tuple[int, dict[str, str], bytes]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return 200, {}, said("x")

    server.answer = answer
    ask(endpoint(server, concurrency=3), requests(12), answers)
    assert most == 3


def test_an_endpoint_that_is_not_there_is_one_clear_line(answers: Journal) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(UserError, match=r"cannot be reached .* Check url, model and key"):
        ask(Endpoint(url, "m", retries=1), requests(5), answers)
    with pytest.raises(UserError, match="is no address"):
        ask(Endpoint("localhost:8000", "m"), requests(1), answers)


def test_a_broken_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"key": "a", "value": 1}\n{"something": 2}\n')
    with pytest.raises(UserError, match="line 2 is no entry"):
        Journal(tmp_path / "answers.jsonl")
