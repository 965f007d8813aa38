"""The tool manager: registry, execution and ledger of tool calls."""
