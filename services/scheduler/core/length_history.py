"""Output length prediction: running means of past lengths, from the particular to the general."""

from collections import OrderedDict
from collections.abc import Hashable

from services.scheduler.model import Call

_ENOUGH = 3
_KEEP = 10_000


class LengthHistory:
    """Means of output lengths by (agent kind, step), then by kind, then over all calls."""

    def __init__(self, default: int) -> None:
        self._default = default
        self._means: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def learn(self, call: Call, tokens: int) -> None:
        """Remember how long a completed call's output was."""
        for key in _keys(call):
            count, mean = self._means.pop(key, (0, 0.0))
            # Old lengths fade: past 100 samples the mean follows the last hundred or so.
            count = min(count + 1, 100)
            self._means[key] = (count, mean + (tokens - mean) / count)
        while len(self._means) > _KEEP:
            self._means.popitem(last=False)

    def whole(self, call: Call) -> int:
        """Return expected length of the whole output, at least 1, at most what the call allows."""
        return max(1, min(self._guess(call), call.max_new_tokens or 1))

    def remaining(self, call: Call, tokens_done: int) -> int:
        """Return expected tokens still to come. An output past its prediction is expected to double."""
        whole = self.whole(call)
        if tokens_done >= whole:
            whole = min(2 * tokens_done, call.max_new_tokens)
        return max(1, whole - tokens_done)

    def _guess(self, call: Call) -> int:
        if call.predicted_tokens is not None:
            return call.predicted_tokens
        for key in _keys(call):
            count, mean = self._means.get(key, (0, 0.0))
            if count >= _ENOUGH:
                return round(mean)
        return self._default


def _keys(call: Call) -> tuple[Hashable, ...]:
    resource = call.resource
    return ((resource, call.agent_kind, call.step_index), (resource, call.agent_kind), resource)
