"""Keeps unfinished generations in the context service, with the agent's own credential."""

import secrets
from itertools import accumulate, pairwise

import grpc

from aios.api.context.v1 import context_pb2, context_pb2_grpc, resources_pb2
from gateway.inference.model import Alternative, Checkpoint, KvState, Place, Prompt
from services.chassis.auth.identity import Caller
from services.chassis.rpc.client import Metadata
from services.chassis.rpc.errors import KernelError, ServiceUnavailable
from services.chassis.rpc.exchange import TokenExchange
from services.chassis.rpc.status import peer_error

SAVE_SECONDS = 5.0
LOAD_SECONDS = 2.0
GATEWAY = secrets.token_hex(8)
"""Names this process as the owner of the checkpoints it saves."""


class ContextCheckpoints:
    """The checkpoints of one agent's generations.

    The first save of a generation is whole; the next ones bring what came since, unless the service tells
    that it does not stand where this gateway left it.
    """

    def __init__(
        self, stub: "context_pb2_grpc.ContextServiceAsyncStub", caller: Caller, exchange: TokenExchange
    ) -> None:
        self._stub = stub
        self._exchange = exchange
        self._caller = caller
        self._epochs: dict[str, int] = {}
        self._stored: dict[str, Checkpoint] = {}
        """What the context service is known to have."""
        self._refused: dict[str, int] = {}
        """Tokens of the newest checkpoint that it had no room for."""

    async def save(self, checkpoint: Checkpoint) -> None:
        """Keep the newest state of a generation. Raises ServiceUnavailable.

        After a refusal for want of room it is tried again when the output is twice as long: what is refused
        again and again costs no more than what is kept.
        """
        if len(checkpoint.pieces) < 2 * self._refused.get(checkpoint.call, 0):
            raise ServiceUnavailable("the context service had no room for a checkpoint")
        stored = self._stored.get(checkpoint.call)
        after = len(stored.pieces) if stored is not None and _goes_on(stored, checkpoint) else 0
        try:
            answer = await self._send(checkpoint, after)
        except grpc.aio.AioRpcError as error:
            if not after or not self._behind(checkpoint.call, error):
                raise self._failed(checkpoint, error) from error
            answer = await self._send_whole(checkpoint)
        self._refused.pop(checkpoint.call, None)
        # Otherwise something newer is stored, and the next increment must not begin where this save ends.
        if answer.sequence == len(checkpoint.pieces):
            self._stored[checkpoint.call] = checkpoint

    async def load(self, call: str) -> Checkpoint | None:
        """Claim and read the newest state, so that no other gateway saves over it; None: there is none.

        An unreachable context service is no reason to refuse a call: it then starts from what its caller
        received.
        """
        # Claimed, not just read: a gateway that still runs the generation is refused from here on, so its
        # next save cannot mix with ours.
        request = context_pb2.ClaimSnapshotRequest(name=self._name(call), owner=GATEWAY)
        try:
            answer = await self._stub.ClaimSnapshot(
                request, timeout=LOAD_SECONDS, metadata=await self._metadata()
            )
        except (grpc.aio.AioRpcError, ServiceUnavailable):
            return None
        self._epochs[call] = answer.snapshot.epoch
        return None if answer.snapshot.finished else _checkpoint(call, answer.snapshot)

    async def delete(self, call: str) -> None:
        """Drop the state of a generation that has ended. Raises ServiceUnavailable."""
        self._stored.pop(call, None)
        request = context_pb2.DeleteSnapshotRequest(name=self._name(call))
        try:
            await self._stub.DeleteSnapshot(request, timeout=SAVE_SECONDS, metadata=await self._metadata())
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise _unavailable(error) from error

    async def _send_whole(self, checkpoint: Checkpoint) -> context_pb2.SaveSnapshotResponse:
        try:
            return await self._send(checkpoint, 0)
        except grpc.aio.AioRpcError as error:
            raise self._failed(checkpoint, error) from error

    async def _send(self, checkpoint: Checkpoint, after: int) -> context_pb2.SaveSnapshotResponse:
        """Save what came after the first `after` tokens; 0 saves everything."""
        snapshot = resources_pb2.Snapshot() if after else _base(checkpoint)
        snapshot.name = self._name(checkpoint.call)
        snapshot.epoch = self._epochs.get(checkpoint.call, 0)
        _write_output(snapshot, checkpoint, after)
        request = context_pb2.SaveSnapshotRequest(snapshot=snapshot, after_sequence=after)
        return await self._stub.SaveSnapshot(request, timeout=SAVE_SECONDS, metadata=await self._metadata())

    def _failed(self, checkpoint: Checkpoint, error: grpc.aio.AioRpcError) -> KernelError:
        if peer_error(error).reason == "QUOTA_EXCEEDED":
            self._refused[checkpoint.call] = len(checkpoint.pieces)
        return _unavailable(error)

    def _behind(self, call: str, error: grpc.aio.AioRpcError) -> bool:
        """Whether the snapshot is still this gateway's, but does not stand where the increment begins.

        It expired, or an answer was lost: a whole save mends that. Under another epoch it has a new owner,
        over whose newer state a whole save must not write.
        """
        told = peer_error(error)
        same_epoch = told.metadata.get("epoch") == str(self._epochs.get(call, 0))
        return told.reason == "SNAPSHOT_NOT_FOUND" or (told.reason == "SNAPSHOT_CONFLICT" and same_epoch)

    def _name(self, call: str) -> str:
        return f"agents/{self._caller.agent}/generations/{call}"

    async def _metadata(self) -> Metadata:
        try:
            return await self._exchange.metadata(self._caller, "context")
        except KernelError as error:
            raise ServiceUnavailable(f"the context service cannot be asked: {error.reason}") from error


def _unavailable(error: grpc.aio.AioRpcError) -> KernelError:
    return ServiceUnavailable(f"the context service did not keep a checkpoint: {error.code().name}")


def _goes_on(old: Checkpoint, new: Checkpoint) -> bool:
    """Whether only output was added: an increment cannot change what the first save told."""
    return (
        len(new.pieces) >= len(old.pieces)
        and (old.model, old.digest, old.seed) == (new.model, new.digest, new.seed)
        and (old.prompt is new.prompt or old.prompt == new.prompt)
        and (old.prompt_ids is new.prompt_ids or old.prompt_ids == new.prompt_ids)
    )


def _base(checkpoint: Checkpoint) -> resources_pb2.Snapshot:
    return resources_pb2.Snapshot(
        model=checkpoint.model,
        prompt_text=checkpoint.prompt.text,
        prompt_token_ids=checkpoint.prompt_ids,
        seed=checkpoint.seed,
        request_digest=checkpoint.digest,
    )


def _write_output(snapshot: resources_pb2.Snapshot, checkpoint: Checkpoint, after: int) -> None:
    pieces = checkpoint.pieces[after:]
    snapshot.emitted_token_ids.extend(checkpoint.token_ids[after:])
    snapshot.emitted_text = "".join(pieces)
    snapshot.emitted_piece_lengths.extend(len(piece) for piece in pieces)
    snapshot.sequence = len(checkpoint.pieces)
    snapshot.usage.prompt_tokens = checkpoint.prompt.token_count
    for place in checkpoint.places:
        if place.sequence > after:
            _write_place(snapshot.top_alternatives.add(), place)
    if checkpoint.kv is not None:
        snapshot.kv.handle = checkpoint.kv.handle.encode()
        snapshot.kv.replica = checkpoint.kv.replica


def _write_place(told: resources_pb2.TopAlternatives, place: Place) -> None:
    told.sequence = place.sequence
    for each in place.alternatives:
        told.alternatives.add(token_id=each.id, text=each.text, logprob=each.logprob)
    if (chosen := place.chosen) is not None:
        told.chosen.token_id, told.chosen.text, told.chosen.logprob = chosen.id, chosen.text, chosen.logprob


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
        places=tuple(_place(each) for each in snapshot.top_alternatives),
    )


def _place(told: resources_pb2.TopAlternatives) -> Place:
    chosen = _alternative(told.chosen) if told.HasField("chosen") else None
    return Place(told.sequence, tuple(map(_alternative, told.alternatives)), chosen)


def _alternative(told: resources_pb2.Alternative) -> Alternative:
    return Alternative(told.token_id, told.text, told.logprob)
