"""Secrets of a fake kernel: kept, sent nowhere, told to nobody."""

from google.protobuf.timestamp_pb2 import Timestamp

from aios.api.tool.v1 import secrets_pb2 as pb
from aios.errors import InvalidRequest, NotFound, PermissionDenied
from aios.testing.caller import ADMIN, Caller


class FakeSecrets:
    """Answers the RPCs about secrets."""

    def __init__(self) -> None:
        self._secrets: dict[str, pb.Secret] = {}

    async def set_secret(self, request: pb.SetSecretRequest, caller: Caller) -> pb.SetSecretResponse:
        """SetSecret."""
        _administers(caller)
        known = self._secrets.get(request.name, pb.Secret(name=request.name, key_id="fake"))
        if not request.bound_to and not known.version:
            raise InvalidRequest("a new secret is bound to where it may go")
        known.update_time.CopyFrom(_now())
        if not known.version:
            known.create_time.CopyFrom(known.update_time)
        known.version += 1
        known.bound_to = request.bound_to or known.bound_to
        self._secrets[request.name] = known
        return pb.SetSecretResponse(secret=known)

    async def list_secrets(self, request: pb.ListSecretsRequest, caller: Caller) -> pb.ListSecretsResponse:
        """ListSecrets, in one page."""
        del request
        _administers(caller)
        return pb.ListSecretsResponse(secrets=[self._secrets[name] for name in sorted(self._secrets)])

    async def delete_secret(self, request: pb.DeleteSecretRequest, caller: Caller) -> pb.DeleteSecretResponse:
        """DeleteSecret."""
        _administers(caller)
        if self._secrets.pop(request.name, None) is None and not request.allow_missing:
            raise NotFound(f"there is no secret {request.name}", reason="SECRET_NOT_FOUND")
        return pb.DeleteSecretResponse()


def _administers(caller: Caller) -> None:
    if caller.agent != ADMIN:
        raise PermissionDenied("secrets are kept by administrators")


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now
