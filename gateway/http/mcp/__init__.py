"""The MCP door: an MCP server at `/mcp`, spoken by the `mcp` SDK, over the kernel's own calls.

Each request acts with the rights of whoever sent it. On the gateway's event loop; `settings`, `uris` and
`values` are pure, and nothing but `routes` and what it imports needs the SDK.
"""
