"""The `aios` command."""

from typing import Final

DISTRIBUTION: Final = "aios-kernel-client"
"""What is installed; the package and the command in it are `aios`."""
