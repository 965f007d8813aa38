"""How a backend can fail: a small closed set. Pure.

A driver raises nothing else, so the pool decides by type alone what to do next: try another replica, wait,
or tell the agent.
"""


class BackendError(Exception):
    """A generation or a question to a backend failed. `said`: what a failing server says of itself.

    The message is for callers too. A server's account of its own failure is not: it may name paths, hosts and
    the requests of others. Only what it refuses a request for is the caller's business, and is the message.
    """

    def __init__(self, message: str = "", *, said: str = "") -> None:
        super().__init__(message)
        self.said = said


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


class BackendUnreachable(BackendUnavailable):
    """Nobody accepts connections where the backend should be."""


class BackendGone(BackendUnreachable):
    """Nothing listens at its address: its process has ended, or has not begun."""


class UnmarkedEnd(BackendUnavailable):
    """The stream ended in good order, but without the mark that the answer has ended."""


class BackendStalled(BackendError):
    """The connection lives but no token came in time. A generation may be resumed elsewhere."""


class BackendBroken(BackendError):
    """The backend answered something that is not its protocol, or refused what only its operator can mend.

    To a call that is the end of that call; to a probe it means that the backend should get no work.
    """


class NotRunning(BackendInvalid):
    """There is no running generation to suspend: it has ended, or never began."""


class NotSuspendable(BackendInvalid):
    """The generation is bound by a constraint whose state cannot be saved."""
