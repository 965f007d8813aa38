"""Tools that agents make: what a draft is, how far it may get, and what a person is shown of it. Pure.

A draft becomes a tool by its own examples, in the sandbox, and a tool of others by a person's approval of
exactly its bytes. Whatever changes it takes it back to the beginning. Nothing here reads the source: it is a
text, for a parser can be brought down by a text.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, Final

from services.chassis.rpc.errors import InvalidRequest
from services.tool.core import schemas
from services.tool.errors import ArgumentsInvalid, EtagMismatch, ToolNotTested
from services.tool.model import Driver, DriverKind, Effect, Made, PythonCode, Tool

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
DEFAULT_CONCURRENCY: Final = 4
MAX_EXAMPLES_BYTES: Final = 262_144
MAX_PROBLEM: Final = 1_024
MAX_SHOWN_RESULT: Final = 2_048
"""Characters of a result that are kept of a test."""
_BLANKS: Final = frozenset("\t\n\r")


class DraftState(Enum):
    """How far a draft is. Values are stored."""

    DRAFT = "draft"
    TESTED = "tested"
    OWN = "own"
    SHARED = "shared"

    @property
    def passed(self) -> bool:
        """Whether it has passed its examples as it is."""
        return self is not DraftState.DRAFT


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A call, and what has to come out of it: a value, or a schema that the value keeps."""

    arguments_json: str
    result_json: str = ""
    result_schema: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What is tested and approved: a change of any of it makes another tool."""

    title: str = ""
    description: str
    parameters_schema: str = ""
    result_schema: str = ""
    code: PythonCode
    examples: tuple[Example, ...]
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    max_concurrency: int = DEFAULT_CONCURRENCY
    returns_untrusted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleEnd:
    """How one example went."""

    passed: bool
    problem: str = ""
    result_json: str = ""
    """What came out; cut."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A run of the examples in the sandbox."""

    sha256: str
    """Of what was tested."""
    source_sha256: str
    interpreter: str
    sandbox: str
    examples: tuple[ExampleEnd, ...]
    tested_at: datetime

    @property
    def passed(self) -> bool:
        """Whether every example did."""
        return bool(self.examples) and all(one.passed for one in self.examples)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What is being shared, kept before its approval is used: a restart shares it once and no less."""

    approval: str
    request_sha256: str
    """Of what the person was shown."""
    content: Content
    trial: Trial
    effect: Effect
    untrusted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A tool that an agent makes, as it is now."""

    agent: str
    name: str
    content: Content
    state: DraftState = DraftState.DRAFT
    effect: Effect = Effect.REVERSIBLE
    """By what its sandbox lets it do."""
    trial: Trial | None = None
    """The last test, of whatever it was then."""
    approval: str = ""
    """That was asked for to share it as it is."""
    claim: Claim | None = None
    untrusted: bool = False
    """Whether an agent wrote some of it that had read what nobody vouches for."""
    created_at: datetime
    updated_at: datetime
    etag: int = 1
    """Grows with every change."""

    @property
    def tool_id(self) -> str:
        """What it is called as a tool."""
        return tool_id(self.agent, self.name)

    @property
    def sha256(self) -> str:
        """Of all that is tested and approved."""
        return digest(self.content)


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """What was shared once. Nothing of it changes but whether it was revoked."""

    agent: str
    draft: str
    number: int
    content: Content
    trial: Trial
    effect: Effect
    approval: str
    untrusted: bool
    shared_at: datetime
    revoked_at: datetime | None = None
    revoke_reason: str = ""

    @property
    def sha256(self) -> str:
        """Of what was shared."""
        return digest(self.content)


@dataclass(frozen=True, kw_only=True, slots=True)
class SharingRequest:
    """What a person is asked: whether others may call exactly this."""

    tool: str
    sha256: str
    number: int
    """Of the version that it becomes."""
    replaces: int
    """Number of the version that is shared now; 0: none is."""
    description: str
    shown: str = field(repr=False)
    """All that the person sees, as canonical JSON."""

    @property
    def shown_sha256(self) -> str:
        """Of all that the person sees."""
        return hashlib.sha256(self.shown.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """What runs Python code."""

    interpreter: str
    """Its version, such as 3.11.7."""
    sandbox: str
    """The level of what keeps it in."""


def tool_id(agent: str, name: str) -> str:
    """Return what a draft is called as a tool.

    Names of drafts have no dot, so that the last one ends the agent's id: no two drafts share a tool.
    """
    return f"{agent}.{name}"


def digest(content: Content) -> str:
    """Return the SHA-256 of all that a draft is."""
    text = json.dumps(asdict(content), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def source_digest(content: Content) -> str:
    """Return the SHA-256 of the source alone."""
    return hashlib.sha256(content.code.source.encode()).hexdigest()


def check(content: Content) -> None:
    """Refuse what could not be tested or shown. Takes up to some tenths of a second.

    Raises SchemaInvalid, ArgumentsInvalid, InvalidRequest.
    """
    schemas.check_schema(content.parameters_schema, "parameters_schema_json", of_object=True)
    schemas.check_schema(content.result_schema, "result_schema_json", of_object=False)
    for at, text in (("python.source", content.code.source), ("description", content.description)):
        if any(sign < " " and sign not in _BLANKS for sign in text):
            raise InvalidRequest.field(f"draft.{at}", "holds control characters")
    texts = ((one.arguments_json, one.result_json, one.result_schema) for one in content.examples)
    if sum(len(text.encode()) for each in texts for text in each) > MAX_EXAMPLES_BYTES:
        raise InvalidRequest.field("draft.examples", f"hold more than {MAX_EXAMPLES_BYTES} bytes together")
    for number, example in enumerate(content.examples):
        where = f"draft.examples[{number}]"
        schemas.check_arguments(content.parameters_schema, arguments_of(example))
        if example.result_schema:
            schemas.check_schema(example.result_schema, f"{where}.result_schema_json", of_object=False)
        else:
            schemas.check_result(content.result_schema, expected_of(example))


def arguments_of(example: Example) -> Any:
    """Return an example's arguments. Raises ArgumentsInvalid."""
    return schemas.parse_json(example.arguments_json or "{}", "an example's arguments", ArgumentsInvalid)


def expected_of(example: Example) -> Any:
    """Return the value that an example expects. Raises ArgumentsInvalid."""
    return schemas.parse_json(example.result_json, "an example's result", ArgumentsInvalid)


def judge(content: Content, example: Example, value: Any) -> ExampleEnd:
    """Compare what came out with what was expected. Raises ResultInvalid when it is no result at all."""
    text = schemas.check_result(content.result_schema, value)
    if example.result_schema:
        schemas.check_result(example.result_schema, value)
        return ExampleEnd(passed=True, result_json=_cut(text))
    if equal(expected_of(example), value):
        return ExampleEnd(passed=True, result_json=_cut(text))
    return ExampleEnd(passed=False, problem="another result was expected", result_json=_cut(text))


def failed_example(reason: str, message: str) -> ExampleEnd:
    """Return the end of an example that returned nothing."""
    return ExampleEnd(passed=False, problem=f"{reason}: {message}"[:MAX_PROBLEM])


def equal(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same: 1 is 1.0, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def drafted(known: Draft | None, new: Draft, etag: str) -> Draft:
    """Put a draft in the place of the one that is known. Equal content keeps what it has become.

    Raises EtagMismatch when the known one is another version than `etag` says.
    """
    if known is None:
        return new
    check_etag(known, etag)
    untrusted = known.untrusted or new.untrusted
    if (known.content, known.effect) == (new.content, new.effect):
        return known if untrusted == known.untrusted else _changed(known, new.updated_at, untrusted=untrusted)
    return replace(
        new,
        created_at=known.created_at,
        trial=known.trial,
        claim=known.claim,
        untrusted=untrusted,
        etag=known.etag + 1,
    )


def tested(draft: Draft, trial: Trial, *, own: bool) -> Draft:
    """Note a test; one that passed makes the draft a tool. Raises EtagMismatch when it tested something else.

    What everybody calls is its owner's tool already.
    """
    if trial.sha256 != draft.sha256:
        raise EtagMismatch("the draft changed while it was tested", metadata={"etag": str(draft.etag)})
    if not trial.passed:
        state = DraftState.DRAFT
    elif draft.state in {DraftState.OWN, DraftState.SHARED}:
        state = draft.state
    else:
        state = DraftState.OWN if own else DraftState.TESTED
    return _changed(draft, trial.tested_at, state=state, trial=trial)


def check_etag(draft: Draft, etag: str) -> None:
    """Raise EtagMismatch when the draft has changed since it was read."""
    if etag and etag != str(draft.etag):
        raise EtagMismatch("the draft has changed; read it again", metadata={"etag": str(draft.etag)})


def trial_of(draft: Draft) -> Trial:
    """Return the test that the draft passed as it is. Raises ToolNotTested."""
    trial = draft.trial
    if not draft.state.passed or trial is None or not trial.passed or trial.sha256 != draft.sha256:
        raise ToolNotTested(
            "the draft has to pass its examples as it is first", metadata={"draft": draft_name(draft)}
        )
    return trial


def asked(draft: Draft, approval: str, now: datetime) -> Draft:
    """Note the approval that was asked for."""
    return draft if draft.approval == approval else _changed(draft, now, approval=approval)


def claimed(draft: Draft, approval: str, request: SharingRequest, now: datetime) -> tuple[Draft, Claim]:
    """Take down what is being shared, before the approval is used. Raises EtagMismatch, ToolNotTested."""
    trial = trial_of(draft)
    if draft.sha256 != request.sha256:
        raise EtagMismatch("the draft changed since it was approved", metadata={"etag": str(draft.etag)})
    claim = Claim(
        approval=approval,
        request_sha256=request.shown_sha256,
        content=draft.content,
        trial=trial,
        effect=draft.effect,
        untrusted=draft.untrusted,
    )
    return _changed(draft, now, claim=claim), claim


def unclaimed(draft: Draft, now: datetime) -> Draft:
    """Give up what was being shared: its approval does not count."""
    return _changed(draft, now, claim=None, approval="")


def shared(draft: Draft, number: int, now: datetime) -> tuple[Draft, Version]:
    """Turn what is claimed into a version. A draft that changed meanwhile stays as far as it is."""
    claim = draft.claim
    if claim is None:
        raise ValueError("nothing is being shared")
    version = Version(
        agent=draft.agent,
        draft=draft.name,
        number=number,
        content=claim.content,
        trial=claim.trial,
        effect=claim.effect,
        approval=claim.approval,
        untrusted=claim.untrusted,
        shared_at=now,
    )
    same = draft.content == claim.content and draft.state.passed
    state = DraftState.SHARED if same else draft.state
    return _changed(draft, now, state=state, claim=None, approval=""), version


def is_shared(draft: Draft, now: datetime) -> Draft:
    """Note that what everybody calls is this draft."""
    return _changed(draft, now, state=DraftState.SHARED, approval="")


def unshared(draft: Draft, now: datetime) -> Draft:
    """Note that what everybody calls is this draft no more: it stays what its owner has tested."""
    if draft.state is not DraftState.SHARED:
        return draft
    return _changed(draft, now, state=DraftState.TESTED)


def own_tool(draft: Draft) -> Tool:
    """Return a draft as the tool of its owner alone."""
    return _tool(
        draft.content,
        Made(agent=draft.agent, draft=draft.name, sha256=draft.sha256),
        effect=draft.effect,
        untrusted=draft.untrusted,
        created_at=draft.created_at,
        updated_at=draft.updated_at,
        version=draft.etag,
    )


def shared_tool(version: Version, before: Tool | None, now: datetime) -> Tool:
    """Return a version as everybody's tool, in the place of the one `before`."""
    return _tool(
        version.content,
        Made(agent=version.agent, draft=version.draft, sha256=version.sha256, number=version.number),
        effect=version.effect,
        untrusted=version.untrusted,
        created_at=now if before is None else before.created_at,
        updated_at=now,
        version=1 if before is None else before.version + 1,
    )


def draft_name(draft: Draft | Version) -> str:
    """Return the resource name of a draft."""
    name = draft.name if isinstance(draft, Draft) else draft.draft
    return f"agents/{draft.agent}/drafts/{name}"


def _tool(content: Content, made: Made, *, effect: Effect, untrusted: bool, **life: Any) -> Tool:
    return Tool(
        id=tool_id(made.agent, made.draft),
        title=content.title,
        description=content.description,
        parameters_schema=content.parameters_schema,
        result_schema=content.result_schema,
        effect=effect,
        max_concurrency=content.max_concurrency,
        timeout_seconds=content.timeout_seconds,
        driver=Driver(DriverKind.PYTHON, python=content.code),
        # What a marked agent wrote speaks for whoever wrote what it had read.
        returns_untrusted=content.returns_untrusted or untrusted,
        untrusted=untrusted,
        owner=made.agent,
        made=made,
        **life,
    )


def _changed(draft: Draft, now: datetime, **fields: Any) -> Draft:
    return replace(draft, updated_at=now, etag=draft.etag + 1, **fields)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_RESULT else f"{text[:MAX_SHOWN_RESULT]}..."
