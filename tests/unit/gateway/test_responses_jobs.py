"""Jobs of responses in the background: credentials that run out, failures, wishes that are given up."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.kernel import Kernel
from gateway.http.model import Identity
from gateway.http.responses import ids
from gateway.http.responses.background import Background, Job, Limits
from gateway.http.responses.fitting import Fitter
from gateway.http.responses.model import History, Keeper, Record, Window, Work
from gateway.http.responses.owner import Owner
from gateway.http.responses.service.claims import Claims
from gateway.http.responses.service.keeping import Library, pending_name
from services.chassis.chat import ChatMessage, Role, ToolDefinition
from services.chassis.rpc.errors import KernelError, ServiceUnavailable
from tests.fakes.stores.responses import InMemoryShelf

BATCH = agent_pb2.SCHEDULING_CLASS_BATCH
UNSPECIFIED = agent_pb2.SCHEDULING_CLASS_UNSPECIFIED
ME = Keeper("acme", "planner")
DIGITS = "0" * 32
ASK = ChatMessage(Role.USER, "ask")


def event(**fields: Any) -> pb.StreamGenerateResponse:
    return pb.StreamGenerateResponse(event=pb.GenerationEvent(**fields))


ADMITTED = event(admitted=pb.Admitted())


def delta(text: str) -> pb.StreamGenerateResponse:
    return event(delta=pb.Delta(text=text))


def finished(text: str) -> pb.StreamGenerateResponse:
    end = pb.Finished(reason=pb.FINISH_REASON_STOP)
    end.message.content = text
    return event(finished=end)


def failure(reason: str, **metadata: str) -> KernelError:
    error = KernelError(f"ended with {reason}", metadata=metadata)
    error.reason = reason
    return error


Script = Sequence[pb.StreamGenerateResponse | KernelError]


@dataclass
class Inference:
    """Streams what each call is scripted to bring."""

    scripts: list[Script]
    requests: list[pb.GenerateRequest] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def StreamGenerate(  # noqa: N802 - gRPC's name
        self,
        request: pb.StreamGenerateRequest,
        *,
        metadata: Any,
        timeout: float,  # noqa: ARG002 - gRPC's signature
    ) -> AsyncGenerator[pb.StreamGenerateResponse, None]:
        asked = pb.GenerateRequest()
        asked.CopyFrom(request.generation)
        self.requests.append(asked)
        self.tokens.append(dict(metadata)["authorization"])
        for each in self.scripts.pop(0):
            if isinstance(each, KernelError):
                raise each
            yield each

    async def ListModels(self, *_: Any, **__: Any) -> pb.ListModelsResponse:  # noqa: N802 - gRPC's name
        return pb.ListModelsResponse()


@dataclass
class Keys:
    """Identities whose tokens are numbered; `renewable` tells whether a refused one may be had anew."""

    renewable: bool = True
    number: int = 1

    async def of(self, _header: Callable[[str], str | None], _peer: str) -> Identity:
        return Identity("planner", "acme", f"t{self.number}")

    def forget(self, _identity: Identity) -> bool:
        self.number += 1
        return self.renewable

    def begin(self, _identity: Identity) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class Windows:
    """Leaves the last message."""

    async def fit(
        self,
        keeper: Keeper,  # noqa: ARG002 - the port's
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolDefinition],  # noqa: ARG002 - the port's
        *,
        model: str,  # noqa: ARG002 - the port's
        budget: int = 0,  # noqa: ARG002 - the port's
        summarize: bool = False,  # noqa: ARG002 - the port's
    ) -> Window:
        return Window(tuple(messages[-1:]), 1)


class Bench:
    """A background on fakes, and one response that is to be generated."""

    def __init__(self, *scripts: Script, renewable: bool = True, **response: Any) -> None:
        self.shelf = InMemoryShelf()
        self.inference = Inference(list(scripts))
        self.keys = Keys(renewable)
        self.library = Library(self.shelf, 86_400, lambda: self.shelf.now)
        self.claims = Claims(self.shelf, "one", 30.0, lambda: self.shelf.now)
        kernel = cast("Kernel", type("K", (), {"inference": self.inference})())
        fitter = Fitter(kernel, Windows())
        self.background = Background(kernel, self.library, self.claims, fitter, Limits(4, 60.0))
        self.response = {
            "id": ids.response_id(DIGITS),
            "created_at": 1,
            "model": "tiny",
            "status": "queued",
            "output": [],
            "service_tier": "flex",
            **response,
        }

    async def run(self, *, tier: bool = False, conversation: str = "") -> tuple[Job, Record | None]:
        """Run the job to its end; return it, and what is stored of the end."""
        asked = pb.GenerateRequest(request_id="resp-x")
        asked.messages.add(role="ROLE_USER", content="ask")
        asked.messages.add(role="ROLE_USER", content="last")
        asked.hints.scheduling_class = BATCH if tier else UNSPECIFIED
        work = Work(asked.SerializeToString(), count=1, own=1, tier=tier)
        record = Record(self.response, [], "digest", self.shelf.now + 86_400, conversation, work)
        await self.library.keep(ME, pending_name(DIGITS), record, [ASK], History())
        owner = Owner(cast("Any", self.keys), {}, "peer", "acme", "planner")
        job = await self.background.ensure(owner, ME, record, resume=False)
        assert job is not None
        assert job.task is not None
        async with asyncio.timeout(30):
            await asyncio.wait({job.task})
        await self.library.close()
        return job, await self.library.find(ME, DIGITS)


async def text_of(job: Job) -> str:
    """Return the text that a follower is told."""
    told = [each async for each in job.follow()]
    return "".join(each.event.delta.text for each in told if isinstance(each, pb.StreamGenerateResponse))


async def test_a_token_that_runs_out_is_had_anew_and_no_text_is_told_twice() -> None:
    bench = Bench(
        [ADMITTED, delta("Hel"), failure("CREDENTIAL_EXPIRED")],
        [ADMITTED, delta("He"), delta("llo"), finished("Hello")],
    )
    job, stored = await bench.run()

    assert stored is not None
    assert stored.response["output"][0]["content"][0]["text"] == "Hello"
    assert await text_of(job) == "Hello"
    assert bench.inference.tokens == ["Bearer t1", "Bearer t2"]
    assert [each.HasField("resume") for each in bench.inference.requests] == [False, True]


@pytest.mark.parametrize("reason", ["CREDENTIAL_EXPIRED", "AGENT_INACTIVE", "DRAINING", "ACCESS_UNAVAILABLE"])
async def test_what_may_go_on_later_is_left_for_the_next_who_asks(reason: str) -> None:
    bench = Bench([ADMITTED, delta("Hel"), failure(reason)], renewable=False)
    job, stored = await bench.run()

    assert stored is None
    assert await bench.library.find_pending(ME, DIGITS) is not None
    assert await Claims(bench.shelf, "two", 30.0, lambda: bench.shelf.now).take(ME, pending_name(DIGITS))
    with pytest.raises(ServiceUnavailable):
        await text_of(job)


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        ("BACKEND_FAILED", "failed", "server_error"),
        ("PROMPT_TOO_LONG", "failed", "context_length_exceeded"),
        ("CANCELLED", "cancelled", None),
    ],
)
async def test_how_it_failed_is_stored(reason: str, status: str, code: str | None) -> None:
    bench = Bench([ADMITTED, failure(reason)])
    job, stored = await bench.run()

    assert stored is not None
    assert job.result == stored.response
    assert (stored.response["status"], (stored.response["error"] or {}).get("code")) == (status, code)
    assert bench.background.job(ME, DIGITS) is None


async def test_a_service_tier_is_a_wish_and_a_class_of_the_clients_own_is_not() -> None:
    refusal = failure("PERMISSION_DENIED", hint="scheduling_class")
    wish = Bench([refusal], [ADMITTED, finished("Hello")])
    demand = Bench([refusal])
    _, given = await wish.run(tier=True)
    _, refused = await demand.run()

    assert given is not None
    assert refused is not None
    assert (given.response["status"], given.response["service_tier"]) == ("completed", "default")
    assert refused.response["status"] == "failed"
    assert not wish.inference.requests[1].hints.scheduling_class


async def test_a_request_that_is_too_long_is_made_to_fit_once_under_another_id() -> None:
    bench = Bench(
        [failure("PROMPT_TOO_LONG")], [ADMITTED, finished("Hello")], truncation="auto", service_tier="default"
    )
    _, stored = await bench.run()

    assert stored is not None
    assert stored.response["status"] == "completed"
    first, second = bench.inference.requests
    assert [each.content for each in second.messages] == ["last"]
    assert first.request_id != second.request_id


async def test_a_response_whose_conversation_was_deleted_fails_once_and_for_all() -> None:
    bench = Bench([ADMITTED, delta("Hello"), finished("Hello")])
    job, stored = await bench.run(conversation="1" * 32)

    assert stored is not None
    assert stored.response["status"] == "failed"
    assert job.result == stored.response
    assert await bench.library.find_pending(ME, DIGITS) is None


async def test_the_end_is_stored_although_the_shelf_is_away_for_a_moment() -> None:
    bench = Bench([ADMITTED, delta("Hello"), finished("Hello")])
    put, tries = bench.shelf.put, []

    async def away(*given: Any, **more: Any) -> bool:
        tries.append(1)
        if len(tries) == 2:  # the first one stores what it takes
            raise ServiceUnavailable("away")
        return await put(*given, **more)

    bench.shelf.put = away  # type: ignore[method-assign]
    _, stored = await bench.run()

    assert stored is not None
    assert len(tries) == 3
