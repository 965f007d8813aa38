"""Attacks a kernel of real processes with everything, while bystanders work, and prints what came of it.

Before each attack the bystanders' calls are timed in quiet, then under attack. The run fails when a control
failed, a bystander's call was lost, a process ended, or the p99 of a kind of calls over all attacks is more
than three times its quiet value.

Run:  python -m tests.redteam [--seconds 6] [--only NAME ...] [--out tests/bench/results]
"""

import argparse
import asyncio
import contextlib
import json
import platform
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from aios.api.agent.v1 import agent_pb2
from services.chassis.runtime import interpreter
from tests.bench.yardstick import yardstick
from tests.redteam import attacks
from tests.redteam.bystander import Bystander, Record
from tests.redteam.fire import ATTACKS, Attack
from tests.redteam.ground import Ground
from tests.redteam.report import MOST_DELAYED, markdown
from tests.system.cluster import Cluster, cluster
from tests.system.world import Metadata, Stubs, bearer, grpc_ports, open_channel

QUIET: Final = 4.0
"""Seconds in quiet before each attack."""
GRACE: Final = 60.0
"""How much longer an attacker's process may take. Unit: seconds."""
SETTLE: Final = 1.0
SAMPLE: Final = 0.1
"""Pause between two looks at the processes' memory. Unit: seconds."""
SETTINGS: Final = {"AIOS_ACCESS_MAX_CHILDREN": "64"}


@dataclass
class Watch:
    """The processes of the kernel while they are attacked."""

    kernel: Cluster
    peak: dict[str, int] = field(default_factory=dict)
    """Largest resident memory seen, by process. Unit: bytes."""
    ended: list[str] = field(default_factory=list)
    """Processes that had to be started again."""

    async def look(self) -> None:
        """Look for ever."""
        pids = dict(self.kernel.supervisor.pids)
        while True:
            for name, pid in self.kernel.supervisor.pids.items():
                if pids.get(name) != pid:
                    self.ended.append(name)
                    pids[name] = pid
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.peak[name] = max(self.peak.get(name, 0), psutil.Process(pid).memory_info().rss)
            await asyncio.sleep(SAMPLE)


@dataclass
class Field:
    """A kernel with an attacker and bystanders."""

    kernel: Cluster
    ground: Ground
    bystanders: list[Bystander]
    watch: Watch

    async def quiet(self, seconds: float) -> Record:
        """Time the bystanders without an attack."""
        ends = time.monotonic() + seconds
        return await self._watched(lambda: time.monotonic() >= ends)

    async def attacked(self, chosen: Attack, seconds: float) -> tuple[Record, dict[str, Any]]:
        """Time the bystanders under an attack, and return what the attacker found too."""
        attacking = asyncio.create_task(run(chosen.name, self.ground, seconds))
        record = await self._watched(attacking.done)
        return record, await attacking

    async def _watched(self, until: Any) -> Record:
        record = Record()
        await asyncio.gather(*(one.work(until, record) for one in self.bystanders))
        return record


async def run(name: str, ground: Ground, seconds: float) -> dict[str, Any]:
    """Run one attack in a process of its own. Raises TimeoutError when it does not end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.redteam.attacker", name, "--seconds", str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # its niceness counts against all others, not against this process alone
    )
    try:
        async with asyncio.timeout(seconds + GRACE):
            out, err = await process.communicate(ground.to_json().encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        return {"tried": 0, "answers": {}, "breaches": [f"the attack did not end: calls hang ({name})"]}
    if process.returncode != 0:
        raise RuntimeError(f"the attacker failed: {err.decode()[-2_000:]}")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@asynccontextmanager
async def field_of_attack() -> AsyncIterator[Field]:
    """Run a kernel, register everybody, and watch the processes."""
    async with AsyncExitStack() as stack:
        kernel = await stack.enter_async_context(cluster(extra=SETTINGS))
        channel = await stack.enter_async_context(open_channel(kernel.plan.gateway))
        stubs, admin = Stubs(channel), bearer(kernel.admin_token)
        attacker = await _register(stubs, admin, "mal", "acme")
        people = [("amy", "acme"), ("bob", "globex")]
        bystanders = [
            Bystander(stubs, name, bearer((await _register(stubs, admin, name, tenant)).credential.token))
            for name, tenant in people
        ]
        for name, tenant in (("victim", "acme"), ("stranger", "globex")):
            await _register(stubs, admin, name, tenant)
        ground = Ground(
            gateway=kernel.plan.gateway,
            door=kernel.plan.door,
            engine=kernel.plan.embedded,
            managers=grpc_ports(kernel.plan),
            agent="mal",
            token=attacker.credential.token,
            key=attacker.agent_key,
            victim="victim",
            stranger="stranger",
        )
        watch = Watch(kernel)
        looking = asyncio.create_task(watch.look())
        stack.callback(looking.cancel)
        yield Field(kernel, ground, bystanders, watch)


async def _register(stubs: Stubs, admin: Metadata, name: str, tenant: str) -> agent_pb2.RegisterAgentResponse:
    request = agent_pb2.RegisterAgentRequest(agent_id=name, tenant=tenant)
    answer: agent_pb2.RegisterAgentResponse = await stubs.agents.RegisterAgent(request, metadata=admin)
    return answer


async def measure(chosen: list[Attack], seconds: float) -> dict[str, Any]:
    """Make the attacks, one after the other, and return the figures."""
    began = time.monotonic()
    quiet, under = Record(), Record()
    rows: list[dict[str, Any]] = []
    async with field_of_attack() as ground:
        await ground.quiet(QUIET)  # the first calls warm everything
        for one in chosen:
            before = await ground.quiet(QUIET)
            record, found = await ground.attacked(one, seconds)
            await asyncio.sleep(SETTLE)
            ratios = {kind: _ratio(record.p99(kind), before.p99(kind)) for kind in before.seconds}
            rows.append({"name": one.name, "threat": one.threat, "ratio": max(ratios.values()), **found})
            rows[-1] |= {"lost": record.lost, "ratios": ratios}
            _say(_line(rows[-1]))
            quiet.add(before)
            under.add(record)
        watch = ground.watch
    calls = sum(map(len, [*quiet.seconds.values(), *under.seconds.values()]))
    return {
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}",
        "yardstick": yardstick(),
        "seconds": time.monotonic() - began,
        "attacks": rows,
        "breaches": sum(len(row["breaches"]) for row in rows),
        "calls": calls,
        "lost": len(quiet.lost) + len(under.lost),
        "words": [*quiet.lost, *under.lost][:50],
        "ended": sorted(set(watch.ended)),
        "peak": watch.peak,
        "delays": {
            kind: {
                "quiet": quiet.p99(kind),
                "attacked": under.p99(kind),
                "ratio": _ratio(under.p99(kind), quiet.p99(kind)),
            }
            for kind in quiet.seconds
        },
    }


def _line(row: dict[str, Any]) -> str:
    ratios = ", ".join(f"{kind} {ratio:.1f}" for kind, ratio in row["ratios"].items())
    return (
        f"{row['name']:26} {row['tried']:7} tried, p99 ratios: {ratios}; "
        f"{len(row['breaches'])} breaches, {len(row['lost'])} lost"
    )


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _ratio(under: float, quiet: float) -> float:
    return under / quiet if quiet else 0.0


def main() -> int:
    """Run and tell whether every control held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each attack")
    parser.add_argument("--only", nargs="*", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--out", type=Path, default=None, help="folder for redteam.json and redteam.md")
    options = parser.parse_args()
    interpreter.give_way()
    interpreter.settle()  # the bystanders' own pauses are none of the kernel's
    results = asyncio.run(measure([ATTACKS[name] for name in options.only], options.seconds))
    text = markdown(results)
    if options.out is not None:
        options.out.mkdir(exist_ok=True)
        (options.out / "redteam.md").write_text(text)
        (options.out / "redteam.json").write_text(json.dumps(results, indent=1) + "\n")
    _say(text)
    delayed = max(row["ratio"] for row in results["delays"].values())
    held = not (results["breaches"] or results["lost"] or results["ended"]) and delayed <= MOST_DELAYED
    _say("every control held" if held else "NOT every control held", *results["words"])
    return 0 if held else 1


if __name__ == "__main__":
    assert attacks.ALL, "the attacks are imported for the table they fill"
    sys.exit(main())
