"""How tools are run: one driver for each kind, all on the port `ToolDriver`."""
