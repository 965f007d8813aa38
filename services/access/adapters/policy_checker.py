"""The program that judges policy texts, run by policy_process: a line of JSON in, a line of JSON out.

It holds no secret and no state. A text that ends it (a stack that overflows in native code cannot be
caught) or that does not end costs this process, nothing else. It ends when its input does: with the access
manager.
"""

import contextlib
import json
import resource
import sys
from typing import Any, Final

from services.access.adapters.cedar import PolicyJudge
from services.access.errors import PolicyInvalid
from services.access.model import Finding, Severity

_STACK_BYTES: Final = 4 << 20
"""Half of what the access manager's threads have: what passes here does not overflow there."""
_MEMORY_BYTES: Final = 384 << 20
_CPU_SECONDS: Final = 10


def main() -> None:
    """Answer until the input ends."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_STACK, _STACK_BYTES)
    _limit(resource.RLIMIT_AS, _MEMORY_BYTES)
    judge = PolicyJudge()
    _say([])  # ready
    for line in sys.stdin.buffer:
        # A second rein beside the caller's clock: it also holds when the caller was killed meanwhile.
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + _CPU_SECONDS)
        _say([_written(one) for one in _judged(judge, json.loads(line)["text"])])


def _judged(judge: PolicyJudge, text: str) -> list[Finding]:
    try:
        return judge.findings(text)
    except PolicyInvalid as error:
        return [Finding(Severity.ERROR, error.message)]
    except (RecursionError, MemoryError):
        return [Finding(Severity.ERROR, "the text nests too deep or takes too much memory")]


def _written(finding: Finding) -> dict[str, Any]:
    return {"severity": finding.severity.value, "message": finding.message, "policy_id": finding.policy_id}


def _say(answer: list[dict[str, Any]]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _limit(what: int, soft: int) -> None:
    """Lower a soft limit; a system that does not have it goes without."""
    _, hard = resource.getrlimit(what)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


if __name__ == "__main__":
    main()
