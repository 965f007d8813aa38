"""How often the agents of the demo are right, by its own strict checks, over seeds that are drawn.

Run:  python -m tests.bench.bench_demo [--demos 20] [--seed N ...] [--model FILE] [--out tests/bench/results]

Each demo's crowd is dealt by three seeds, as in `make demo`, and works under the default policy.
The words that it is asked about are kept out of the model's training. Writes demo.json and demo.md.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import aios
from aios.kernel import Kernel
from launcher.backends import Backends
from launcher.data import prepare
from launcher.demo.main import SLOTS
from launcher.demo.stage import Act, Way, perform
from launcher.demo.summary import NEEDED, summarise, wrong
from launcher.demo.tasks import DRAWS, deal, draw_seeds
from launcher.plan import KernelPlan
from launcher.ports import free_base_port
from launcher.supervisor import Supervisor

MOST_WRONG = 20


@dataclass(frozen=True, slots=True)
class Played:
    """One demo's crowd."""

    seeds: Sequence[int]
    right: int
    tasks: int
    by_role: dict[str, tuple[int, int]]
    """Right answers and tasks by the agents' roles."""
    wrong: Sequence[str]

    @property
    def passed(self) -> bool:
        """Whether `make demo` would be content."""
        return self.right >= NEEDED * self.tasks


async def play(admin: Kernel, number: int, seeds: Sequence[int]) -> Played:
    """Let the crowd of some seeds work; the keeper of the secret is everybody's, and the first's."""
    acts = [Act(each, each.name if number == 0 else f"{each.name}-{number}") for each in deal(seeds)]
    seconds = await perform(admin, acts, lambda _act, _what: None, Way())
    summary = summarise(acts, seconds, "")
    right: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    for act in acts:
        tasks[act.cast.role] += len(act.cast.tasks)
        right[act.cast.role] += sum(done.right for done in act.done)
    by_role = {role: (right[role], tasks[role]) for role in tasks}
    return Played(seeds, summary.right, summary.tasks, by_role, wrong(acts))


async def measure(demos: Sequence[Sequence[int]], model: str) -> list[Played]:
    """Play all demos on one kernel, one after another."""
    with tempfile.TemporaryDirectory(prefix="aios-bench-demo-") as directory:
        plan = KernelPlan(
            data_dir=Path(directory) / "data",
            base_port=free_base_port(usual=False),
            backends=replace(Backends(), embedded_model=model),
            log_format="json",
            extra={"AIOS_TGI_LOCAL_SLOTS": str(SLOTS), "AIOS_LOG_LEVEL": "warning"},
        )
        prepare(plan)
        supervisor = Supervisor(plan, lambda _name, _line: None)
        try:
            await supervisor.start()
            token = plan.admin_token_file.read_text().strip()
            async with aios.connect(plan.gateway, token=token) as admin:
                return [await play(admin, number, seeds) for number, seeds in enumerate(demos)]
        finally:
            await supervisor.stop()


def report(played: Sequence[Played]) -> str:
    """Write the results as Markdown."""
    right, tasks = sum(each.right for each in played), sum(each.tasks for each in played)
    passed = sum(each.passed for each in played)
    roles = list(played[0].by_role)
    machine = f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs"
    share = f"{right} of {tasks} answers are right ({100 * right / tasks:.2f} %)"
    lines = [
        "# The demo's agents: how often they are right",
        "",
        f"{len(played)} demos of {DRAWS} seeds each, by the checks of `launcher/demo/checks.py`. {machine}.",
        "The command is `make bench-demo`.",
        "",
        f"**{share}; {passed} of {len(played)} demos reach {NEEDED:.0%}.**",
        "",
        "| agents | right |",
        "|---|---|",
    ]
    for role in roles:
        of_role = [each.by_role[role] for each in played]
        lines.append(f"| {role} | {sum(r for r, _ in of_role)} of {sum(t for _, t in of_role)} |")
    lines += ["", "| seeds | right |", "|---|---|"]
    lines += [f"| {', '.join(map(str, each.seeds))} | {each.right} of {each.tasks} |" for each in played]
    mistakes = [line for each in played for line in each.wrong]
    if mistakes:
        lines += ["", f"Wrong, the first {MOST_WRONG}:", "", *(f"- {line}" for line in mistakes[:MOST_WRONG])]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demos", type=int, default=20)
    parser.add_argument("--seed", type=int, action="append", default=[], help="plays one demo of these seeds")
    parser.add_argument("--model", default="", help="another GGUF")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    demos = [args.seed] if args.seed else [draw_seeds() for _ in range(args.demos)]
    played = asyncio.run(measure(demos, args.model))
    args.out.mkdir(parents=True, exist_ok=True)
    text = report(played)
    (args.out / "demo.md").write_text(text)
    (args.out / "demo.json").write_text(json.dumps([asdict(each) for each in played], indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
