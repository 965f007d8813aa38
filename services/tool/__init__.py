"""The tool manager: a registry of tools, their execution in turn, and a ledger of every call."""
