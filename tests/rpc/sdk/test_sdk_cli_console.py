"""`aios console` against a listener with a console and no kernel but access."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from aios.cli import main as cli

Run = Callable[..., tuple[int, str, str]]


class Door(BaseHTTPRequestHandler):
    """Answers for codes as the console does, and keeps what it was asked."""

    asked: list[dict[str, str]]
    status = 200
    body: Any

    def do_POST(self) -> None:
        """Answer."""
        self.asked.append(
            {"path": self.path, **{name.lower(): value for name, value in self.headers.items()}}
        )
        raw = json.dumps(self.body).encode()
        self.send_response(self.status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def door() -> Iterator[HTTPServer]:
    Door.asked, Door.status, Door.body = [], 200, {"code": "one-time", "seconds": 60.0}
    with HTTPServer(("127.0.0.1", 0), Door) as server:
        running = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        running.start()
        yield server
        server.shutdown()
        running.join()


@pytest.fixture
def run(door: HTTPServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("AIOS_TOKEN", "a.b.c")
    monkeypatch.setenv("AIOS_DOOR_URL", f"http://127.0.0.1:{door.server_port}")
    monkeypatch.delenv("AIOS_AGENT_KEY", raising=False)

    def invoke(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        code = ended.value.code
        out, err = capsys.readouterr()
        return (code if isinstance(code, int) else 0), out, err

    return invoke


def test_the_address_holds_a_code_behind_the_hash_and_no_credential(run: Run, door: HTTPServer) -> None:
    code, out, _ = run("console")

    assert code == 0
    assert out.strip() == f"http://127.0.0.1:{door.server_port}/console/sign-in#code=one-time"
    [asked] = Door.asked
    assert (asked["path"], asked["authorization"]) == ("/console/codes", "Bearer a.b.c")
    assert asked["x-aios-console"] == "1"
    assert json.loads(run("console", "--json")[1])["seconds"] == 60


def test_a_refusal_says_why_and_what_to_do(run: Run) -> None:
    Door.status, Door.body = 401, {"message": "the token has expired", "hint": "Get a new token."}
    code, out, err = run("console")

    assert (code, out) == (1, "")
    assert "the token has expired" in err
    assert "Get a new token." in err


def test_a_gateway_without_a_console_is_told_apart(run: Run) -> None:
    Door.status, Door.body = 404, {"error": {"message": "no such path"}}
    code, _, err = run("console")

    assert code == 1
    assert "AIOS_GATEWAY_CONSOLE=on" in err


def test_a_door_that_is_not_there_is_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOS_DOOR_URL", "http://127.0.0.1:1")
    code, _, err = run("console")

    assert code == 1
    assert "aios up" in err
