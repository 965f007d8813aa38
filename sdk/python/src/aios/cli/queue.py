"""`aios queue`, `aios why`, `aios cancel` and `aios policy`."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from aios.cli import session
from aios.cli.nouns import noun

if TYPE_CHECKING:
    from aios.kernel import Kernel
    from aios.types.agents import SchedulingClass
    from aios.types.queue import ClassPolicy, Explanation, Policies, QueueState, Syscall

policy_app = noun("Show and choose scheduling policies.")

Lane = Annotated[Literal["inference", "tool"], typer.Option(help="Lane: inference or tool.")]
Call = Annotated[str, typer.Argument(help="Id or name of the call, as `aios queue` shows it.")]


_UNBOUNDED = 2**62
"""The token budget of a replica that has none, such as a server whose memory nobody knows."""


def queue() -> None:
    """Show what runs, what waits, and how full the backends are."""
    state, calls = session.call(_queue)
    session.emit({"state": state, "calls": calls}, lambda: _show(state, calls))


def _tokens(held: int, budget: int) -> str:
    return f"{held}/-" if budget >= _UNBOUNDED else f"{held}/{budget}"


async def _queue(kernel: "Kernel") -> tuple["QueueState", list["Syscall"]]:
    return await kernel.queue.state(), await kernel.queue.list()


def _show(state: "QueueState", calls: list["Syscall"]) -> None:
    classes = [
        (
            one.lane,
            one.scheduling_class,
            one.policy,
            one.running_count,
            one.waiting_count,
            session.seconds(one.oldest_wait),
        )
        for one in state.classes
    ]
    session.table(("lane", "class", "policy", "running", "waiting", "oldest wait"), classes, "no classes")
    session.say("")
    replicas = [
        (
            one.name,
            one.model,
            "up" if one.up else "down",
            f"{one.running_count}/{one.slots}",
            "" if one.lane == "tool" else _tokens(one.tokens_in_flight, one.token_budget),
        )
        for one in state.replicas
    ]
    session.table(("replica", "model or tool", "state", "calls", "tokens"), replicas, "no backends")
    session.say("")
    rows = [
        (
            one.name.removeprefix("agents/"),
            one.state,
            one.scheduling_class,
            session.seconds(one.wait),
            f"{one.tokens_done}/{one.max_new_tokens}",
            one.preemption_count,
        )
        for one in calls
    ]
    session.table(("call", "state", "class", "waited", "tokens", "preempted"), rows, "no calls")


def why(call: Call) -> None:
    """Say why a call waits: who is ahead, what limits, when it should start."""
    name = call if call.startswith("agents/") or "/" not in call else f"agents/{call}"
    found = session.call(lambda kernel: kernel.queue.explain(name))
    session.emit(found, lambda: _explain(found))


def _explain(found: "Explanation") -> None:
    session.say(found.summary)
    if found.position:
        later = f" or later of {found.waiting_count}" if found.position_is_bound else ""
        session.say(f"place {found.position}{later} under {found.policy}: {found.policy_key}")
        session.say(f"limit: {found.binding_limit}")
        session.say(f"expected start: {_expected(found)}")
        session.say(f"lane against starvation: {_lane(found)}")
    if found.cached_replica:
        session.say(f"cached prefix: about {found.cached_tokens} tokens on {found.cached_replica}")
    session.table(
        ("ahead", "why"), [(one.name or "another agent's", one.why) for one in found.ahead], "nobody ahead"
    )


def _expected(found: "Explanation") -> str:
    if found.predicted_wait is None:
        return "no estimate yet"
    told = session.seconds(found.predicted_wait)
    if found.prediction_error is None:
        return told
    error = session.seconds(found.prediction_error)
    return f"{told}, give or take {error} (mean error of {found.prediction_count} predictions)"


def _lane(found: "Explanation") -> str:
    if found.in_lane:
        return "it is there" + (", and the lane has twice its share" if found.boosted else "")
    if found.lane_wait is None:
        return "there is none for its class"
    return f"in {session.seconds(found.lane_wait)}"


def cancel(call: Call) -> None:
    """Cancel a call that waits or runs."""
    name = call if call.startswith("agents/") or "/" not in call else f"agents/{call}"
    done = session.call(lambda kernel: kernel.queue.cancel(name))
    session.emit({"cancelled": done}, lambda: session.say("cancelled" if done else "it had ended already"))


@policy_app.command("list")
def show_policies(lane: Lane = "inference") -> None:
    """Show which policy is in charge of each class."""
    found = session.call(lambda kernel: kernel.queue.policies(lane=lane))
    session.emit(found, lambda: _policies(found))


@policy_app.command("set")
def set_policy(
    policy: Annotated[str, typer.Argument(help="Name of the policy, such as fifo, rr or priority.")],
    scheduling_class: Annotated[
        str, typer.Option("--class", help="Only this class; default: all.")
    ] = "unspecified",
    parameter: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="name=value, as often as needed.")
    ] = None,
    lane: Lane = "inference",
) -> None:
    """Put a policy in charge until the scheduler starts again; waiting and running calls stay."""
    parameters = dict(_pair(text) for text in parameter or ())
    chosen = cast("SchedulingClass", scheduling_class)
    found = session.call(
        lambda kernel: kernel.queue.set_policy(
            policy, parameters=parameters, scheduling_class=chosen, lane=lane
        )
    )
    session.emit(found, lambda: _classes(found))
    if not session.options.get().as_json:
        variable = "AIOS_SCHEDULER_POLICY" if lane == "inference" else "AIOS_SCHEDULER_TOOL_POLICY"
        session.warn(
            f"aios: this holds until the scheduler starts again; {variable} at its start is for good"
        )


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"say name=value, not {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _policies(found: "Policies") -> None:
    _classes(found.classes)
    session.say(f"available: {', '.join(found.available)}")


def _classes(classes: Sequence["ClassPolicy"]) -> None:
    rows = [
        (one.scheduling_class, one.policy.name, json.dumps(dict(one.policy.parameters), sort_keys=True))
        for one in classes
    ]
    session.table(("class", "policy", "parameters"), rows)
