"""Programs: the accounts of trees of agents, and the service that each has attained."""

from collections import OrderedDict
from dataclasses import dataclass, field

from services.scheduler.model import Call

_KEEP = 20_000


@dataclass(slots=True, eq=False)
class Program:
    """The account of one tree of agents. A fork starts with what its parent had attained."""

    key: str
    born: int
    """Sequence number of its first call."""

    attained: float = 0.0
    """Backend seconds received."""

    parent: str = ""
    live: int = 0
    children: dict[str, None] = field(default_factory=dict)


class ProgramBook:
    """Accounts of programs; idle ones are forgotten, the longest idle first, beyond a bound."""

    def __init__(self, keep: int = _KEEP) -> None:
        self._keep = keep
        self._all: dict[str, Program] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, call: Call, seq: int) -> Program:
        """Count a call in; makes the program on first sight."""
        key = call.program_key
        program = self._all.get(key)
        if program is None:
            program = self._create(call, key, seq)
        self._idle.pop(key, None)
        program.live += 1
        # After a restart each gateway tells a state of this account that it once saw.
        program.attained = max(program.attained, call.attained_seconds)
        return program

    def leave(self, call: Call) -> None:
        """Count a call out."""
        key = call.program_key
        program = self._all[key]
        program.live -= 1
        if program.live:
            return
        if call.program:
            self._rest(key)
        else:
            self._forget(key)

    def tree(self, key: str) -> list[str]:
        """Return the program and everything forked from it, parents first."""
        found, todo = [], [key]
        seen = {key}
        while todo:
            current = todo.pop(0)
            found.append(current)
            program = self._all.get(current)
            fresh = [c for c in program.children if c not in seen] if program else []
            seen.update(fresh)
            todo += fresh
        return found

    def _create(self, call: Call, key: str, seq: int) -> Program:
        parent_key = call.parent_program if call.parent_program != key else ""
        inherited = 0.0
        if parent_key:
            parent = self._all.get(parent_key)
            if parent is None:
                parent = self._all[parent_key] = Program(parent_key, seq)
                self._rest(parent_key)
            parent.children[key] = None
            inherited = parent.attained
        program = Program(key, seq, inherited, parent_key)
        self._all[key] = program
        return program

    def _rest(self, key: str) -> None:
        self._idle[key] = None
        while len(self._idle) > self._keep:
            oldest, _ = self._idle.popitem(last=False)
            self._forget(oldest)

    def _forget(self, key: str) -> None:
        program = self._all.pop(key)
        parent = self._all.get(program.parent)
        if parent is not None:
            parent.children.pop(key, None)
