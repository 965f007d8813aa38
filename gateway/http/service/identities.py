"""Whom a request's headers name: a key's agent, or the agent of a session below it."""

import asyncio
from dataclasses import dataclass

from gateway.http.core.sessions import Header, session_of
from gateway.http.model import Identity
from gateway.http.service.keys import Keys, credential_of
from gateway.http.service.sessions import Sessions


@dataclass(slots=True)
class Identities:
    """Turns the headers of requests into identities."""

    keys: Keys
    sessions: Sessions

    async def of(self, header: Header, peer: str) -> Identity:
        """Return whom the headers name. Raises what Keys.identity and Sessions.identity raise."""
        root = await self.keys.identity(credential_of(header), peer)
        session = session_of(header)
        return root if session is None else await self.sessions.identity(root, session)

    def forget(self, identity: Identity) -> bool:
        """Drop an identity whose token was refused. Return whether asking again may give another one."""
        self.sessions.forget(identity)
        if not identity.root:
            self.keys.kept.drop(identity.key_digest, identity.token)
        return bool(identity.key_digest or identity.session_digest)

    def begin(self, identity: Identity) -> None:
        """Note that the running task works for an identity."""
        task = asyncio.current_task()
        if identity.root and task is not None:
            self.sessions.run(identity, task)

    def end(self) -> None:
        """Note that the running task's work is done."""
        task = asyncio.current_task()
        if task is not None:
            self.sessions.rest(task)

    async def close(self) -> None:
        """End what is under way."""
        await self.sessions.close()
        await self.keys.kept.close()
