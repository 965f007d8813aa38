"""Keys that seal audit entries in tests, and a log of exported heads in memory."""

from collections.abc import Sequence

from services.access.model.audit import ExportedHead, Fault, SealKey


class FakeSealKeys:
    """A key ring that is rotated by hand."""

    def __init__(self, *key_ids: str) -> None:
        self.ring = {key_id: SealKey(key_id, key_id.encode() * 4) for key_id in key_ids or ("k1",)}

    def newest(self) -> SealKey:
        """Return the key that was added last."""
        return list(self.ring.values())[-1]

    def find(self, key_id: str) -> bytes | None:
        """Return the secret of a key."""
        key = self.ring.get(key_id)
        return None if key is None else key.secret

    def rotate(self, key_id: str) -> None:
        """Add a key that seals from now on."""
        self.ring[key_id] = SealKey(key_id, key_id.encode() * 4)


SEAL_KEYS = FakeSealKeys()
"""For tests that have nothing to do with them."""


class FakeHeadLog:
    """Heads in a list; a test takes some away."""

    exporter = "fake"

    def __init__(self) -> None:
        self.heads: list[ExportedHead] = []
        self.fault = Fault.NONE

    async def put(self, heads: Sequence[ExportedHead]) -> None:
        """Add heads."""
        self.heads += heads

    async def newest(self, tenant: str) -> tuple[ExportedHead | None, Fault]:
        """Return the newest head of a tenant."""
        mine = [head for head in self.heads if head.tenant == tenant]
        return max(mine, key=lambda head: head.sequence, default=None), self.fault
