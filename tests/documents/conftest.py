"""What the tests of the documents share: a home without anything in it, free ports, and one kernel."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from launcher.ports import free_base_port
from tests.documents.blocks import ROOT
from tests.documents.reader import Kernel, Reader

FOLDER: Final = Path(__file__).parent
SECONDS: Final = 400
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "VIRTUAL_ENV")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker("documents")
            item.add_marker(pytest.mark.timeout(SECONDS))


def environment(home: Path) -> dict[str, str]:
    """Return what a reader's shell has; the ports are free ones in place of the usual."""
    port = free_base_port()
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "HOME": str(home),
        "AIOS_DATA_DIR": str(home / ".aios"),
        "AIOS_PORT": str(port),
        "AIOS_ENDPOINT": f"127.0.0.1:{port}",
        "AIOS_LOG_LEVEL": "warning",
        "AIOS_TOOL_EGRESS_ALLOW": "https://*.example.com",  # as the operator of the examples has it
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
    }


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Return a reader; the kernel that it leaves up is ended."""
    home = tmp_path_factory.mktemp("home")
    words = environment(home)
    kernel = Kernel(words, home / "kernel.log")
    try:
        yield Reader(kernel, words, home)
    finally:
        kernel.stop()
