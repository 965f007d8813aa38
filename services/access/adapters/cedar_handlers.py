"""What runs in worker processes of the access manager: the native reader of policies, and its decisions.

Nothing here holds a secret or a state that counts. Messages come from the access manager and are trusted,
answers are plain JSON: a worker that somebody's policy has taken over can answer wrongly about that tenant's
own checks, and cannot make its reader do anything.
"""

import json
import marshal
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from services.access.adapters.cedar import CedarEngine, PolicyJudge
from services.access.errors import PolicyInvalid
from services.access.model.rules import Finding, Policy, Severity

UNKNOWN_SET: Final = b"?"
"""The answer to a message that names a set of policies which this worker does not have."""
_MOST_SETS: Final = 256

Handler = Callable[[bytes], bytes]


def judging() -> Handler:
    """Judge policy texts, one a message; the answer is what is wrong with it."""
    judge = PolicyJudge()

    def handle(message: bytes) -> bytes:
        return json.dumps([_written(one) for one in _judged(judge, message.decode())]).encode()

    return handle


def deciding(kernel_tenant: str, options: str) -> Handler:
    """Let policies decide the questions of a message, all under one set; `options`: names, by commas."""
    engine = CedarEngine(kernel_tenant=kernel_tenant, options=tuple(filter(None, options.split(","))))
    sets: OrderedDict[bytes, tuple[Policy, ...]] = OrderedDict()

    def handle(message: bytes) -> bytes:
        digest, told, questions = marshal.loads(message)  # noqa: S302 - written by the access manager itself
        if told is not None:
            sets[digest] = tuple(pickle.loads(told))  # noqa: S301 - as above
            while len(sets) > _MOST_SETS:
                sets.popitem(last=False)
        policies = sets.get(digest)
        if policies is None:
            return UNKNOWN_SET
        sets.move_to_end(digest)
        return json.dumps([engine.evaluate(question, policies) for question in questions]).encode()

    return handle


def _judged(judge: PolicyJudge, text: str) -> list[Finding]:
    try:
        return judge.findings(text)
    except PolicyInvalid as error:
        return [Finding(Severity.ERROR, error.message)]
    except RecursionError:
        return [Finding(Severity.ERROR, "the text nests too deep or takes too much memory")]


def _written(finding: Finding) -> dict[str, Any]:
    return {"severity": finding.severity.value, "message": finding.message, "policy_id": finding.policy_id}
