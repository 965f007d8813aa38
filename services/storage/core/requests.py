"""What makes two requests the same request."""

import hashlib
from collections.abc import Mapping

import orjson


def fingerprint(method: str, arguments: Mapping[str, object]) -> bytes:
    """Digest a request: equal for equal arguments. The leading number is the version of this rule."""
    body = orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(b"1\0" + method.encode() + b"\0" + body).digest()
