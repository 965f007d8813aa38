"""Which of a client's own agents a request comes from, by the headers that clients send anyway. Pure.

Codex, OpenCode, Claude Code and others run several agents on one key and name them in headers. Each becomes a
child of the key's agent. The values only enter a hash together with the key's agent, so they can name nothing
outside its own tree, and whatever a client writes there makes at most one more child of its own.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Header = Callable[[str], str | None]
"""Reads one header of a request by its name in lower case."""

LONGEST_VALUE: Final = 256
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]+")
_KIND: Final = re.compile(r"[^a-z0-9._-]+")
_LONGEST_KIND: Final = 40
_LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class Session:
    """One of a client's agents."""

    value: str
    """What the client calls it, with the client's convention before it so that two never mix."""
    parent: str = ""
    """The same of the agent that spawned it; empty when the key's own agent did."""
    kind: str = "client"
    """What sort of client it is, such as `codex`; the scheduler learns lengths by it."""
    display_name: str = ""

    def child_id(self, tenant: str, root: str, epoch: int = 0) -> str:
        """Return the id of its agent below `root`; a retired one is followed by that of the next epoch."""
        return _child_id(tenant, root, self.value, epoch)


def _child_id(tenant: str, root: str, value: str, epoch: int) -> str:
    digest = hashlib.sha256(f"{tenant}\0{root}\0{value}".encode()).hexdigest()[:24]
    return f"d-{digest}" if epoch == 0 else f"d-{digest}-{epoch}"


def session_of(header: Header) -> Session | None:
    """Return the agent that a request's headers name, or None when they name none."""
    for convention, read in _CONVENTIONS:
        value, parent = read(header)
        if value and len(value) <= LONGEST_VALUE and len(parent) <= LONGEST_VALUE:
            return Session(
                value=f"{convention}:{value}",
                parent=f"{convention}:{parent}" if parent and parent != value else "",
                kind=_kind(header),
                display_name=_display_name(header, value),
            )
    return None


def parent_of(session: Session) -> Session | None:
    """Return what is known of the agent that spawned a session's."""
    if not session.parent:
        return None
    name = session.parent.partition(":")[2]
    shown = f"{session.kind} {name}"[:_LONGEST_NAME]
    return Session(session.parent, kind=session.kind, display_name=_UNPRINTABLE.sub(" ", shown))


def _own(header: Header) -> tuple[str, str]:
    return header("aios-session") or "", header("aios-parent-session") or ""


def _codex(header: Header) -> tuple[str, str]:
    return header("thread-id") or "", header("x-codex-parent-thread-id") or ""


def _claude_code(header: Header) -> tuple[str, str]:
    session = header("x-claude-code-session-id") or ""
    agent = header("x-claude-code-agent-id") or ""
    parent = header("x-claude-code-parent-agent-id") or ""
    if not session or not agent:
        return session, ""
    return f"{session}/{agent}", f"{session}/{parent}" if parent else session


def _opencode(header: Header) -> tuple[str, str]:
    return header("x-session-id") or "", header("x-parent-session-id") or ""


_CONVENTIONS: Final = (
    ("aios", _own),
    ("codex", _codex),
    ("claude-code", _claude_code),
    ("session", _opencode),
)


def _kind(header: Header) -> str:
    """Return the client's name: its user agent up to the version."""
    name = (header("user-agent") or "").partition("/")[0].partition(" ")[0].lower()
    return _KIND.sub("-", name)[:_LONGEST_KIND].strip("-") or "client"


def _display_name(header: Header, value: str) -> str:
    role = header("x-openai-subagent") or ""
    text = " ".join(part for part in (_kind(header), role, value) if part)
    return _UNPRINTABLE.sub(" ", text)[:_LONGEST_NAME]
