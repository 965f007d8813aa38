"""How a backend can fail: a small closed set. Pure.

A driver raises nothing else, so the pool decides by type alone what to do next: try another replica, wait,
or tell the agent.
"""


class BackendError(Exception):
    """A generation or a question to a backend failed."""


class BackendInvalid(BackendError):
    """The backend refused the request for what it says. Trying again cannot help."""


class ConstraintRefused(BackendInvalid):
    """The backend cannot compile the constraint, or cannot keep it to the end."""


class PromptOverflow(BackendInvalid):
    """The prompt has more tokens than the model's window."""


class BackendOverloaded(BackendError):
    """The backend has no room now. Trying later, or elsewhere, may help."""


class BackendUnavailable(BackendError):
    """The backend is gone, or broke off. A generation may be resumed elsewhere from the tokens received."""


class BackendStalled(BackendError):
    """The connection lives but no token came in time. A generation may be resumed elsewhere."""


class BackendBroken(BackendError):
    """The backend answered something that is not its protocol. It should get no more work."""


class NotRunning(BackendInvalid):
    """There is no running generation to suspend: it has ended, or never began."""


class NotSuspendable(BackendInvalid):
    """The generation is bound by a constraint whose state cannot be saved."""
