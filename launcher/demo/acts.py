"""The demo's acts, in their order, and what went wrong in them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import aios
from aios.kernel import Kernel
from launcher.demo import approval, console, crash
from launcher.demo.board import Board
from launcher.demo.comparison import figures, sentence, table
from launcher.demo.devices import Shown
from launcher.demo.pictures import Outputs, draw, paint
from launcher.demo.rounds import FIFO, Round, Rounds
from launcher.demo.summary import NEEDED, summarise, wrong
from launcher.demo.tasks import deal
from launcher.demo.terminal_question import ask_at_the_terminal
from launcher.plan import KernelPlan
from launcher.supervisor import Supervisor

if TYPE_CHECKING:
    from rich.console import Console

MOST_WRONG_TOLD: Final = 12
REHEARSAL: Final = 0
"""Seed of what warms the processes up and counts nowhere."""


class Stage:
    """Plays the acts on a kernel that is up. `failures` says what did not go as it should."""

    def __init__(
        self,
        plan: KernelPlan,
        console: "Console",
        supervisor: Supervisor,
        outputs: Outputs,
        seeds: Sequence[int],
        *,
        approves: bool,
    ) -> None:
        self.failures: list[str] = []
        self._shown: list[str] = []
        """Lines of the picture, below the table."""
        self._plan = plan
        self._console = console
        self._supervisor = supervisor
        self._outputs = outputs
        self._seeds = seeds
        self._approves = approves

    async def play(self) -> None:
        """Play all but the devices. Raises TimeoutError, or an AiosError."""
        token = self._plan.admin_token_file.read_text().strip()
        async with aios.connect(self._plan.gateway, token=token) as admin:
            self._say(f"tasks      drawn by seeds {self._told_seeds()}; again: {self._command()}")
            self._say(f"console    {await console.told(self._plan.door, token)}")
            rounds = Rounds(
                admin, deal(self._seeds), self._console, own_model=not self._plan.backends.attached
            )
            await rounds.rehearse(deal([REHEARSAL]))
            first = await self._crowd(admin, rounds)
            await self._compare(rounds, first)
            await self._crash(rounds, first)
            self._say("")
            asked = await approval.show(admin, ask_at_the_terminal, decided=self._approves)
            self.tell([asked])
            self._shown += ["", asked.line()]
        if self._outputs.table is not None:
            board = Board(first.acts, self._console, first.title, seconds=first.seconds)
            paint(board, self._shown, self._outputs.table, self._command())

    def tell(self, shown: Sequence[Shown]) -> None:
        """Say what devices did."""
        for each in shown:
            self._say(each.line())
            if not each.right:
                self.failures.append(f"{each.device}: {each.text}")

    async def _crowd(self, admin: Kernel, rounds: Rounds) -> Round:
        policy = await told_policy(admin)
        played = await rounds.play(f"AIOS demo, policy {policy}")
        summary = summarise(played.acts, played.seconds, policy)
        self._say("", *wrong(played.acts)[:MOST_WRONG_TOLD])
        self._show(*summary.lines())
        self._judge(played)
        title = f"who waited, ran and was switched: policy {policy}, seeds {self._told_seeds()}"
        self._say(*draw(played.recording.timeline(), self._outputs, title))
        return played

    async def _compare(self, rounds: Rounds, first: Round) -> None:
        """Let the same crowd work under FIFO, and with no kernel between it and the model."""
        self._say("")
        ways = [figures("kernel, default policy", first.acts, first.seconds)]
        fifo = await rounds.play_under(FIFO, "the same crowd, policy fifo")
        self._judge(fifo)
        ways.append(figures("kernel, fifo", fifo.acts, fifo.seconds))
        if self._plan.backends.attached:
            self._say("no kernel  skipped: the attached servers have queues of their own and other callers")
        else:
            key = self._plan.engine_key_file.read_text().strip()
            bare = await rounds.play_bare("the same crowd, no kernel", self._plan.embedded, key)
            self._judge(bare)
            ways.append(figures("no kernel", bare.acts, bare.seconds))
        self._show("", *table(ways), *(sentence(ways[0], other) for other in ways[1:]))

    async def _crash(self, rounds: Rounds, first: Round) -> None:
        self._say("")
        killed = await rounds.play_killing("the same crowd, and kill -9", self._supervisor)
        self._judge(killed)
        if differences := crash.lost(first.acts, killed.acts):
            self._say(*differences[:MOST_WRONG_TOLD])
            self.failures.append(f"after the kill {len(differences)} answers are lost or differ")
        else:
            self._shown += ["", *(killed.kill.lines() if killed.kill is not None else [])]
            self._show(f"survived   {crash.survived(first.acts, killed.acts)}")

    def _judge(self, played: Round) -> None:
        summary = summarise(played.acts, played.seconds, "")
        if not summary.passed:
            self.failures.append(f"{played.title}: {summary.told_right()}, {NEEDED:.0%} are needed")

    def _told_seeds(self) -> str:
        return ", ".join(map(str, self._seeds))

    def _command(self) -> str:
        yes = ["--yes"] if self._approves else []
        return " ".join(["aios demo", *(f"--seed {seed}" for seed in self._seeds), *yes])

    def _show(self, *lines: str) -> None:
        """Say what belongs into the picture, too."""
        self._say(*lines)
        self._shown += lines

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._console.print(line, soft_wrap=True)


async def told_policy(admin: Kernel) -> str:
    """Say which policy the kernel is under, as it tells itself."""
    classes = (await admin.queue.policies()).classes
    policy = next(each.policy for each in classes if each.scheduling_class == "normal")
    told = ", ".join(f"{name} {value}" for name, value in policy.parameters.items())
    replicas = [each for each in (await admin.queue.state()).replicas if each.lane != "tool"]
    slots = sum(replica.slots for replica in replicas)
    return f"{policy.name}{f' ({told})' if told else ''}, {slots} slots"
