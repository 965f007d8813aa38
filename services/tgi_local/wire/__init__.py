"""Answers as text-generation-inference writes them. Called by `servicer`, on the event loop."""
