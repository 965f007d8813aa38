"""Errors the scheduler raises to its caller. Refused calls are decisions, not errors."""

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import FieldViolation, KernelError


class PolicyUnknown(KernelError):
    """No policy is registered under this name."""

    reason = "UNKNOWN_SCHEDULING_POLICY"
    code = Code.INVALID_ARGUMENT

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"unknown policy {name!r}; known: {', '.join(known)}",
            metadata={"policy": name, "known": ",".join(known)},
            violations=[FieldViolation("policy", "no such policy")],
        )
        self.name = name
        self.known = known


class PolicyParamsInvalid(KernelError):
    """A policy was given parameters it does not understand; every problem is listed."""

    reason = "UNKNOWN_SCHEDULING_POLICY"
    code = Code.INVALID_ARGUMENT

    def __init__(self, policy: str, problems: tuple[str, ...]) -> None:
        super().__init__(
            f"policy {policy!r}: {'; '.join(problems)}",
            metadata={"policy": policy},
            violations=[FieldViolation("params", problem) for problem in problems],
        )
        self.policy = policy
        self.problems = problems


class CallUnknown(KernelError):
    """The scheduler holds no call of this id: never submitted, or already finished."""

    reason = "SYSCALL_NOT_FOUND"
    code = Code.NOT_FOUND

    def __init__(self, call_id: str) -> None:
        super().__init__(f"no call {call_id!r} is waiting or running", metadata={"call": call_id})
        self.call_id = call_id


class SettingsInvalid(ValueError):
    """The core was given settings that contradict themselves; every problem is listed."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class SyscallNotFound(KernelError):
    """No such syscall is waiting or running, or the caller may not see it."""

    reason = "SYSCALL_NOT_FOUND"
    code = Code.NOT_FOUND


class PolicyRefused(KernelError):
    """No such scheduling policy, or a parameter it does not take."""

    reason = "UNKNOWN_SCHEDULING_POLICY"
    code = Code.INVALID_ARGUMENT
