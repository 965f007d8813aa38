"""What proves to servers over HTTP who calls."""

from collections.abc import Mapping


class HeaderCredentials:
    """Headers with the values of secrets. A Credentials."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __repr__(self) -> str:
        """Show that there are some."""
        return "HeaderCredentials()"

    async def headers(self) -> Mapping[str, str]:
        """Return the headers."""
        return self._values

    def refused(self) -> bool:
        """Have no better ones."""
        return False
