"""Wakes the watchers of a scope in this process when it changes."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from services.chassis.auth.identity import Scope


class ChangeNotifier:
    """One bell a watcher. Changes made by other processes ring none: watchers also look by themselves."""

    def __init__(self) -> None:
        self._listening: dict[Scope, set[asyncio.Event]] = defaultdict(set)

    def notify(self, scope: Scope) -> None:
        """Wake the watchers of a scope."""
        for bell in self._listening.get(scope, ()):
            bell.set()

    @contextmanager
    def listen(self, scope: Scope) -> Iterator[asyncio.Event]:
        """Hold a bell that rings when the scope changes; clear it before looking."""
        bell = asyncio.Event()
        self._listening[scope].add(bell)
        try:
            yield bell
        finally:
            self._listening[scope].discard(bell)
            if not self._listening[scope]:
                del self._listening[scope]
