"""The gateway's log says once why an inference server cannot be used, and once that it is there."""

import pytest

from gateway.inference.errors import BackendGone
from gateway.inference.service.replicas import PoolConfig, ReplicaPool
from tests.fakes.backend import FakeBackend
from tests.fakes.clock import FakeClock


async def test_a_server_that_is_away_is_told_once_with_the_reason_and_so_is_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = FakeBackend("r0")
    pool = ReplicaPool([backend], lambda *_: None, PoolConfig(), FakeClock())
    caplog.set_level("INFO")

    backend.broken = BackendGone("nothing accepts connections")
    for _ in range(3):
        await pool._probe("r0", pool._replicas["r0"])
    backend.broken = None
    for _ in range(3):
        await pool._probe("r0", pool._replicas["r0"])

    told = [
        (record.levelname, record.aios_fields)  # type: ignore[attr-defined]
        for record in caplog.records
        if record.name == "gateway.inference.service.replicas"
    ]
    assert [level for level, _ in told] == ["WARNING", "INFO"]
    assert "nothing accepts connections" in told[0][1]["why"]
    assert told[1][1]["server"] == "r0"
