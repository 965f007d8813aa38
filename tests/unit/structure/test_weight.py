"""What a process must not carry: packages that only another process, or only an option, needs."""

import json
import subprocess
import sys
from functools import cache

import pytest

LIGHT = ("gateway.main", "services.tgi_local.main")
"""Processes without a database."""
MANAGERS = ("access", "context", "memory", "scheduler", "storage", "tool")
OTHERS = tuple(f"services.{name}.main" for name in MANAGERS)

IMPORTER = """
import importlib, json, sys
found = {}
for module in sys.argv[1:]:
    importlib.import_module(module)
    found[module] = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps(found))
"""


@cache
def loaded() -> dict[str, set[str]]:
    """Return the top-level packages that are there after each process was imported, the light ones first.

    One fresh interpreter imports them all: what one must not carry, none before it may carry.
    """
    command = [sys.executable, "-c", IMPORTER, *LIGHT, *OTHERS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return {module: set(packages) for module, packages in found.items()}


@pytest.mark.parametrize("process", LIGHT)
def test_a_process_without_a_database_carries_no_sqlalchemy(process: str) -> None:
    assert not loaded()[process] & {"sqlalchemy", "alembic", "psycopg"}


@pytest.mark.parametrize("process", [*LIGHT, *OTHERS])
def test_no_process_imports_the_stock_client_of_tgi_or_what_it_pins(process: str) -> None:
    assert not loaded()[process] & {"text_generation", "huggingface_hub", "pydantic", "jinja2"}


def test_what_a_process_carries_is_noticed() -> None:
    assert "sqlalchemy" in loaded()["services.access.main"]
