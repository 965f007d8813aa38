"""Keeps unfinished generations in the context service, with the agent's own credential."""

import secrets
from itertools import accumulate, pairwise

import grpc

from aios.api.context.v1 import context_pb2, context_pb2_grpc, resources_pb2
from gateway.inference.model import Checkpoint, KvState, Prompt
from services.chassis.client import kernel_metadata
from services.chassis.errors import KernelError, ServiceUnavailable
from services.chassis.identity import Caller

SAVE_SECONDS = 5.0
LOAD_SECONDS = 2.0
GATEWAY = secrets.token_hex(8)
"""Names this process as the owner of the checkpoints it saves."""


class ContextCheckpoints:
    """The checkpoints of one agent's generations."""

    def __init__(self, stub: "context_pb2_grpc.ContextServiceAsyncStub", caller: Caller) -> None:
        self._stub = stub
        self._caller = caller
        self._epochs: dict[str, int] = {}

    async def save(self, checkpoint: Checkpoint) -> None:
        """Keep the newest state of a generation. Raises ServiceUnavailable."""
        snapshot = _snapshot(self._name(checkpoint.call), checkpoint)
        snapshot.epoch = self._epochs.get(checkpoint.call, 0)
        request = context_pb2.SaveSnapshotRequest(snapshot=snapshot)
        try:
            await self._stub.SaveSnapshot(request, timeout=SAVE_SECONDS, metadata=self._metadata())
        except grpc.aio.AioRpcError as error:
            raise _unavailable(error) from error

    async def load(self, call: str) -> Checkpoint | None:
        """Claim and read the newest state, so that no other gateway saves over it; None: there is none.

        An unreachable context service is no reason to refuse a call: it then starts from what its caller
        received.
        """
        request = context_pb2.ClaimSnapshotRequest(name=self._name(call), owner=GATEWAY)
        try:
            answer = await self._stub.ClaimSnapshot(request, timeout=LOAD_SECONDS, metadata=self._metadata())
        except grpc.aio.AioRpcError:
            return None
        self._epochs[call] = answer.snapshot.epoch
        return None if answer.snapshot.finished else _checkpoint(call, answer.snapshot)

    async def delete(self, call: str) -> None:
        """Drop it. Raises ServiceUnavailable."""
        request = context_pb2.DeleteSnapshotRequest(name=self._name(call))
        try:
            await self._stub.DeleteSnapshot(request, timeout=SAVE_SECONDS, metadata=self._metadata())
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise _unavailable(error) from error

    def _name(self, call: str) -> str:
        return f"agents/{self._caller.agent}/generations/{call}"

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return kernel_metadata(self._caller)


def _unavailable(error: grpc.aio.AioRpcError) -> KernelError:
    return ServiceUnavailable(f"the context service did not keep a checkpoint: {error.code().name}")


def _snapshot(name: str, checkpoint: Checkpoint) -> resources_pb2.Snapshot:
    snapshot = resources_pb2.Snapshot(
        name=name,
        model=checkpoint.model,
        prompt_text=checkpoint.prompt.text,
        prompt_token_ids=checkpoint.prompt_ids,
        emitted_token_ids=checkpoint.token_ids,
        emitted_text="".join(checkpoint.pieces),
        emitted_piece_lengths=[len(piece) for piece in checkpoint.pieces],
        sequence=len(checkpoint.pieces),
        usage=resources_pb2.GenerationUsage(prompt_tokens=checkpoint.prompt.token_count),
        seed=checkpoint.seed,
        request_digest=checkpoint.digest,
    )
    if checkpoint.kv is not None:
        snapshot.kv.handle = checkpoint.kv.handle.encode()
        snapshot.kv.replica = checkpoint.kv.replica
    return snapshot


def _checkpoint(call: str, snapshot: resources_pb2.Snapshot) -> Checkpoint:
    ends = accumulate(snapshot.emitted_piece_lengths, initial=0)
    pieces = tuple(snapshot.emitted_text[start:end] for start, end in pairwise(ends))
    kv = KvState(snapshot.kv.handle.decode(), snapshot.kv.replica) if snapshot.HasField("kv") else None
    return Checkpoint(
        call=call,
        model=snapshot.model,
        digest=snapshot.request_digest,
        prompt=Prompt(snapshot.prompt_text, snapshot.usage.prompt_tokens),
        prompt_ids=tuple(snapshot.prompt_token_ids),
        pieces=pieces,
        token_ids=tuple(snapshot.emitted_token_ids),
        seed=snapshot.seed if snapshot.HasField("seed") else None,
        kv=kv,
    )
