"""What `aios top` and `aios trace AGENT` show of what they are told."""

from datetime import UTC, datetime

import pytest

from aios.cli import syscalls, top
from aios.types.agents import AgentInfo, SyscallEvent
from aios.types.queue import ClassQueue, QueueState, Replica, Syscall

TIME = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def agent(name: str, state: str = "active") -> AgentInfo:
    return AgentInfo(name=f"agents/{name}", state=state)  # type: ignore[arg-type]


def call(who: str, number: int, state: str, wait: float = 0.0) -> Syscall:
    return Syscall(name=f"agents/{who}/calls/{number}", state=state, wait=wait, tokens_done=5)  # type: ignore[arg-type]


def look(*calls: Syscall, agents: list[AgentInfo]) -> top.Look:
    load = ClassQueue(
        scheduling_class="normal", policy="rr", running_count=1, waiting_count=2, oldest_wait=4.0
    )
    replica = Replica(name="r", model="m", up=True, slots=8, running_count=1)
    return top.Look(TIME, QueueState(classes=(load,), replicas=(replica,)), calls, agents)


def test_who_waits_longest_comes_first_and_the_dead_do_not_come() -> None:
    seen = look(
        call("busy", 1, "running"),
        call("patient", 2, "waiting", 4.0),
        call("patient", 3, "waiting", 1.0),
        agents=[agent("idle"), agent("busy"), agent("patient"), agent("dead", "killed")],
    )

    rows = top.agent_rows(seen)
    assert [row.agent for row in rows] == ["patient", "busy", "idle"]
    assert (rows[0].waiting, rows[0].longest, rows[0].tokens) == (2, 4.0, 10)


def test_a_page_keeps_to_the_terminal_and_says_what_it_leaves_out() -> None:
    seen = look(agents=[agent(f"a{number}") for number in range(50)])
    page = top.page(seen, 40, 12)

    assert len(page) <= 12
    assert max(map(len, page)) <= 40
    assert page[-1] == "... and 44 more"
    assert top.page(seen, 3, 1) == ["aio"]
    assert "calls: 1 running, 2 waiting   slots: 1 of 8 busy" in top.page(seen, 100, 30)[1]


def test_a_hostile_kind_of_agent_moves_no_cursor() -> None:
    named = AgentInfo(name="agents/x", kind="\x1b[2Jk\n", state="active")
    text = "".join(top.page(look(agents=[named]), 200, 30))

    assert "\x1b" not in text
    assert "\\x1b[2Jk\\n" in text


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            SyscallEvent(
                phase="ended",
                method="MemoryService.PutNote",
                agent="agents/amy",
                resource="agents/amy/notes/plan",
                duration=0.0042,
                code="OK",
            ),
            "amy MemoryService.PutNote(notes/plan) = OK <4 ms>",
        ),
        (
            SyscallEvent(
                phase="ended",
                method="MemoryService.GetNote",
                agent="agents/amy",
                resource="agents/bob/notes/plan",
                duration=1.5,
                code="PERMISSION_DENIED",
                reason="PERMISSION_DENIED",
            ),
            "amy MemoryService.GetNote(agents/bob/notes/plan) = PERMISSION_DENIED <1.5 s>",
        ),
        (
            SyscallEvent(
                phase="begun", method="InferenceService.Generate", agent="agents/amy", resource="agents/amy"
            ),
            "amy InferenceService.Generate() ...",
        ),
    ],
)
def test_a_syscall_is_told_in_one_line(event: SyscallEvent, told: str) -> None:
    assert syscalls.line(event, named=True) == f"- {told}"
