"""A local issuer of tokens: what the access manager is for tests that need a caller."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.chassis.auth.identity import Caller
from services.chassis.auth.processes import GATEWAY, PROCESSES
from services.chassis.auth.tokens import ALGORITHM, ISSUER, KeyRing, TokenVerifier
from services.chassis.rpc.client import Metadata, kernel_metadata
from services.chassis.runtime.clock import Clock, SystemClock


class StaticJwks:
    """A KeySource that always has the same keys, and counts how often it is asked."""

    def __init__(self, *keys: Mapping[str, str]) -> None:
        self.keys = list(keys)
        self.fetches = 0

    async def fetch(self) -> Iterable[Mapping[str, str]]:
        """Return the keys."""
        self.fetches += 1
        return self.keys


class Issuer:
    """Signs tokens with a key of its own."""

    def __init__(self, *, kid: str = "test-key", clock: Clock | None = None) -> None:
        self.kid = kid
        self.clock = clock or SystemClock()
        self.private_key = Ed25519PrivateKey.generate()

    @property
    def jwk(self) -> dict[str, str]:
        """The public key as a JWK."""
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self.private_key.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "alg": ALGORITHM, "use": "sig"}

    def jwks(self) -> StaticJwks:
        """Return a key source with the public key."""
        return StaticJwks(self.jwk)

    def verifier(self) -> TokenVerifier:
        """Return an authenticator that accepts the tokens of this issuer, whatever process they are for."""
        return TokenVerifier(KeyRing(self.jwks(), self.clock), self.clock, PROCESSES)

    def token(
        self,
        agent: str = "planner",
        *,
        tenant: str = "acme",
        kind: str = "agent",
        parent: str = "",
        life: timedelta = timedelta(minutes=10),
        **claims: Any,
    ) -> str:
        """Sign a token; further keywords replace claims, None removes one."""
        now = self.clock.now().timestamp()
        content = {
            "iss": ISSUER, "aud": GATEWAY, "sub": agent, "tenant": tenant, "kind": kind, "parent": parent,
            "jti": uuid.uuid4().hex, "iat": now, "exp": now + life.total_seconds(), **claims,
        }  # fmt: skip
        present = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(present, self.private_key, algorithm=ALGORITHM, headers={"kid": self.kid})

    def metadata(
        self, agent: str = "planner", *, tenant: str = "acme", kind: str = "agent", parent: str = ""
    ) -> Metadata:
        """Return the metadata of a call by the given principal."""
        token = self.token(agent, tenant=tenant, kind=kind, parent=parent)
        return (("authorization", f"Bearer {token}"),)


ISSUER_FOR_TESTS = Issuer()
"""Shared by tests that do not care about the issuer, so that keys are made once."""


def metadata(
    agent: str = "planner", *, tenant: str = "acme", kind: str = "agent", parent: str = ""
) -> Metadata:
    """Return the metadata of a call by the given principal, signed by the shared issuer."""
    return ISSUER_FOR_TESTS.metadata(agent, tenant=tenant, kind=kind, parent=parent)


class PassOn:
    """A TokenExchange that shows the caller's own token, for processes that take every audience."""

    def __init__(self) -> None:
        self.audiences: list[str] = []

    async def metadata(self, caller: Caller, audience: str) -> Metadata:
        """Return the metadata of the caller's call."""
        self.audiences.append(audience)
        return kernel_metadata(caller, caller.token)
