"""What is a job and what is not is known before anything starts."""

import pytest

from services.chassis.isolation.sandbox import check
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.sandbox.terms import Limits, SandboxJob


@pytest.mark.parametrize(
    "job",
    [
        SandboxJob(argv=()),
        SandboxJob(argv=("a",), python="b"),
        SandboxJob(argv=("a\0b",)),
        SandboxJob(argv=("a",), environment={"A=B": "c"}),
        SandboxJob(argv=("a",), environment={"": "c"}),
        SandboxJob(argv=("a" * 200_000,)),
        SandboxJob(argv=("a",), files={"../up": b""}),
        SandboxJob(argv=("a",), files={"/etc/passwd": b""}),
        SandboxJob(argv=("a",), files={"a//b": b""}),
        SandboxJob(argv=("a",), files={"a": b"x" * 100}, limits=Limits(scratch_bytes=10)),
    ],
)
def test_what_is_no_job_is_refused_before_anything_starts(job: SandboxJob) -> None:
    with pytest.raises(InvalidRequest):
        check(job)
