"""`aios approvals` and `aios persons`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aios.cli import session, terminal
from aios.cli.nouns import noun

if TYPE_CHECKING:
    from aios.types.access import Approval, Person, PersonHandle

approvals_app = noun("See and decide what waits for a person.")
persons_app = noun("Make persons and administrators of the tenant.")
rules_app = noun("Say how many people must approve.")
approvals_app.add_typer(rules_app, name="rules")

Name = Annotated[str, typer.Argument(help="Approval, such as approvals/51c0.")]
PersonId = Annotated[str, typer.Argument(help="Id of the person.")]
Tenant = Annotated[str, typer.Option(help="The person's tenant; another is for the kernel's administrators.")]
_SHORT = 60


@approvals_app.command("list")
def list_approvals() -> None:
    """List what waits for a person's decision."""
    found = session.call(lambda kernel: kernel.access.approvals())
    rows = [
        (
            one.name,
            one.agent,
            one.action,
            one.resource,
            f"{sum(vote.approved for vote in one.votes)}/{one.required_deciders or 1}",
            _beginning(one),
        )
        for one in found
    ]
    columns = ("approval", "agent", "action", "resource", "approved", "arguments")
    session.emit(found, lambda: session.table(columns, rows, "nothing waits"))


@approvals_app.command()
def show(
    approval: Name,
    *,
    whole: Annotated[bool, typer.Option("--whole", help="Show all of the arguments.")] = False,
) -> None:
    """Show what is asked for, with its arguments."""
    found = session.call(lambda kernel: kernel.access.approval(_name(approval)))
    arguments = _whole(found) if whole else found.arguments_preview
    told = {"approval": found, "arguments": arguments}
    session.emit(told, lambda: session.say_rows(_rows(found, arguments)))


@approvals_app.command()
def approve(
    approval: Name,
    *,
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    sha256: Annotated[
        str, typer.Option(help="Hash of the arguments that were looked at; needed when the preview is cut.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not show it and ask first.")] = False,
) -> None:
    """Approve a call. In a terminal it is shown whole first."""
    name = _name(approval)
    if not sha256:
        sha256 = _looked_at(name, yes=yes)
    _decide(name, comment, sha256, approve=True)


@approvals_app.command()
def reject(approval: Name, *, comment: Annotated[str, typer.Option(help="Why.")] = "") -> None:
    """Reject a call."""
    _decide(_name(approval), comment, "", approve=False)


@rules_app.command("list")
def list_rules() -> None:
    """List how many people must approve what."""
    found = session.call(lambda kernel: kernel.access.approval_rules())
    rows = [(one.name, one.action or "any", one.resource or "any", one.deciders) for one in found]
    session.emit(found, lambda: session.table(("rule", "action", "resource", "people"), rows, "no rules"))


@rules_app.command()
def put(
    rule: Annotated[str, typer.Argument(help="Id of the rule.")],
    people: Annotated[int, typer.Argument(help="How many different people must approve.")],
    *,
    action: Annotated[str, typer.Option(help="Only this action, such as tool.call.")] = "",
    resource: Annotated[str, typer.Option(help="Only this resource; with / at its end all below.")] = "",
) -> None:
    """Put a rule."""
    found = session.call(
        lambda kernel: kernel.access.put_approval_rule(rule, people, action=action, resource=resource)
    )
    session.emit(found, lambda: session.say(f"{found.name}: {found.deciders}"))


@rules_app.command()
def delete(rule: Annotated[str, typer.Argument(help="Id of the rule.")]) -> None:
    """Delete a rule."""
    session.call(lambda kernel: kernel.access.delete_approval_rule(rule))
    session.emit({"deleted": rule}, lambda: session.say(f"deleted {rule}"))


@persons_app.command("list")
def list_persons() -> None:
    """List the tenant's persons."""
    found = session.call(lambda kernel: kernel.access.persons())
    session.emit(found, lambda: _people(found))


@persons_app.command()
def create(
    person: PersonId,
    *,
    administrator: Annotated[bool, typer.Option("--administrator", help="Administers the tenant.")] = False,
    display_name: Annotated[str, typer.Option(help="A name for people.")] = "",
    tenant: Tenant = "",
) -> None:
    """Make a person and print the key, which is shown only here."""
    made = session.call(
        lambda kernel: kernel.access.create_person(
            person, tenant=tenant, display_name=display_name, administrator=administrator
        )
    )
    _keyed(made)


@persons_app.command()
def key(person: PersonId, tenant: Tenant = "") -> None:
    """Make a new key in the place of the old one and print it."""
    _keyed(session.call(lambda kernel: kernel.access.issue_person_key(person, tenant=tenant)))


@persons_app.command("revoke-key")
def revoke_key(person: PersonId, tenant: Tenant = "") -> None:
    """End a person's key and tokens."""
    found = session.call(lambda kernel: kernel.access.revoke_person_key(person, tenant=tenant))
    session.emit(found, lambda: _people([found]))


@persons_app.command()
def disable(person: PersonId, tenant: Tenant = "") -> None:
    """End what a person may do."""
    found = session.call(lambda kernel: kernel.access.disable_person(person, tenant=tenant))
    session.emit(found, lambda: _people([found]))


@persons_app.command()
def enable(person: PersonId, tenant: Tenant = "") -> None:
    """Let a disabled person act again, with a new key."""
    found = session.call(lambda kernel: kernel.access.enable_person(person, tenant=tenant))
    session.emit(found, lambda: _people([found]))


def _looked_at(name: str, *, yes: bool) -> str:
    """Show an approval and ask; return the hash of what was shown whole, else an empty text."""
    found = session.call(lambda kernel: kernel.access.approval(name))
    if yes or session.options.get().as_json or not sys.stdin.isatty():
        return "" if found.preview_truncated else found.arguments_sha256
    arguments = _whole(found) if found.preview_truncated else found.arguments_preview
    terminal.err("\n".join(map(terminal.line, _rows(found, arguments))))
    if not typer.confirm("approve?", err=True):
        raise typer.Exit(1)
    return found.arguments_sha256


def _decide(name: str, comment: str, sha256: str, *, approve: bool) -> None:
    found = session.call(
        lambda kernel: kernel.access.decide(name, approve=approve, comment=comment, arguments_sha256=sha256)
    )
    session.emit(found, lambda: session.say(f"{found.name}: {found.state}"))


def _whole(found: "Approval") -> str:
    return session.call(lambda kernel: kernel.access.shown_arguments(found.name))


def _rows(found: "Approval", arguments: str) -> list[str]:
    votes = [
        f"{vote.kind} {vote.decider}: {'approved' if vote.approved else 'rejected'} {vote.comment}".rstrip()
        for vote in found.votes
    ]
    return [
        found.name,
        f"state      {found.state}, {found.required_deciders or 1} to approve, until {found.expire_time}",
        f"agent      {found.agent}",
        f"action     {found.action} {found.resource}",
        f"summary    {found.summary}",
        f"sha256     {found.arguments_sha256} ({found.arguments_bytes} bytes)",
        *(f"vote       {vote}" for vote in votes),
        f"arguments  {arguments}",
    ]


def _beginning(found: "Approval") -> str:
    text = found.arguments_preview
    if len(text) <= _SHORT and not found.preview_truncated:
        return text
    return f"{text[:_SHORT]} [cut: {found.arguments_bytes} bytes]"


def _name(approval: str) -> str:
    return approval if approval.startswith("approvals/") else f"approvals/{approval}"


def _keyed(made: "PersonHandle") -> None:
    told = {"name": made.person.name, "person_key": made.person_key}
    session.emit(told, lambda: session.say_rows([made.person.name, f"person key: {made.person_key}"]))


def _people(found: "list[Person]") -> None:
    rows = [
        (
            one.name.removeprefix("persons/"),
            one.display_name,
            "administrator" if one.administrator else "person",
            one.state,
            "yes" if one.has_key else "no",
        )
        for one in found
    ]
    session.table(("person", "name", "kind", "state", "key"), rows, "no persons")
