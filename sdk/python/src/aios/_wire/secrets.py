"""Secrets on the wire."""

from aios._wire.records import record
from aios.api.tool.v1 import secrets_pb2 as pb
from aios.types.secrets import SecretInfo


def secret_name(secret: str) -> str:
    """Return the resource name of a secret given by id or name."""
    return secret if secret.startswith("secrets/") else f"secrets/{secret}"


def secret(message: pb.Secret) -> SecretInfo:
    """Return a secret from protobuf."""
    return record(SecretInfo, message)
