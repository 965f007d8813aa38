"""The use cases of the server: from a request to its last token, on the event loop."""
