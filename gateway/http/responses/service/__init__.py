"""Use cases of what is kept: responses, conversations, and what goes on in the background."""
