"""What a process must not carry: packages that only another process, or only an option, needs."""

import subprocess
import sys

import pytest

LIGHT = ("gateway", "scheduler", "tgi_local")
"""Processes without a database."""


def loaded(module: str) -> set[str]:
    """Import a module in a fresh interpreter; return the top-level packages that came with it."""
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("process", LIGHT)
def test_a_process_without_a_database_carries_no_sqlalchemy(process: str) -> None:
    module = f"{process}.main" if process == "gateway" else f"services.{process}.main"

    assert not loaded(module) & {"sqlalchemy", "alembic", "psycopg"}


@pytest.mark.parametrize(
    "process", ["access", "context", "gateway", "memory", "scheduler", "storage", "tgi_local", "tool"]
)
def test_no_process_imports_the_stock_client_of_tgi_or_what_it_pins(process: str) -> None:
    module = f"{process}.main" if process == "gateway" else f"services.{process}.main"

    assert not loaded(module) & {"text_generation", "huggingface_hub", "pydantic", "jinja2"}
