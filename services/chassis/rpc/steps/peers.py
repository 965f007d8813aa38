"""Which process is at the other end of a call, by the certificate that it has shown."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.chassis.auth.identity import Kind, Principal
from services.chassis.rpc.errors import CredentialInvalid

_COMMON_NAME: Final = "x509_common_name"
_OTHER_NAMES: Final = "x509_subject_alternative_name"


def check(context: Any, known: frozenset[str]) -> frozenset[str]:
    """Return which of these the other end is by its certificate. Raises CredentialInvalid for none.

    An authority may have signed more than the kernel's own: that it signed is not enough.
    """
    found = known & names(context.auth_context())
    if not found:
        raise CredentialInvalid("the certificate at the other end is no process of the kernel's")
    return found


def check_service(principal: Principal, peer: frozenset[str]) -> None:
    """Raise CredentialInvalid for a process's token from another process: it is a stolen one."""
    if principal.kind is Kind.SERVICE and principal.agent not in peer:
        raise CredentialInvalid("the token is another process's than the certificate")


def names(shown: Mapping[str, Iterable[bytes]]) -> frozenset[str]:
    """Return the names in a certificate; its common name counts only where it has no others."""
    found = shown.get(_OTHER_NAMES) or shown.get(_COMMON_NAME) or ()
    return frozenset(each.decode("utf-8", "replace") for each in found)
