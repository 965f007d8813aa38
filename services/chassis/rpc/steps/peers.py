"""Which process is at the other end of a call, by the certificate that it has shown."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.chassis.rpc.errors import CredentialInvalid

_COMMON_NAME: Final = "x509_common_name"
_OTHER_NAMES: Final = "x509_subject_alternative_name"


def check(context: Any, known: frozenset[str]) -> None:
    """Raise CredentialInvalid unless the certificate at the other end has one of these names.

    An authority may have signed more than the kernel's own: that it signed is not enough.
    """
    if not known & names(context.auth_context()):
        raise CredentialInvalid("the certificate at the other end is no process of the kernel's")


def names(shown: Mapping[str, Iterable[bytes]]) -> frozenset[str]:
    """Return the names in a certificate; its common name counts only where it has no others."""
    found = shown.get(_OTHER_NAMES) or shown.get(_COMMON_NAME) or ()
    return frozenset(each.decode("utf-8", "replace") for each in found)
