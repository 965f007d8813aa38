"""The MCP server is there when it is wanted and its SDK is."""

import pytest

from gateway.http import optional
from gateway.http.mcp.settings import McpSettings

KEY = "k" * 32


async def test_it_is_made_where_its_sdk_is_installed() -> None:
    assert len(await optional.mcp(McpSettings(), KEY)) == 1


async def test_switched_off_it_is_not_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "import_module", lambda _name: pytest.fail("imported"))

    assert await optional.mcp(McpSettings(enabled=False), KEY) == []


async def test_without_the_extra_the_gateway_goes_on_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "find_spec", lambda _name: None)

    assert await optional.mcp(McpSettings(), KEY) == []


async def test_with_another_version_of_the_sdk_it_goes_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str) -> None:
        raise ImportError("no such name in this version")

    monkeypatch.setattr(optional, "import_module", broken)

    assert await optional.mcp(McpSettings(), KEY) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"state_keys": ("short",)},
        {"sessions_per_agent": 0},
        {"max_body_bytes": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        McpSettings(**bad)  # type: ignore[arg-type]
