"""The driver of tools of MCP servers: programs in the sandbox, and servers over HTTP behind the guard.

`main` makes it; calls come to it through the port `ToolDriver`, servers through `service/servers`. The `mcp`
SDK speaks the protocol, an optional extra: `dialling` imports what needs it when the first server is reached.
All of it runs on the event loop, within the bounds that `relay` keeps for each server.
"""
