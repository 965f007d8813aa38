"""The only door for agents: authentication, access checks, admission, inference and pass-through."""
