"""Who may call the engine: those with its key, by a name it goes by, and no web page."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from services.tgi_local.config import TgiLocalConfig
from services.tgi_local.main import Server, StartError, build
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.tgi_local import http, tgi_local

KEY = "0123456789abcdef-key"
SHOWN = {"Authorization": f"Bearer {KEY}"}
ASKING = {"inputs": "hello", "parameters": {"max_new_tokens": 2}}
ROUTES = [
    ("POST", "/"),
    ("POST", "/generate"),
    ("POST", "/generate_stream"),
    ("POST", "/tokenize"),
    ("POST", "/chat_tokenize"),
    ("POST", "/aios/v1/suspend"),
    ("DELETE", "/aios/v1/kv/handle"),
    ("GET", "/info"),
    ("GET", "/metrics"),
    ("GET", "/nothing"),
    ("POST", "/health"),
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"weights")
    engine = FakeEngine(tmp_path / "data" / "snapshots")
    async with tgi_local(model, tmp_path / "data", engine, api_key=KEY, names=("engine.test",)) as started:
        yield started


async def test_its_directory_is_closed_or_refused(tmp_path: Path) -> None:
    model, data = tmp_path / "model.gguf", tmp_path / "data"
    model.write_bytes(b"weights")
    (data / "snapshots").mkdir(parents=True)
    data.chmod(0o755)
    (tmp_path / "link").symlink_to(data)
    engine = FakeEngine(data / "snapshots")
    async with tgi_local(model, data, engine, api_key=KEY):
        assert all(not path.lstat().st_mode & 0o077 for path in (data, data / "snapshots"))

    with pytest.raises(StartError, match="is a link"):
        await build(TgiLocalConfig(model=str(model), data_dir=tmp_path / "link", port=0), engine=engine)


@pytest.fixture
async def web(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with http(server) as session:
        yield session


async def status(
    web: aiohttp.ClientSession, method: str, path: str, headers: list[tuple[str, str]] | dict[str, str]
) -> int:
    async with web.request(
        method, path, json=ASKING if method == "POST" else None, headers=headers
    ) as response:
        return response.status


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_the_key_nothing_is_answered(
    web: aiohttp.ClientSession, method: str, path: str
) -> None:
    wrong = ["", f"Basic {KEY}", KEY, f"Bearer {KEY[:-1]}", f"Bearer {KEY}x", "Bearer \u00e9\u00e9", "Bearer"]

    assert await status(web, method, path, {}) == 401
    assert {await status(web, method, path, {"Authorization": each}) for each in wrong} == {401}
    twice = [("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer other")]
    assert await status(web, method, path, twice) == 401


async def test_the_key_opens_it(web: aiohttp.ClientSession) -> None:
    assert await status(web, "POST", "/generate", SHOWN) == 200
    assert await status(web, "GET", "/info", {"authorization": f"bearer {KEY}"}) == 200
    assert await status(web, "GET", "/nothing", SHOWN) == 404


@pytest.mark.parametrize("path", ["/", "/health", "/ping"])
async def test_health_needs_no_key(web: aiohttp.ClientSession, path: str) -> None:
    assert await status(web, "GET", path, {}) == 200
    assert await status(web, "HEAD", path, {}) == 200


@pytest.mark.parametrize("path", ["/health", "/generate", "/info"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:7079",
        "10.1.2.3",
        "[2001:db8::1]:7079",
        "",
        "a b",
    ],
)
async def test_a_name_it_does_not_go_by_is_refused_with_the_key_too(
    web: aiohttp.ClientSession, path: str, host: str
) -> None:
    method = "POST" if path == "/generate" else "GET"

    assert await status(web, method, path, SHOWN | {"Host": host}) == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:7079", "[::1]", "engine.test:80", "engine.test."]
)
async def test_its_own_names_are_answered(web: aiohttp.ClientSession, host: str) -> None:
    assert await status(web, "GET", "/info", SHOWN | {"Host": host}) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_web_pages_are_refused(web: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    assert await status(web, "POST", "/generate", SHOWN | headers) == 403
    assert await status(web, "GET", "/health", headers) == 403
