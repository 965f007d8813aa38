"""A Store that keeps the parts of snapshots encrypted in another one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from services.chassis.auth.identity import Scope
from services.context.ports import Part, Store, StoredPart, Transaction
from services.context.store.keys import Address, KeyRing

T = TypeVar("T")


class EncryptedStore:
    """Wraps a store: what is written is encrypted if `encrypts`, what is read may be plain or encrypted.

    A head stays readable: names, sizes and times, but nothing that the model was given or said.
    """

    def __init__(self, inner: Store, ring: KeyRing, *, encrypts: bool = True) -> None:
        self._inner = inner
        self._ring = ring
        self._write_ring = ring if encrypts else KeyRing()

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a consistent view."""
        return await self._inner.read(scope, lambda tx: work(self._wrapped(tx)))

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction."""
        return await self._inner.write(scope, lambda tx: work(self._wrapped(tx)))

    async def collect(self, *, limit: int) -> int:
        """Forget expired snapshots."""
        return await self._inner.collect(limit=limit)

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent."""
        return await self._inner.purge(scope)

    def _wrapped(self, tx: Transaction) -> Transaction:
        # The wrapper hands every other method on by name, which a type checker cannot see.
        return cast("Transaction", _Transaction(tx, self._ring, self._write_ring))


class _Transaction:
    """Another transaction, with the parts of snapshots encrypted."""

    def __init__(self, inner: Transaction, ring: KeyRing, write_ring: KeyRing) -> None:
        self._inner = inner
        self._ring = ring
        self._write_ring = write_ring

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def beside(self, agent: str) -> "_Transaction":
        """Return the same transaction on another agent."""
        return _Transaction(self._inner.beside(agent), self._ring, self._write_ring)

    def put_part(self, generation: str, part: Part, first: int, data: bytes) -> None:
        """Encrypt and keep a part."""
        locked = self._write_ring.lock(data, self._address(generation, part, first))
        self._inner.put_part(generation, part, first, locked)

    def parts(self, generation: str) -> list[StoredPart]:
        """Return all parts, decrypted."""
        return [
            StoredPart(part, first, self._ring.unlock(data, self._address(generation, part, first)))
            for part, first, data in self._inner.parts(generation)
        ]

    def states(self, generations: Sequence[str]) -> dict[str, bytes]:
        """Return the states of some snapshots, decrypted."""
        found = self._inner.states(generations)
        return {
            generation: self._ring.unlock(data, self._address(generation, Part.STATE, 0))
            for generation, data in found.items()
        }

    def _address(self, generation: str, part: Part, first: int) -> Address:
        return Address(self._inner.scope, generation, part.value, first)
