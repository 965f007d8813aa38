"""The policy engine: Cedar, with a parsed policy set per tenant and the input of one request.

Any error while evaluating is a refusal: Cedar skips a policy that errors, `forbid` included. So is a policy
in force that cannot be read (any more): what it would have forbidden is not known.
"""

import asyncio
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from importlib import resources
from typing import Any, Final, NamedTuple

import cedarpy

from services.access.core import policy_text
from services.access.core.actions import is_kept, is_kept_by_all, schema_of_actions
from services.access.core.decision_input import (
    PRINCIPAL_TYPES,
    RESOURCE_TYPES,
    DecisionInput,
    Target,
    earliest_expiry,
    entities,
    request,
)
from services.access.core.people import APPROVE
from services.access.model.rules import Check, Decision, Finding, Policy, Reason, Severity
from services.access.ports.outside import Case
from services.chassis.auth.identity import Kind
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.logs import logger

_log = logger(__name__)

_MAX_FINDINGS: Final = 100
_MAX_POLICIES: Final = 64
_CACHED_SETS: Final = 256
_GRANT_RULE: Final = "grant"
_INACTIVE: Final = frozenset({f"policies/inactive-{kind}" for kind in ("agent", "admin", "person")})
_INTERNAL: Final = re.compile(r"(?:for )?policy `policy\d+`,? ?|__cedar::(?:internal::)?")
"""The library's own names, of policies by their place and of types."""
_LONGEST_MESSAGE: Final = 500

_Key = tuple[tuple[str, str, Kind | None, datetime], ...]

_RULES: Final = resources.files("services.access.adapters") / "rules"
BASE_TEXT: Final = (_RULES / "base.cedar").read_text("utf-8")
OPTIONS: Final = {
    "irreversible-after-untrusted": (_RULES / "irreversible-after-untrusted.cedar").read_text("utf-8")
}
"""Rules that an installation may add to the kernel's own, by the @id of each."""


def schema_text() -> str:
    """Return the whole schema: entity types from the data file, actions from the table."""
    types = (_RULES / "schema.cedarschema").read_text("utf-8")
    return types + "\n" + schema_of_actions(", ".join(PRINCIPAL_TYPES), ", ".join(RESOURCE_TYPES))


def base_text(options: Iterable[str] = ()) -> str:
    """Return the kernel's own rules with some of OPTIONS."""
    return "\n".join([BASE_TEXT, *(OPTIONS[name] for name in sorted(options))])


def base_policies(options: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return the kernel's own policies, each with its @id."""
    parsed = json.loads(cedarpy.policies_to_json_str(base_text(options)))
    return [
        (
            policy["annotations"]["id"],
            cedarpy.policies_from_json_str(
                json.dumps({"staticPolicies": {key: policy}, "templates": {}, "templateLinks": []})
            ),
        )
        for key, policy in parsed["staticPolicies"].items()
    ]


Question = tuple[dict[str, Any], list[dict[str, Any]]]
"""Cedar's request and its entities, in plain values."""


class Evaluation(NamedTuple):
    """What the policies say to a question, in plain values."""

    allowed: bool
    broken: bool
    """Whether a policy failed, or nothing could be decided."""
    named: tuple[str, ...]
    """Policy resources that decided."""
    once_approved: bool
    """Whether a person's approval would permit what is not."""
    unreadable: tuple[str, ...]
    """Policies in force that cannot be read."""
    mentions_effect: bool
    deciders: tuple[tuple[str, str], ...] = ()
    """Agents that rules which decided name as deciders of approvals, each with since when (ISO 8601)."""


class CedarEngine:
    """Decides checks. Any thread may use it.

    `kernel_tenant` is the tenant whose administrators are the kernel's; `options` are names of OPTIONS.
    """

    def __init__(self, *, kernel_tenant: str, options: Iterable[str] = ()) -> None:
        self._kernel_tenant = kernel_tenant
        self._schema = cedarpy.Schema.from_str(schema_text())
        self._base_text = base_text(options)
        self._base = _PolicySet((), self._base_text)
        self._sets: OrderedDict[_Key, _PolicySet] = OrderedDict()
        self._lock = threading.Lock()

    def decide(
        self,
        check: Check,
        target: Target,
        given: DecisionInput,
        policies: tuple[Policy, ...],
        *,
        by_text: bool = False,
    ) -> Decision:
        """Decide one check under the kernel's policies and those of the principal's tenant.

        What an administrator always keeps is decided by the kernel's own alone, and while one of the others
        cannot be read everything else is refused. `by_text`: decide that by the tenant's policies too, to
        tell what they mean to take.
        """
        question = self.question(check, target, given)
        return decision_of(check, given, self.evaluate(question, in_force(check, policies, by_text=by_text)))

    async def decide_all(self, cases: Sequence[Case]) -> list[Decision]:
        """Decide many checks; see PolicyEngine."""
        return await asyncio.to_thread(lambda: [self.decide(*case) for case in cases])

    def question(self, check: Check, target: Target, given: DecisionInput) -> Question:
        """Write a check for Cedar, in plain values."""
        world = entities(check, target, given, kernel_tenant=self._kernel_tenant)
        return request(check, target), world

    def evaluate(self, question: Question, policies: tuple[Policy, ...]) -> Evaluation:
        """Let the policies decide: the native part, which a policy or a check may bring down."""
        rules = self._rules(policies)
        asked, world = question
        result = self._ask(asked, rules, world)
        broken = bool(result.diagnostics.errors) or result.decision is cedarpy.Decision.NoDecision
        named = sorted({name for rule in result.diagnostics.reasons if (name := rules.name_of(result, rule))})
        allowed = bool(result.allowed) and not broken
        once_approved = False
        if not allowed and not broken and rules.mentions_approval and not _INACTIVE.intersection(named):
            approved = {**asked, "context": {**asked["context"], "approved": True}}
            again = self._ask(approved, rules, world)
            once_approved = bool(again.allowed and not again.diagnostics.errors)
        return Evaluation(
            allowed=allowed,
            broken=broken,
            named=tuple(named),
            once_approved=once_approved,
            unreadable=rules.unreadable,
            mentions_effect=rules.mentions_effect,
            deciders=rules.deciders(result) if allowed else (),
        )

    def _ask(self, asked: dict[str, Any], rules: "_PolicySet", world: list[dict[str, Any]]) -> Any:
        return cedarpy.is_authorized(asked, rules.handle, world, schema=self._schema)

    def _rules(self, policies: tuple[Policy, ...]) -> "_PolicySet":
        if not policies:
            return self._base
        key = _key(policies)
        with self._lock:
            rules = self._sets.get(key)
        if rules is None:  # parsed without the lock, so that other tenants' decisions do not wait for it
            rules = _PolicySet(policies, self._base_text)
        with self._lock:
            self._sets[key] = rules
            self._sets.move_to_end(key)
            while len(self._sets) > _CACHED_SETS:
                self._sets.popitem(last=False)
        return rules


class _PolicySet:
    """The kernel's rules with a tenant's policies, parsed, and the policy resource of each @id."""

    def __init__(self, policies: tuple[Policy, ...], base: str = BASE_TEXT) -> None:
        self.names = {rule: f"policies/{rule}" for rule in policy_text.outline(base).ids}
        """Policy resources by @id."""
        self.unreadable: tuple[str, ...] = ()
        """Names of the policies that are left out of the set."""
        self._named: set[tuple[str, str, datetime]] = set()
        """What makes an agent a decider: the @id of a policy, the agent, and since when."""
        texts = [base]
        load = policy_text.Load()
        for policy in policies:
            name = f"policies/{policy.id}"
            try:
                outline = policy_text.outline(policy.text)
                load = load.plus(outline, policy.tenant)
                cedarpy.PolicySet.from_str(policy.text)
            except (KernelError, ValueError) as error:
                _log.error(
                    "a policy in force cannot be read", policy=name, tenant=policy.tenant, why=str(error)
                )
                self.unreadable = (*self.unreadable, name)
            else:
                texts.append(policy.text)
                self.names |= dict.fromkeys(outline.ids, name)
                self._named |= _deciders_named(policy)
        text = "\n".join(texts)
        self.handle = cedarpy.PolicySet.from_str(text)
        self.mentions_approval = "approved" in text
        self.mentions_effect = "effect" in text

    def name_of(self, result: Any, rule: str) -> str:
        """Name the policy resource of a rule that decided."""
        return self.names.get(result.diagnostics.id_annotations_by_reason.get(rule, ""), "")

    def deciders(self, result: Any) -> tuple[tuple[str, str], ...]:
        """List the agents that rules which decided name as deciders, each with since when."""
        annotations = result.diagnostics.id_annotations_by_reason
        ids = {annotations.get(rule, "") for rule in result.diagnostics.reasons}
        return tuple((who, since.isoformat()) for rule, who, since in sorted(self._named) if rule in ids)


class PolicyJudge:
    """Says what the native parser and the schema have against a text.

    It can take seconds, and a fault of native code ends the process it runs in: see policy_process.
    """

    def __init__(self) -> None:
        self._schema = cedarpy.Schema.from_str(schema_text())

    def findings(self, text: str) -> list[Finding]:
        """List what is wrong with a text on its own, all of it errors.

        Raises PolicyInvalid when the text passes a bound of `policy_text`.
        """
        ids = policy_text.outline(text).ids
        try:
            parsed = _ids(text)
        except ValueError as error:
            return [Finding(Severity.ERROR, _cut(str(error)))]
        if parsed != ids:  # the two readers must agree, or a rule would go by another policy's name
            return [Finding(Severity.ERROR, "the @ids of the text cannot be read")]
        result = cedarpy.validate_policies(text, self._schema)
        names = result.id_annotations_by_policy_id
        found = [
            Finding(Severity.ERROR, _cut(error.error), names.get(error.policy_id, "")[: policy_text.MAX_ID])
            for error in result.errors
        ]
        return sorted(found, key=lambda finding: (finding.policy_id, finding.message))[:_MAX_FINDINGS]


def in_force(check: Check, policies: tuple[Policy, ...], *, by_text: bool = False) -> tuple[Policy, ...]:
    """Return which of a tenant's policies decide a check: none what is kept whatever they say."""
    who = check.principal
    kept = who.kind is Kind.ADMIN and is_kept(check.action, check.resource)
    kept = kept or is_kept_by_all(check.action, check.resource, who.agent)
    return () if kept and not by_text else policies


def decision_of(check: Check, given: DecisionInput, found: Evaluation) -> Decision:
    """Make the decision on a check of what the policies say."""
    return replace(_decided(check, given, found), effect_matters=found.mentions_effect)


def _decided(check: Check, given: DecisionInput, found: Evaluation) -> Decision:
    if found.unreadable:
        return Decision(
            allowed=False,
            reason=Reason.POLICY_ERROR,
            policies=found.unreadable[:_MAX_POLICIES],
            revision=given.revision,
        )
    if found.broken:
        return Decision(allowed=False, reason=Reason.POLICY_ERROR, revision=given.revision)
    if found.allowed and not _may_decide(check, given, found):
        return Decision(allowed=False, reason=Reason.NOT_PERMITTED, revision=given.revision)
    reason = Reason.FORBIDDEN if found.named else Reason.NOT_PERMITTED
    if found.allowed:
        reason = Reason.PERMITTED
    elif _INACTIVE.intersection(found.named):
        reason = Reason.AGENT_INACTIVE
    elif found.once_approved:
        reason = Reason.APPROVAL_REQUIRED
    return Decision(
        allowed=found.allowed,
        reason=reason,
        policies=_with_grants(found.named, given) if found.allowed else found.named[:_MAX_POLICIES],
        revision=given.revision,
        expire_time=earliest_expiry(given.grants),
    )


def _may_decide(check: Check, given: DecisionInput, found: Evaluation) -> bool:
    """Refuse an agent that would decide an approval without an administrator's policy that names it.

    A wider permit does not name anybody, whoever put it; a policy that an agent put names nobody either, and
    one names no agent that was registered after it.
    """
    if check.action != APPROVE or check.principal.kind is not Kind.AGENT:
        return True
    who = given.principal
    return who is not None and any(
        named == who.id and who.create_time <= datetime.fromisoformat(since)
        for named, since in found.deciders
    )


def _deciders_named(policy: Policy) -> set[tuple[str, str, datetime]]:
    """List the rules that name one agent and the approving action, of a policy that an administrator put."""
    if policy.author_kind is not Kind.ADMIN or APPROVE not in policy.text:
        return set()
    found = set()
    for rule in json.loads(cedarpy.policies_to_json_str(policy.text))["staticPolicies"].values():
        who, action = rule["principal"], rule["action"]
        actions = [action.get("entity"), *action.get("entities", ())]
        named = who["op"] == "==" and who.get("entity", {}).get("type") == "Agent"
        if rule["effect"] == "permit" and named and {"type": "Action", "id": APPROVE} in actions:
            found.add(
                ((rule.get("annotations") or {}).get("id", ""), who["entity"]["id"], policy.create_time)
            )
    return found


def _with_grants(decided_by: tuple[str, ...], given: DecisionInput) -> tuple[str, ...]:
    grants = (grant.name for grant in given.grants) if f"policies/{_GRANT_RULE}" in decided_by else ()
    return (*decided_by, *grants)[:_MAX_POLICIES]


def _key(policies: tuple[Policy, ...]) -> tuple[Any, ...]:
    return tuple((each.id, each.text, each.author_kind, each.create_time) for each in policies)


def _ids(text: str) -> tuple[str, ...]:
    """List the @id of every policy in a text, "" for one that has none. Raises ValueError on bad syntax."""
    parsed = json.loads(cedarpy.policies_to_json_str(text))
    policies = sorted(
        parsed["staticPolicies"].items(), key=lambda entry: int(entry[0].removeprefix("policy"))
    )
    return tuple(str((policy.get("annotations") or {}).get("id") or "") for _, policy in policies)


def _cut(message: str) -> str:
    """Leave out the library's own names, and whatever is too long."""
    return _INTERNAL.sub("", message)[:_LONGEST_MESSAGE]
