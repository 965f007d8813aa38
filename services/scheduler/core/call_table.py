"""Known calls and the ways to find them: by gateway, program, parent call, agent."""

from collections.abc import Iterator

from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import Call, CallId


class CallTable:
    """All calls the core knows, indexed. Every look-up yields submission order."""

    def __init__(self) -> None:
        self._jobs: dict[CallId, ScheduledCall] = {}
        self._index: dict[tuple[str, str], dict[CallId, ScheduledCall]] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[ScheduledCall]:
        return iter(self._jobs.values())

    def find(self, call_id: CallId) -> ScheduledCall | None:
        """Return the call of this id."""
        return self._jobs.get(call_id)

    def outdated(self, call: Call) -> bool:
        """Whether a newer attempt of a call is known.

        A gateway numbers its own. Of two gateways the one at which the call arrived later has the newer one,
        in whatever order they tell: after a restart of the scheduler each tells again what it holds.
        """
        job = self._jobs.get(call.id)
        if job is None or not (call.attempt and job.call.attempt):
            return False
        if call.gateway == job.call.gateway:
            return call.attempt < job.call.attempt
        return call.arrived_at < job.call.arrived_at

    def add(self, job: ScheduledCall) -> None:
        """Add a call to every index."""
        self._jobs[job.call.id] = job
        for key in _keys(job):
            self._index.setdefault(key, {})[job.call.id] = job

    def remove(self, job: ScheduledCall) -> None:
        """Take a call out of every index."""
        del self._jobs[job.call.id]
        for key in _keys(job):
            entry = self._index[key]
            del entry[job.call.id]
            if not entry:
                del self._index[key]

    def of_gateway(self, gateway: str) -> list[ScheduledCall]:
        """Return the calls a gateway holds."""
        return self._of("gateway", gateway)

    def of_program(self, program: str) -> list[ScheduledCall]:
        """Return calls of one program, forks left out."""
        return self._of("program", program)

    def of_agent(self, agent: str) -> list[ScheduledCall]:
        """Return calls of an agent and of its descendants."""
        return self._of("agent", agent)

    def children(self, call_id: CallId) -> list[ScheduledCall]:
        """Return calls that name this one as their parent."""
        return self._of("parent", call_id)

    def _of(self, kind: str, value: str) -> list[ScheduledCall]:
        return sorted(self._index.get((kind, value), {}).values(), key=lambda job: job.seq)


def _keys(job: ScheduledCall) -> Iterator[tuple[str, str]]:
    call = job.call
    yield ("gateway", call.gateway)
    yield ("program", call.program_key)
    yield ("agent", call.agent)
    for ancestor in call.agent_path:
        if ancestor != call.agent:
            yield ("agent", ancestor)
    if call.parent_call:
        yield ("parent", call.parent_call)
