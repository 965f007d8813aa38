"""`aios models`."""

from aios.cli import session


def models() -> None:
    """Show the models that are served, and what each can do."""
    found = session.call(lambda kernel: kernel.llm.models())
    rows = [
        (
            one.name,
            "default" if one.is_default else "",
            one.replica_count,
            one.slots,
            f"{one.max_total_tokens:,}" if one.max_total_tokens else "-",
            "yes" if one.constraints else "no",
            "kept" if one.kv_snapshot else "read again",
        )
        for one in found
    ]
    columns = ("model", "", "replicas", "slots", "window", "constraints", "when preempted")
    empty = "no model is served: see `aios doctor` and `aios logs gateway`"
    session.emit(found, lambda: session.table(columns, rows, empty))
