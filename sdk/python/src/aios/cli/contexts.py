"""`aios contexts` and `aios records`: conversations and collections that agents keep."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from aios.cli import session
from aios.cli.nouns import noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aios.types.contexts import ContextMessage

contexts_app = noun("See the conversations that the kernel keeps.")
records_app = noun("Read and write collections of small documents.")

Agent = Annotated[str, typer.Option(help="Whose; by default the caller's.")]
Context = Annotated[str, typer.Argument(help="Id of the conversation.")]
Collection = Annotated[str, typer.Argument(help="The collection.")]
_SHORT = 60


@contexts_app.command("list")
def list_contexts(agent: Agent = "me") -> None:
    """List conversations."""
    found = session.call(lambda kernel: kernel.contexts.list(agent=agent))
    rows = [
        (
            one.id,
            one.title or "-",
            one.message_count,
            one.token_count,
            one.token_budget or "-",
            one.parent.rpartition("/")[2] or "-",
            one.update_time or "-",
        )
        for one in found
    ]
    columns = ("context", "title", "messages", "tokens", "budget", "forked from", "changed")
    session.emit(found, lambda: session.table(columns, rows, "no conversations", cut=("title",)))


@contexts_app.command("show")
def show_context(
    context: Context,
    *,
    limit: Annotated[int, typer.Option(help="Most messages, the newest.", min=1)] = 50,
    agent: Agent = "me",
) -> None:
    """Print a conversation's messages, each with its place; `*` stands before what is pinned."""
    newest = session.call(
        lambda kernel: kernel.contexts.messages(context, newest_first=True, limit=limit, agent=agent)
    )
    found = newest[::-1]
    session.emit(found, lambda: _messages(found))


def _messages(found: "Sequence[ContextMessage]") -> None:
    for one in found:
        session.say(
            f"{'*' if one.pinned else ' '}{one.position} {one.message.role}, {one.token_count} tokens:"
        )
        session.say_lines("\n".join(f"    {line}" for line in one.message.content.splitlines()))
        for called in one.message.tool_calls:
            session.say(f"    calls {called.name} {called.arguments_json}")


@contexts_app.command("delete")
def delete_context(context: Context) -> None:
    """Delete a conversation with its messages, for good."""
    session.call(lambda kernel: kernel.contexts.delete(context))
    session.emit({"deleted": context}, lambda: session.say(f"deleted {context}"))


@records_app.command("list")
def list_collections(agent: Agent = "me") -> None:
    """List collections."""
    found = session.call(lambda kernel: kernel.records.collections(agent=agent))
    session.emit(found, lambda: session.table(("collection",), [(name,) for name in found], "no collections"))


@records_app.command("query")
def query_records(
    collection: Collection,
    query: Annotated[str, typer.Argument(help="Words to find; by default all records.")] = "",
    *,
    limit: Annotated[int, typer.Option(help="Most records.", min=1)] = 20,
    agent: Agent = "me",
) -> None:
    """Find records by words and meaning."""
    found = session.call(lambda kernel: kernel.records.query(collection, query, limit=limit, agent=agent))
    rows = [
        (
            hit.record.key,
            f"{hit.score:.2f}",
            json.dumps(session.plain(hit.record.fields), ensure_ascii=False),
            " ".join(hit.record.text.split())[:_SHORT],
        )
        for hit in found
    ]
    session.emit(found, lambda: session.table(("key", "score", "fields", "text"), rows, "no records"))


@records_app.command("put")
def put_record(
    collection: Collection,
    key: str,
    fields: Annotated[str, typer.Argument(help="The fields: a JSON object.")] = "{}",
    *,
    text: Annotated[str, typer.Option(help="The text that searches read.")] = "",
    agent: Agent = "me",
) -> None:
    """Write a record."""
    from aios.types.files import Record  # noqa: PLC0415  # keeps `aios --help` quick

    given = session.json_object(fields, "the fields")
    record = Record(key=key, fields=given, text=text)
    (etag,) = session.call(lambda kernel: kernel.records.put(collection, [record], agent=agent))
    session.emit({"key": key, "etag": etag}, lambda: session.say(f"{collection}/{key} {etag}"))


@records_app.command("delete")
def delete_records(
    collection: Collection,
    key: Annotated[list[str] | None, typer.Argument(help="Keys; none with --all.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All records of the collection.")] = False,
    agent: Agent = "me",
) -> None:
    """Delete records."""
    if bool(key) == everything:
        raise typer.BadParameter("say which keys, or --all")
    count = session.call(
        lambda kernel: kernel.records.delete(collection, keys=key or (), everything=everything, agent=agent)
    )
    session.emit({"deleted": count}, lambda: session.say(f"{count} deleted"))
