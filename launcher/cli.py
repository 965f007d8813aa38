"""The commands that the kernel adds to `aios`."""

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from launcher.data import prepare
from launcher.plan import DEFAULT_BASE_PORT, KernelPlan
from launcher.supervisor import StartFailed, Supervisor

_COLOURS = ("36", "32", "33", "35", "34", "96", "92", "95")

DataDir = Annotated[
    Path, typer.Option(help="Directory of databases, keys and tokens.", envvar="AIOS_DATA_DIR")
]
Port = Annotated[int, typer.Option(help="gRPC port of the gateway; the other ports follow from it.")]
Tgi = Annotated[
    str, typer.Option(help="Base URLs of TGI servers, comma separated, instead of the embedded model.")
]


def default_data_dir() -> Path:
    """Return where the kernel keeps its data unless told otherwise."""
    return Path.home() / ".aios"


def up(
    data_dir: DataDir = default_data_dir(),  # noqa: B008 - typer reads defaults from the signature
    port: Port = DEFAULT_BASE_PORT,
    tgi: Tgi = "",
) -> None:
    """Start the whole kernel on this machine and keep it up until Ctrl-C."""
    plan = KernelPlan(
        data_dir=data_dir.expanduser().absolute(),
        base_port=port,
        tgi_endpoints=tuple(each.strip() for each in tgi.split(",") if each.strip()),
        log_format="console" if sys.stdout.isatty() else "json",
    )
    raise typer.Exit(asyncio.run(_up(plan)))


def demo(
    *,
    data_dir: Annotated[Path | None, typer.Option(help="Directory to use. Default: a fresh one.")] = None,
    port: Port = 0,
    picture: Annotated[Path | None, typer.Option(help="Save the last table as SVG.")] = None,
    chart: Annotated[
        Path | None, typer.Option(help="Save who waited, ran and was switched as .png or .svg (matplotlib).")
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="Save the same for ui.perfetto.dev.")] = None,
    seed: Annotated[int, typer.Option(help="Deals other tasks.")] = 12,
) -> None:
    """Start a kernel, let twelve agents work on it, and show what happened."""
    from launcher.demo.main import Outputs, run_demo  # noqa: PLC0415 - keeps `aios --help` quick

    raise typer.Exit(run_demo(data_dir, port, Outputs(table=picture, chart=chart, trace=trace), seed))


async def _up(plan: KernelPlan) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    prepare(plan.data_dir, plan.service_key_file)
    started = time.monotonic()
    supervisor = Supervisor(plan, _printer([each.name for each in plan.processes()]))
    stopped = asyncio.create_task(stop.wait())
    running = asyncio.create_task(_serve(supervisor, plan, started))
    try:
        await asyncio.wait({stopped, running}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    except StartFailed as error:
        sys.stderr.write(f"aios up: {error}\n")
        return 2
    finally:
        for task in (stopped, running):
            task.cancel()
        await asyncio.wait({stopped, running})
        await supervisor.stop()
    return 0


async def _serve(supervisor: Supervisor, plan: KernelPlan, started: float) -> None:
    await supervisor.start()
    seconds = time.monotonic() - started
    where = f"administrator's token in {plan.admin_token_file}"
    sys.stdout.write(f"aios is up at {plan.gateway} after {seconds:.1f} s; {where}\n")
    sys.stdout.flush()
    await supervisor.failed()


def _printer(names: list[str]) -> "Printer":
    return Printer(names, colour=sys.stdout.isatty())


class Printer:
    """Prints lines of many processes, each with the name of its own in front."""

    def __init__(self, names: list[str], *, colour: bool) -> None:
        self._width = max(map(len, names))
        self._colours = dict(zip(names, _COLOURS * len(names), strict=False)) if colour else {}

    def __call__(self, name: str, line: str) -> None:
        """Print one line."""
        prefix = f"{name:<{self._width}} |"
        if name in self._colours:
            prefix = f"\x1b[{self._colours[name]}m{prefix}\x1b[0m"
        sys.stdout.write(f"{prefix} {line}\n")
        sys.stdout.flush()
