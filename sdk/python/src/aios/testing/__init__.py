"""A fake kernel for the tests of agents."""

from aios.testing.fake import FakeKernel
from aios.testing.recorder import Call, Recorder

__all__ = ["Call", "FakeKernel", "Recorder"]
