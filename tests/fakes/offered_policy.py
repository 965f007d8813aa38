"""A package with a scheduling policy of its own, installed for one test."""

from pathlib import Path

import pytest

MODULE = '''
from services.scheduler.core.policies.fifo import Fifo


class LastInFirstOut(Fifo):
    """The newest call first."""

    name = "{name}"
    in_arrival_order = False

    def configure(self, params):
        """`cap`: a number of its own."""
        self.cap = params.count("cap", 8)

    def key(self, job):
        """The latest first."""
        return (-job.seq,)
'''


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str = "lifo") -> None:
    """Install it: its entry point is found, and its module can be loaded."""
    info = folder / "offered_policy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offered-policy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[aios.scheduler_policies]\n{name} = offered_{name}:LastInFirstOut\n"
    )
    (folder / f"offered_{name}.py").write_text(MODULE.format(name=name))
    monkeypatch.syspath_prepend(folder)
