"""The replicas behind the gateway: which are up, what they serve, and who may be asked to render a prompt."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar

from gateway.errors import BackendFailed, BackendRefused, ModelNotFound
from gateway.inference.core.circuit import Circuit, CircuitConfig, CircuitState
from gateway.inference.core.culprits import Work
from gateway.inference.core.evidence import Evidence, Source, account, cause, evidence
from gateway.inference.core.template import plain_messages, with_tools
from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendGone,
    BackendInvalid,
    PromptOverflow,
)
from gateway.inference.model import Prompt, ReplicaInfo
from gateway.inference.ports import Backend
from gateway.inference.service.failures import too_long
from gateway.inference.service.trials import Trials
from services.chassis.aside import aside
from services.chassis.chat import ChatMessage, ToolDefinition
from services.chassis.dispatch.errors import NoBackend
from services.chassis.notifier import ChangeNotifier
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger

T = TypeVar("T")

NO_ANSWER: Final = "no answer in time"

_log = logger(__name__)

Announce = Callable[[str, ReplicaInfo, bool, int | None], None]
"""Called with a replica's name, what it may get, whether it is up, and how many calls wait inside it."""


class PoolMetrics(Protocol):
    """What the pool records."""

    def failed(self, replica: str, kind: str) -> None:
        """Record a call that failed at a replica, by the name of its error."""
        ...

    def opened(self, replica: str) -> None:
        """Record that a replica's circuit opened."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolConfig:
    """How the health of replicas is watched. Unit: seconds."""

    healthy_interval: float = 2.0
    first_retry: float = 0.1
    longest_retry: float = 2.0
    probe_timeout: float = 5.0
    circuit: CircuitConfig = field(default_factory=CircuitConfig)


@dataclass(frozen=True, slots=True)
class LiveReplica:
    """A replica that is up."""

    backend: Backend
    info: ReplicaInfo


@dataclass(slots=True)
class _Replica:
    backend: Backend
    circuit: Circuit
    info: ReplicaInfo | None = None
    up: bool = False
    queue_size: int | None = None
    failure: str = "not probed yet"
    failures: int = 0
    suspect: bool = False
    """Whether a call has failed since it was probed last."""
    logged: str | None = None
    """How it was, as the log says: why it does not answer, or nothing; None: not said yet."""


class ReplicaPool:
    """Watches every replica and tells `announce` about each change."""

    def __init__(
        self,
        backends: Sequence[Backend],
        announce: Announce,
        config: PoolConfig,
        clock: Clock,
        metrics: PoolMetrics | None = None,
    ) -> None:
        self._replicas = {each.name: _Replica(each, Circuit(config.circuit)) for each in backends}
        self._announce = announce
        self._metrics = metrics
        self._config = config
        self._clock = clock
        self._changes = ChangeNotifier()
        self._doubts = ChangeNotifier()
        """Tells, by name, that a replica should be probed at once."""
        self._next = 0
        self.trials = Trials(clock, self._fallen)
        """What is at work on which replica, and what is not worked on any more."""

    async def watch(self, name: str) -> None:
        """Keep one replica's state fresh until cancelled."""
        replica = self._replicas[name]
        with self._doubts.subscribe(name) as doubted:
            while True:
                doubted.reset()
                await self._probe(name, replica)
                await doubted.wait(self._pause(replica))

    def _pause(self, replica: _Replica) -> float:
        """How long to wait before the next probe."""
        if replica.up:
            return self._config.healthy_interval
        pause = self._config.first_retry * 2.0 ** min(replica.failures, 10)
        if not replica.failures:  # it is healthy: only its circuit keeps it out
            pause = max(pause, replica.circuit.opens_until - self._clock.monotonic())
        return min(self._config.longest_retry, pause)

    async def close(self) -> None:
        """Close every backend."""
        for replica in self._replicas.values():
            await replica.backend.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all replicas."""
        return tuple(self._replicas)

    def backend(self, name: str) -> Backend | None:
        """Return the replica's backend, up or not."""
        replica = self._replicas.get(name)
        return replica.backend if replica is not None else None

    def info(self, name: str) -> ReplicaInfo | None:
        """Return what the replica last said of itself."""
        replica = self._replicas.get(name)
        return replica.info if replica is not None else None

    def failures(self) -> Mapping[str, str]:
        """Return why each replica that is down is down."""
        return {name: replica.failure for name, replica in self._replicas.items() if not replica.up}

    def live(self) -> list[LiveReplica]:
        """Return the replicas that are up."""
        return [
            LiveReplica(replica.backend, replica.info)
            for replica in self._replicas.values()
            if replica.up and replica.info is not None
        ]

    def default_model(self) -> str:
        """Return the model that an empty name stands for: the first replica's that has ever answered."""
        for replica in self._replicas.values():
            if replica.info is not None:
                return replica.info.model
        return ""

    def known_models(self) -> frozenset[str]:
        """Return the models that replicas serve, or served when they were last there."""
        return frozenset(each.info.model for each in self._replicas.values() if each.info is not None)

    def failed(self, name: str, error: BackendError, source: Source) -> None:
        """Note a call of a tree that failed at a replica, and take the replica out where that tells of it.

        The next probe brings it back, unless its circuit has opened. A failure that a request may have
        brought about takes it out only where another replica can have the call meanwhile. What breaks
        together is one failure: those that come before it has been probed are not counted.
        """
        replica, now, told = self._replicas[name], self._clock.monotonic(), evidence(error)
        if self._metrics is not None:
            self._metrics.failed(name, type(error).__name__)
        if told is Evidence.REFUSAL or not replica.up or (replica.suspect and told is Evidence.FAILURE):
            return
        opened = replica.circuit.failed(now, source, nonsense=told is Evidence.ODD_ANSWER)
        if opened and self._metrics is not None:
            self._metrics.opened(name)
        replica.suspect = told is Evidence.FAILURE
        doubted = replica.suspect and self._has_twin(replica) and replica.circuit.doubtful(now, source)
        if opened or doubted or told is Evidence.ABSENCE:
            replica.failure = account(error)
            self._set(name, replica, up=False)
        if opened or told is not Evidence.ODD_ANSWER:
            self._doubts.notify(name)

    def _has_twin(self, replica: _Replica) -> bool:
        """Whether another replica that is up serves the same model."""
        info = replica.info
        return info is not None and any(
            each.backend is not replica.backend and each.info.model == info.model for each in self.live()
        )

    def succeeded(self, name: str, source: Source) -> None:
        """Note a call that went well; a replica on trial gets as many calls as it holds again."""
        replica = self._replicas[name]
        if replica.circuit.succeeded(self._clock.monotonic(), source) and replica.up:
            self._set(name, replica, up=True)

    def circuit(self, name: str) -> CircuitState:
        """Return the state of a replica's circuit."""
        return self._replicas[name].circuit.state(self._clock.monotonic())

    async def identify(self, name: str) -> ReplicaInfo | None:
        """Ask a replica anew what it serves and announce it if that has changed.

        None: it does not answer as it should. That is a probe like any other, so it is out at once.
        """
        replica = self._replicas[name]
        try:
            async with asyncio.timeout(self._config.probe_timeout):
                info = await _told(replica.backend)
        except (BackendError, TimeoutError) as error:
            replica.failure = account(error) or NO_ANSWER
            if replica.up:
                self._set(name, replica, up=False)
            self._doubts.notify(name)
            return None
        if self._learned(replica, info) and replica.up:
            self._set(name, replica, up=True)
        return info

    async def _fallen(self, name: str, instance: str) -> bool:
        """Whether a replica's process has ended since it told `instance`: nobody is there, or another one."""
        try:
            async with asyncio.timeout(self._config.probe_timeout):
                info = await _told(self._replicas[name].backend)
        except BackendGone:
            return True
        except (BackendError, TimeoutError):
            return False  # it may be busy, or out of reach
        return bool(instance and info.instance) and info.instance != instance

    async def replaced(self, name: str, info: ReplicaInfo) -> None:
        """Wait until a replica is known to serve another model, or revision of it, than `info` says."""
        replica = self._replicas[name]
        while replica.info is None or replica.info.same_model(info.model, info.revision):
            await self._changes.wait()

    async def unserved(self, model: str, revision: str) -> None:
        """Wait until no replica, up or down, was last known to serve this model."""
        while any(
            each.info is not None and each.info.same_model(model, revision)
            for each in self._replicas.values()
        ):
            await self._changes.wait()

    async def ready(self, model: str, timeout: float) -> LiveReplica:
        """Return a live replica of `model` (empty: the default), waiting up to `timeout` seconds for one.

        Raises ModelNotFound when no replica has ever served it, NoBackend when none came up in time.
        """
        give_up = self._clock.monotonic() + timeout
        while True:
            wanted = model or self.default_model()
            serving = [each for each in self.live() if each.info.model == wanted]
            if serving:
                self._next += 1
                return serving[self._next % len(serving)]
            known = self.known_models()
            if known and wanted not in known:
                raise ModelNotFound(
                    f"no backend serves model {wanted!r}; served: {', '.join(sorted(known))}",
                    metadata={"model": wanted},
                )
            await self._until_changed(give_up - self._clock.monotonic(), wanted)

    def narrowest(self, info: ReplicaInfo, prompt_tokens: int) -> ReplicaInfo:
        """Return the replica of a model whose window is the smallest that leaves a prompt room.

        Any of them may be granted.
        """
        same = (each.info for each in self.live() if each.info.model == info.model)
        fitting = [each for each in same if each.max_total_tokens > prompt_tokens]
        return min(fitting, key=lambda each: each.max_total_tokens, default=info)

    async def render(
        self,
        live: LiveReplica,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolDefinition] = (),
        form: str = "",
        *,
        work: Work,
    ) -> Prompt:
        """Apply the chat template; tools become text where the backend has no native tools.

        So they do beside a `form`, the schema of an answer without calls: no server keeps both natively.
        Raises ConstraintInvalid, BackendRefused, BackendFailed, RequestPoisoned or TooManyCalls.
        """
        native = live.info.capabilities.native_tools
        if native and not form:
            return await self._ask(live, lambda backend: backend.render(messages, tools), work)
        # Writing out what long schemas mean takes some hundredths of a second.
        fold = with_tools if native else plain_messages
        plain = await aside(lambda: fold(messages, tools, form))
        return await self._ask(live, lambda backend: backend.render(plain), work)

    async def measure(self, live: LiveReplica, text: str, *, work: Work, content: bool = False) -> Prompt:
        """Count the tokens of a plain prompt, or of a message's content.

        Raises BackendRefused, BackendFailed, RequestPoisoned or TooManyCalls.
        """
        return await self._ask(live, lambda backend: backend.measure(text, content=content), work)

    async def _ask(
        self, live: LiveReplica, question: Callable[[Backend], Coroutine[Any, Any, T]], work: Work
    ) -> T:
        """Ask a live replica, and after a failure each other one of the same model once."""
        others = [
            each
            for each in self.live()
            if each.info.model == live.info.model and each.backend is not live.backend
        ]
        causes: list[str] = []
        for each in [live, *others]:
            try:
                async with self.trials.at_work(each.backend.name, each.info.instance, work):
                    return await question(each.backend)
            except PromptOverflow as error:
                raise too_long(error, each.info.model) from error
            except BackendInvalid as error:
                raise BackendRefused(f"the backend refused the request: {cause(error)}") from error
            except BackendError as error:
                self.failed(each.backend.name, error, work.source)
                causes.append(cause(error))
                await self.trials.look(each.backend.name)
                self.trials.check(work)  # before it ends the next one
        raise BackendFailed(f"no backend could read the prompt ({causes[-1]}); try again", retry_after=1.0)

    async def _until_changed(self, seconds: float, model: str) -> None:
        if not await self._changes.wait(timeout=max(0.0, seconds)):
            raise NoBackend(
                f"no backend serves model {model!r} right now" if model else "no backend is up right now",
                metadata={"model": model},
                retry_after=2.0,
            )

    async def _probe(self, name: str, replica: _Replica) -> None:
        changed = False
        try:
            async with asyncio.timeout(self._config.probe_timeout):
                # Each time: a server that restarts between two probes may serve another model, or less of it.
                info = await _told(replica.backend)
                changed = self._learned(replica, info)
                self._check_form(info)
                healthy = await replica.backend.healthy()
                queue_size = await replica.backend.queue_size() if healthy else None
        except (BackendError, TimeoutError) as error:
            replica.failure, healthy, queue_size = account(error) or NO_ANSWER, False, None
            if replica.up and isinstance(error, BackendGone):
                self.trials.gone(name)
        replica.suspect = False
        replica.failures = 0 if healthy else replica.failures + 1
        _say(name, replica, healthy=healthy)
        waits = bool(queue_size) or queue_size != replica.queue_size
        replica.queue_size = queue_size
        up = healthy and self.circuit(name) is not CircuitState.OPEN
        if up != replica.up or (up and (waits or changed)):
            self._set(name, replica, up=up)

    def _learned(self, replica: _Replica, info: ReplicaInfo) -> bool:
        """Take in what a replica says of itself; tells whether that is news."""
        if replica.info == info:
            return False
        replica.info = info
        self._changes.notify()
        return True

    def _check_form(self, info: ReplicaInfo) -> None:
        """Let all replicas of a model take prompts in one form, the first one's: a generation may move.

        Raises BackendBroken.
        """
        known = [each.info for each in self._replicas.values() if each.info is not None]
        first = next(each for each in known if each.model == info.model)
        if _form(first) != _form(info):
            raise BackendBroken(f"another replica serves model {info.model} in another form: rename one")

    def _set(self, name: str, replica: _Replica, *, up: bool) -> None:
        replica.up = up
        if replica.info is not None:
            info = replica.info
            if self.circuit(name) is CircuitState.HALF_OPEN:
                info = replace(info, slots=min(1, info.slots))
            self._announce(name, info, up, replica.queue_size)
        self._changes.notify()


def _say(name: str, replica: _Replica, *, healthy: bool) -> None:
    """Log that a server answers, or why it does not, whenever that is another than before."""
    why = "" if healthy else replica.failure
    if why == replica.logged:
        return
    replica.logged = why
    if why:
        _log.warning("an inference server cannot be used; it is asked again", server=name, why=why)
    elif replica.info is not None:
        _log.info("an inference server is there", server=name, model=replica.info.model)


def _form(info: ReplicaInfo) -> tuple[bool, bool]:
    return info.capabilities.chat_prompts, info.capabilities.native_tools


async def _told(backend: Backend) -> ReplicaInfo:
    """Ask what a server serves. Raises BackendError, BackendBroken for what no server can mean."""
    info = await backend.info()
    if oddity := info.oddity():
        raise BackendBroken(f"the server declares {oddity}")
    return info
