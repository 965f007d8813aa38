"""The commands that the kernel adds to `aios`."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from aios import _settings
from aios.cli import terminal
from aios.cli.trace import check_chart, make_room
from launcher import welcome
from launcher.backends import BackendProblem, Backends, WrongBackends
from launcher.data import prepare, served, with_keys
from launcher.logs import LogFiles, read
from launcher.output import Printer
from launcher.plan import DEFAULT_BASE_PORT, KernelPlan
from launcher.probe import look
from launcher.running import AlreadyRuns, KernelLock, RunningKernel
from launcher.supervisor import StartFailed, Supervisor
from services.chassis.runtime.private_files import NotPrivate

START_SECONDS = 60.0
MODEL_SECONDS = 3600.0
"""Longest start with a model file of the user's own, which may be fetched first, is read whole, and large."""
BACKEND_SECONDS = 30.0
"""Longest wait for a server that answered before the start to be taken up by the gateway."""
CERTIFICATES_SECONDS = 60.0
"""Time between two looks at how old the certificates are; a machine that slept is soon well again."""
LOOK_AGAIN_SECONDS = 2.0
"""Pause between two looks for a server that does not answer yet."""

DataDir = Annotated[
    Path, typer.Option(help="Directory of databases, keys and tokens.", envvar="AIOS_DATA_DIR")
]
_PORT_HELP: Final = "gRPC port of the gateway; the other ports follow from it."
Port = Annotated[int, typer.Option(help=_PORT_HELP)]
KeptPort = Annotated[int, typer.Option(help=_PORT_HELP, envvar="AIOS_PORT")]
OpenAi = Annotated[
    list[str] | None,
    typer.Option(
        help="Base URL of a vLLM, SGLang, llama.cpp, Ollama or other server that speaks the OpenAI protocol; "
        "`#name` behind it chooses a model. May be repeated. Default: AIOS_OPENAI_ENDPOINTS."
    ),
]
Tgi = Annotated[
    list[str] | None,
    typer.Option(help="Base URL of a TGI server. May be repeated. Default: AIOS_TGI_ENDPOINTS."),
]
Model = Annotated[
    str, typer.Option(help="Model of the attached servers. Default: the first that each lists.")
]
OpenAiKey = Annotated[
    str,
    typer.Option(
        help="Key of the OpenAI servers. Others on this machine can read a command line: better set "
        "AIOS_OPENAI_API_KEY."
    ),
]
EmbeddedModel = Annotated[
    str,
    typer.Option(
        help="GGUF file for the embedded engine, or hf:OWNER/REPOSITORY/FILE. It runs where no server is "
        "attached. Default: AIOS_MODEL, else the demo's tiny one."
    ),
]


Tls = Annotated[
    bool,
    typer.Option(
        "--tls",
        help="Encrypt: mutual TLS between the processes, TLS towards agents, by an authority of the kernel's "
        "own. Clients trust it by AIOS_CA_FILE.",
    ),
]


Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print each step of the databases' migrations, too.")
]


def default_data_dir() -> Path:
    """Return where the kernel keeps its data unless told otherwise."""
    return Path.home() / ".aios"


def up(
    *,
    data_dir: DataDir = default_data_dir(),  # noqa: B008 - typer reads defaults from the signature
    port: KeptPort = DEFAULT_BASE_PORT,
    openai: OpenAi = None,
    tgi: Tgi = None,
    model: Model = "",
    openai_key: OpenAiKey = "",
    embedded_model: EmbeddedModel = "",
    tls: Tls = False,
    verbose: Verbose = False,
) -> None:
    """Start the whole kernel on this machine and keep it up until Ctrl-C.

    With --openai or --tgi its agents think with that server's model; without, with a tiny embedded one.
    """
    plan = KernelPlan(
        data_dir=data_dir.expanduser().absolute(),
        base_port=port,
        backends=_backends(
            "up",
            openai=openai,
            tgi=tgi,
            model=model,
            openai_key=openai_key,
            embedded_model=embedded_model,
        ),
        tls=tls,
        log_format="json",  # for the log files; a person on a terminal sees it as text
    )
    raise typer.Exit(asyncio.run(_up(plan, verbose=verbose)))


def demo(
    *,
    data_dir: Annotated[Path | None, typer.Option(help="Directory to use. Default: a fresh one.")] = None,
    port: Port = 0,
    openai: OpenAi = None,
    tgi: Tgi = None,
    model: Model = "",
    openai_key: OpenAiKey = "",
    picture: Annotated[
        Path | None, typer.Option(help="Save the crowd's table as SVG; its directory is made.")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="Save who waited, ran and was switched as .png or .svg (matplotlib).")
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="Save the same for ui.perfetto.dev.")] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(help="Deals the tasks; may be repeated. Default: three are drawn, and told."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Let the administrator approve what waits for a person, instead of asking you."
        ),
    ] = False,
) -> None:
    """Start a kernel, let twelve agents work on it, and show what happened.

    The same crowd works under the default policy, under FIFO, without a kernel, and through a kill -9. The
    exit status is 1 when fewer than 95 of 100 answers are right, or anything else is not as it should be.
    """
    from launcher.demo.main import DemoOptions, run_demo  # noqa: PLC0415 - keeps `aios --help` quick
    from launcher.demo.pictures import Outputs  # noqa: PLC0415 - as above

    if chart is not None:
        check_chart(chart)
    make_room(picture, chart, trace)
    options = DemoOptions(
        data_dir=data_dir,
        port=port,
        outputs=Outputs(table=picture, chart=chart, trace=trace),
        seeds=seed or (),
        backends=_backends("demo", openai=openai, tgi=tgi, model=model, openai_key=openai_key),
        yes=yes,
    )
    raise typer.Exit(run_demo(options))


def _backends(
    command: str,
    *,
    openai: list[str] | None,
    tgi: list[str] | None,
    model: str,
    openai_key: str,
    embedded_model: str = "",
) -> Backends:
    try:
        return Backends.read(
            with_keys(os.environ),
            openai=openai or (),
            tgi=tgi or (),
            model=model,
            openai_key=openai_key,
            embedded_model=embedded_model,
        )
    except WrongBackends as error:
        terminal.err(f"aios {command}: {error}")
        raise typer.Exit(2) from None


async def _up(plan: KernelPlan, *, verbose: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lock = KernelLock(plan.data_dir)
    try:
        opened = prepare(plan)
        lock.claim()
    except (NotPrivate, AlreadyRuns) as refused:
        terminal.err(f"aios up: {refused}")
        return 2
    try:
        if opened:
            _say([f"other users could read {opened[0]}: closed to them"])
        return await _run(plan, lock, stop, verbose=verbose)
    finally:
        lock.release()


async def _run(plan: KernelPlan, lock: KernelLock, stop: asyncio.Event, *, verbose: bool) -> int:
    """Run a kernel until it is told to stop or cannot go on, and return the exit code."""
    started = time.monotonic()
    names = [each.name for each in plan.processes()]
    with closing(LogFiles(plan.data_dir, names)) as files:
        output = Output(files, Printer(names), verbose=verbose)
        supervisor = Supervisor(plan, output, lambda: lock.tell(_known(plan, supervisor, began)))
        began = time.time()
        stopped = asyncio.create_task(stop.wait())
        running = asyncio.create_task(_serve(supervisor, plan, started))
        renewing = asyncio.create_task(_keep_certificates(plan))
        try:
            await asyncio.wait({stopped, running}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            _say(["stopping"])
        except StartFailed as error:
            terminal.err(f"aios up: {error}")
            return 2
        finally:
            for task in (stopped, running, renewing):
                task.cancel()
            await asyncio.wait({stopped, running, renewing})
            await supervisor.stop()
    return 0


def _known(plan: KernelPlan, supervisor: Supervisor, began: float) -> RunningKernel:
    return RunningKernel(
        pid=os.getpid(),
        gateway=plan.gateway,
        door=plan.door,
        started=began,
        ready_urls={each.name: each.ready_url for each in plan.processes()},
        pids=supervisor.pids,
        restarts=supervisor.restarts,
    )


class Output:
    """Keeps each line that a process writes, and prints it unless it is routine."""

    def __init__(self, files: LogFiles, printer: Printer, *, verbose: bool) -> None:
        self._files = files
        self._printer = printer
        self._verbose = verbose

    def __call__(self, process: str, text: str) -> None:
        """Take one line."""
        self._files.write(process, text)
        line = read(process, text)
        if self._verbose or not line.is_routine:
            self._printer.show(line)


async def _serve(supervisor: Supervisor, plan: KernelPlan, started: float) -> None:
    wait: float | None = None
    if plan.backends.attached:
        found = await look(plan.backends)
        _say(welcome.models(plan, [each for each in found if isinstance(each, BackendProblem)]))
        wait = BACKEND_SECONDS if welcome.serves(found) else 0.0
    patience = MODEL_SECONDS if plan.backends.embedded_model else START_SECONDS
    await supervisor.start(patience, backend_wait=wait)
    found = await look(served(plan))
    seconds = time.monotonic() - started
    _say([*welcome.addresses(plan, seconds, _settings.data_dir()), *welcome.models(plan, found)])
    _say(welcome.next_steps(plan, _settings.data_dir()))
    if welcome.serves(found):
        await supervisor.failed()
    coming = asyncio.create_task(_coming(plan))
    try:
        await supervisor.failed()
    finally:
        coming.cancel()
        await asyncio.wait({coming})


async def _keep_certificates(plan: KernelPlan) -> None:
    """Replace the processes' certificates before they end; the processes take up new ones by themselves."""
    while plan.tls:
        await asyncio.sleep(CERTIFICATES_SECONDS)
        try:
            await asyncio.to_thread(plan.authority.renew, plan.certified)
        except OSError as error:  # a full disk: there is half a life left to try again
            terminal.err(f"aios up: certificates are not renewed: {error}")


async def _coming(plan: KernelPlan) -> None:
    """Say so when a model answers at last."""
    while not welcome.serves(found := await look(served(plan))):  # noqa: ASYNC110 - other processes
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    _say(welcome.models(plan, found))


def _say(lines: Sequence[str]) -> None:
    for each in lines:
        terminal.out(each)
