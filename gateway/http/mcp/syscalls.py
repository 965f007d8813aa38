"""The kernel as the MCP door calls it: always as the caller, through the pipeline that every call passes."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol

from google.protobuf.message import Message

from services.chassis.rpc.errors import CredentialExpired, CredentialRevoked, InvalidRequest, KernelError

Metadata = Sequence[tuple[str, str | bytes]]

_READ_SECONDS: Final = 30.0
_RENEWABLE: Final = frozenset({CredentialExpired.reason, CredentialRevoked.reason})
"""What a call ends with whose token was good once: a key may bring another one."""


class Caller(Protocol):
    """Who sent a request, as its headers say."""

    @property
    def agent(self) -> str:
        """Tenant and agent: whose sessions and requests are counted together."""
        ...

    @property
    def holder(self) -> tuple[str, str]:
        """Tenant and agent that its request bodies are counted for."""
        ...

    @property
    def credential(self) -> str:
        """Names the credential, and tells nothing of it."""
        ...

    async def metadata(self) -> Metadata:
        """Return what a call in the caller's name carries. Raises KernelError for a bad credential."""
        ...

    def forget(self) -> bool:
        """Drop a token that was refused. Return whether the credential may bring another one."""
        ...


async def ask(method: Any, request: Message, caller: Caller, *, seconds: float = _READ_SECONDS) -> Any:
    """Make a call that answers once. Raises KernelError."""
    for last in (False, True):
        try:
            return await method(request, metadata=await caller.metadata(), timeout=seconds)
        except KernelError as error:
            if last or not _renewed(caller, error):
                raise
    raise RuntimeError("unreachable")


async def follow(
    method: Any, request: Message, caller: Caller, *, seconds: float = _READ_SECONDS
) -> AsyncGenerator[Any, None]:
    """Make a call that answers with a stream, and end it when it is left. Raises KernelError."""
    begun = False
    for last in (False, True):
        metadata = await caller.metadata()
        try:
            async with aclosing(method(request, metadata=metadata, timeout=seconds)) as events:
                async for event in events:
                    begun = True
                    yield event
                return
        except KernelError as error:
            if begun or last or not _renewed(caller, error):
                raise


def _renewed(caller: Caller, error: KernelError) -> bool:
    """Tell whether a call that was refused before it began is worth another try, with a fresh token."""
    return error.reason in _RENEWABLE and caller.forget()


def build(kind: type[Any], **fields: Any) -> Any:
    """Build a request from what a client sent. Raises InvalidRequest for what no message can hold."""
    try:
        return kind(**fields)
    except (TypeError, ValueError) as error:  # lone surrogates, numbers out of range
        raise InvalidRequest(f"the request cannot be sent on: {type(error).__name__}") from None
