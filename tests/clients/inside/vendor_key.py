"""A pytest plugin for a vendor's suite: its clients show a real agent's key in place of the suite's."""

import os
import sys


def pytest_collection_finish() -> None:
    """Change the key once the suite's conftest is loaded."""
    sys.modules["tests.conftest"].__dict__["api_key"] = os.environ["AIOS_KEY"]
