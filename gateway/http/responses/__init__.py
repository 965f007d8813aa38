"""`/v1/responses` and `/v1/conversations`: OpenAI's Responses, for text and functions.

`schema` is what clients send, `request` and `answer` map it to the kernel's words and back (pure), `stream`
tells a generation as events, `service` keeps what is stored and runs what goes on without a connection, over
the port in `ports`, which `adapters` puts on the caller's own contexts. `routes` binds them to paths.
"""
