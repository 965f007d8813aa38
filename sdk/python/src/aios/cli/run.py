"""`aios run module:Class "task"`."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from aios.cli import session, terminal

if TYPE_CHECKING:
    from aios.agent import Agent, AgentResult, Step
    from aios.kernel import Kernel


def run(
    target: Annotated[
        str, typer.Argument(help="The agent: `module:Class`; the current directory is searched.")
    ],
    task: Annotated[str, typer.Argument(help="What to do.")],
    *,
    agent_id: Annotated[str, typer.Option(help="Id to register it under; by default one is made.")] = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="Do not end the agent after the run; print its key.")
    ] = False,  # a flag
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the tool calls.")] = False,
) -> None:
    """Run an agent on a task. It is registered for the run, unless --agent-key says who it is."""
    kind = load(target)

    async def work(kernel: "Kernel") -> "AgentResult":
        shown = _show if verbose and not session.options.get().as_json else None
        if session.options.get().agent_key:
            return await kind(kernel, on_step=shown).run(task)
        handle = await kernel.agents.register(agent_id, kind=kind.__name__.lower())
        if keep:
            session.warn(f"{handle.name}, agent key: {handle.credential.agent_key}")
        try:
            return await kind(kernel.as_agent(handle), on_step=shown).run(task)
        finally:
            if not keep:
                await kernel.agents.kill(handle.name, reason="aios run has ended")

    result = session.call(work)
    session.emit(result, lambda: session.say_lines(result.text))
    if result.finish_reason != "done":
        session.warn(f"aios: the run was cut short: {result.finish_reason}")
        raise typer.Exit(3)


def load(target: str) -> "type[Agent]":
    """Return the Agent class that `module:Class` names. Raises typer.BadParameter with what is wrong."""
    from aios.agent import Agent  # noqa: PLC0415  # keeps `aios --help` quick

    module_name, _, class_name = target.partition(":")
    if not class_name:
        raise typer.BadParameter("say `module:Class`, such as examples.researcher:Researcher")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    module = _import(module_name)
    try:
        found = getattr(module, class_name)
    except AttributeError:
        raise typer.BadParameter(f"{module_name} has no {class_name}") from None
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise typer.BadParameter(f"{target} is not a subclass of aios.Agent")
    return found


def _import(name: str) -> ModuleType:
    """Import a module of the user's. Ends the program with the module's own error, where it has one."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise typer.BadParameter(
                f"there is no module {error.name} in {Path.cwd()} or installed"
            ) from None
        problem: BaseException = error
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a module does while it is imported
        problem = error
    trace = problem.__traceback__
    while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    terminal.err(f"aios run: importing {name} failed:")
    terminal.err("".join(traceback.format_exception(type(problem), problem, trace)).rstrip("\n"))
    raise typer.Exit(2)


def _is_machinery(file: str) -> bool:
    return file.startswith("<frozen importlib") or file in {__file__, importlib.__file__}


def _show(step: "Step") -> None:
    for called in step.runs:
        session.warn(f"  {called.name} {called.arguments_json} -> {called.result}")
