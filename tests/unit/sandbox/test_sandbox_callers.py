"""Who may call the sandbox."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.rpc.errors import CredentialInvalid
from services.sandbox.adapters.callers import CALLER, Callers
from services.sandbox.config import SandboxConfig

OLD, NEW = "the-old-credential", "the-new-credential"
DIGESTS = [sha256(each.encode()).hexdigest() for each in (OLD, NEW)]


async def test_one_credential_can_replace_the_other_while_both_count() -> None:
    callers = Callers(DIGESTS)

    assert [await callers.authenticate(each) for each in (OLD, NEW)] == [CALLER, CALLER]
    with pytest.raises(CredentialInvalid):
        await Callers(DIGESTS[1:]).authenticate(OLD)


@given(st.text() | st.sampled_from([*DIGESTS, OLD + NEW, OLD * 500]))
async def test_nothing_else_is_a_credential(token: str) -> None:
    for known in (DIGESTS, []):
        with pytest.raises(CredentialInvalid):
            await Callers(known).authenticate(token)


@pytest.mark.parametrize("digest", ["", "00", "Z" * 64, "A" * 64, "0" * 65])
def test_what_is_no_digest_is_refused_at_the_start(digest: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        SandboxConfig(caller_sha256=(digest,))
