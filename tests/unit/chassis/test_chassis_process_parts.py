"""What a process derives from its variables: ports, endpoints, database, credential."""

from pathlib import Path

import pytest

from services.chassis.runtime import process as processes
from services.chassis.runtime.config import ConfigError
from services.chassis.runtime.process import Process
from services.chassis.runtime.server import ServerConfig


async def test_the_default_ports_follow_from_the_service() -> None:
    memory = Process("memory", {}).server_config()
    gateway = Process("gateway", {}).server_config()
    moved = Process("memory", {"AIOS_MEMORY_PORT": "9000"}).server_config()

    assert (memory.port, memory.http_port, memory.health_port) == (7073, 7173, 7273)
    assert (gateway.port, gateway.http_port, gateway.health_port) == (7070, 7080, 7270)
    assert (moved.port, moved.http_port, moved.health_port) == (9000, 9100, 9200)


async def test_every_port_can_be_chosen() -> None:
    environ = {
        "AIOS_MEMORY_PORT": "0",
        "AIOS_MEMORY_HTTP_PORT": "8001",
        "AIOS_MEMORY_HEALTH_PORT": "8002",
        "AIOS_MEMORY_HOST": "0.0.0.0",
        "AIOS_DRAIN_SECONDS": "5",
        "AIOS_GRACE_SECONDS": "7",
    }
    config = Process("memory", environ).server_config()

    assert (config.host, config.port, config.http_port, config.health_port) == ("0.0.0.0", 0, 8001, 8002)
    assert (config.drain.total_seconds(), config.grace.total_seconds()) == (5, 7)


async def test_a_process_may_serve_its_own_pages() -> None:
    process = Process("gateway", {})

    assert process.server_config(serve_http=False) == ServerConfig(
        host="127.0.0.1", port=7070, http_port=None, health_port=7270
    )
    assert process.http_address() == ("127.0.0.1", 7080)


async def test_a_peer_is_found_by_its_variable_or_its_default_port() -> None:
    process = Process("memory", {"AIOS_STORAGE_ENDPOINT": "dns:///storage:7074"})

    assert process.endpoint("storage") == "dns:///storage:7074"
    assert process.endpoint("access") == "127.0.0.1:7076"


async def test_a_channel_is_opened_once() -> None:
    process = Process("memory", {})
    async with process.stack:
        assert process.channel("storage") is process.channel("storage")


async def test_the_database_is_migrated_and_closed_with_the_process(tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    process = Process("memory", {"AIOS_DATA_DIR": str(tmp_path / "data")})
    async with process.stack:
        database = await process.database(migrations)
        assert await database.problem() is None

    assert (tmp_path / "data" / "memory.db").exists()


async def test_a_missing_service_key_is_a_configuration_error(tmp_path: Path) -> None:
    process = Process("memory", {"AIOS_DATA_DIR": str(tmp_path)})
    async with process.stack:
        with pytest.raises(ConfigError, match=r"memory\.key"):
            _ = process.credential


async def test_the_service_key_is_read_from_its_file(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")
    process = Process("memory", {"AIOS_SERVICE_KEY_FILE": str(key)})
    async with process.stack:
        assert process.credential is process.credential
    key.write_text("")
    empty = Process("memory", {"AIOS_SERVICE_KEY_FILE": str(key)})
    async with empty.stack:
        with pytest.raises(ConfigError, match="empty"):
            _ = empty.credential


def test_the_help_shows_common_and_own_variables() -> None:
    text = processes.help_config("memory", ServerConfig)

    assert "AIOS_DATA_DIR" in text
    assert "AIOS_MEMORY_DATABASE_URL" in text
    assert "AIOS_MEMORY_GRACE" in text
