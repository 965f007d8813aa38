"""`aios tools register`, `aios tools unregister`: tools that are everybody's, by an administrator's word."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from aios.cli import session
from aios.cli.drafts import tools_app  # whose commands lie beside these
from aios.types.llm import ToolSpec

if TYPE_CHECKING:
    from aios.kernel import Kernel
    from aios.types.tools import ToolEffect, ToolInfo

__all__ = ["tools_app"]

EFFECTS = ("pure", "idempotent", "reversible", "irreversible")


@tools_app.command("register")
def register_tool(
    name: Annotated[str, typer.Argument(help="Name of the tool.")],
    source: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="Python source; it runs in the kernel's sandbox."),
    ] = None,
    *,
    description: Annotated[str, typer.Option(help="What it does and when to use it.")],
    url: Annotated[str, typer.Option(help="HTTP endpoint to call instead of a source.")] = "",
    method: Annotated[str, typer.Option(help="HTTP method of the endpoint.")] = "POST",
    parameters: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON Schema of the arguments.")
    ] = None,
    function: Annotated[str, typer.Option(help="The function in the source; by default the name.")] = "",
    effect: Annotated[str, typer.Option(help=f"What a call does: {', '.join(EFFECTS)}.")] = "",
    etag: Annotated[str, typer.Option(help="The version to replace.")] = "",
    allow_breaking: Annotated[
        bool, typer.Option("--allow-breaking", help="Also where calls that wait need what changes.")
    ] = False,
) -> None:
    """Make a Python function or an HTTP endpoint a tool of everybody's. For administrators.

    What an agent makes for itself goes by `draft`, `test` and `share`.
    """
    if (source is None) is not bool(url):
        raise typer.BadParameter("give a Python source, or --url")
    if effect and effect not in EFFECTS:
        raise typer.BadParameter(f"{effect!r} is none of {', '.join(EFFECTS)}", param_hint="--effect")
    spec = ToolSpec(name, description, _schema(parameters))
    more: dict[str, Any] = {"etag": etag, "allow_breaking": allow_breaking}
    if effect:
        more["effect"] = cast("ToolEffect", effect)

    async def work(kernel: "Kernel") -> "ToolInfo":
        if source is None:
            return await kernel.tools.register_http(spec, url, method=method, **more)
        text = source.read_text(encoding="utf-8")
        return await kernel.tools.register_python(spec, text, function=function, **more)

    made = session.call(work)
    session.emit(made, lambda: session.say(f"{made.name} {made.etag}"))


@tools_app.command("unregister")
def unregister_tool(tool: Annotated[str, typer.Argument(help="Name of the tool.")]) -> None:
    """Remove a tool that was registered."""
    session.call(lambda kernel: kernel.tools.unregister(tool))
    session.emit({"removed": tool}, lambda: session.say(f"removed {tool}"))


def _schema(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} is no JSON: {error}", param_hint="--parameters") from error
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{path} holds no JSON object", param_hint="--parameters")
    return found
