"""The policy engine: Cedar, with a parsed policy set per tenant and the input of one request.

Any error while evaluating is a refusal: Cedar skips a policy that errors, `forbid` included. So is a policy
in force that cannot be read (any more): what it would have forbidden is not known.
"""

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from importlib import resources
from typing import Any, Final

import cedarpy

from services.access.core import policy_text
from services.access.core.actions import is_kept, schema_of_actions
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
from services.access.model import Agent, Check, Decision, Finding, Policy, Reason, Severity
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
        kept = not by_text and check.principal.kind is Kind.ADMIN and is_kept(check.action, check.resource)
        rules = self._base if kept else self._rules(policies)
        decision = self._decided(check, target, given, rules)
        return replace(decision, effect_matters=rules.mentions_effect)

    def _decided(self, check: Check, target: Target, given: DecisionInput, rules: "_PolicySet") -> Decision:
        if rules.unreadable:
            return Decision(
                allowed=False,
                reason=Reason.POLICY_ERROR,
                policies=rules.unreadable[:_MAX_POLICIES],
                revision=given.revision,
            )
        world = entities(check, target, given, kernel_tenant=self._kernel_tenant)
        result = self._ask(request(check, target), rules, world)
        if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
            return Decision(allowed=False, reason=Reason.POLICY_ERROR, revision=given.revision)
        reasons = [rules.name_of(result, rule) for rule in result.diagnostics.reasons]
        decided_by = tuple(sorted({name for name in reasons if name}))
        expiry = earliest_expiry(given.grants)
        if result.allowed and not _may_decide(check, given, rules, result):
            return Decision(allowed=False, reason=Reason.NOT_PERMITTED, revision=given.revision)
        if result.allowed:
            named = _with_grants(decided_by, given)
            return Decision(
                allowed=True,
                reason=Reason.PERMITTED,
                policies=named,
                revision=given.revision,
                expire_time=expiry,
            )
        reason = Reason.FORBIDDEN if decided_by else Reason.NOT_PERMITTED
        if _INACTIVE.intersection(decided_by):
            reason = Reason.AGENT_INACTIVE
        elif rules.mentions_approval and self._permitted_once_approved(check, target, rules, world):
            reason = Reason.APPROVAL_REQUIRED
        return Decision(
            allowed=False,
            reason=reason,
            policies=decided_by[:_MAX_POLICIES],
            revision=given.revision,
            expire_time=expiry,
        )

    def is_loaded(self, policies: tuple[Policy, ...]) -> bool:
        """Tell whether `decide` need not parse these first, which takes a few milliseconds."""
        with self._lock:
            return not policies or _key(policies) in self._sets

    def _ask(self, asked: dict[str, Any], rules: "_PolicySet", world: list[dict[str, Any]]) -> Any:
        return cedarpy.is_authorized(asked, rules.handle, world, schema=self._schema)

    def _permitted_once_approved(
        self, check: Check, target: Target, rules: "_PolicySet", world: list[dict[str, Any]]
    ) -> bool:
        result = self._ask(request(check, target, approved=True), rules, world)
        return bool(result.allowed and not result.diagnostics.errors)

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

    def names_decider(self, result: Any, agent: Agent) -> bool:
        """Tell whether one of the rules that permitted names an agent that was registered before the rule."""
        annotations = result.diagnostics.id_annotations_by_reason
        ids = {annotations.get(rule, "") for rule in result.diagnostics.reasons}
        return any(
            rule and rule in ids and named == agent.id and agent.create_time <= since
            for rule, named, since in self._named
        )


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


def _may_decide(check: Check, given: DecisionInput, rules: _PolicySet, result: Any) -> bool:
    """Refuse an agent that would decide an approval without an administrator's policy that names it.

    A wider permit does not name anybody, whoever put it; a policy that an agent put names nobody either.
    """
    if check.action != APPROVE or check.principal.kind is not Kind.AGENT:
        return True
    return given.principal is not None and rules.names_decider(result, given.principal)


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


def _key(policies: tuple[Policy, ...]) -> _Key:
    return tuple((policy.id, policy.text, policy.author_kind, policy.create_time) for policy in policies)


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
