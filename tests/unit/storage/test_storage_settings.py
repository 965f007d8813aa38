"""Documents and settings of storage agree with the code."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from services.chassis.db.migrations import upgrade
from services.chassis.db.usage import USAGE
from services.chassis.runtime.config import ConfigError, load
from services.storage.config import StorageConfig
from services.storage.metrics import StorageMetrics
from services.storage.store.sql import MIGRATIONS
from services.storage.store.tables import METADATA

README = Path(__file__).parents[3] / "services" / "storage" / "README.md"


def test_the_readme_lists_every_metric() -> None:
    registry = CollectorRegistry()
    StorageMetrics(registry)
    names = {metric.name + ("_total" if metric.type == "counter" else "") for metric in registry.collect()}

    assert set(re.findall(r"`(aios_storage_\w+)`", README.read_text())) == names


def test_limits_that_allow_nothing_stop_the_start() -> None:
    with pytest.raises(ConfigError, match="QUOTA_BYTES"):
        load(StorageConfig, {"AIOS_STORAGE_QUOTA_BYTES": "0"}, "AIOS_STORAGE_")


def test_the_migrations_make_the_tables_that_the_code_expects(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/m.db")
    with engine.begin() as conn:
        upgrade(conn, MIGRATIONS)
        inspector = sa.inspect(conn)
        found = {
            table.name: (
                {column["name"] for column in inspector.get_columns(table.name)},
                inspector.get_pk_constraint(table.name)["constrained_columns"],
            )
            for table in METADATA.sorted_tables
        }
    engine.dispose()

    assert found == {
        table.name: (set(table.columns.keys()), [column.name for column in table.primary_key])
        for table in METADATA.sorted_tables
    }


BY_WRITER = {"nodes_by_writer", "versions_by_writer"}
"""Find what a purged agent left with others of its tenant."""


def test_tenant_and_agent_lead_every_key_and_index() -> None:
    for table in METADATA.sorted_tables:
        keys = [list(table.primary_key.columns.keys())]
        indexes = table.indexes if table.name != "idempotency" else ()
        keys += [list(index.columns.keys()) for index in indexes if index.name not in BY_WRITER]
        lead = ["tenant", "level"] if table.name == USAGE else ["tenant", "agent"]

        assert all(key[:2] == lead for key in keys), table.name
