"""The policy engine: Cedar, with a parsed policy set per tenant and the slice of one request.

Any error while evaluating is a refusal: Cedar skips a policy that errors, `forbid` included.
"""

import json
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable
from importlib import resources
from typing import Any, Final

import cedarpy

from services.access.core.actions import schema_of_actions
from services.access.core.decision_input import (
    PRINCIPAL_TYPES,
    RESOURCE_TYPES,
    DecisionInput,
    Target,
    earliest_expiry,
    entities,
    request,
)
from services.access.model import Check, Decision, Finding, Policy, Reason, Severity

_MAX_FINDINGS: Final = 100
_MAX_POLICIES: Final = 64
_MAX_ID: Final = 100
_CACHED_SETS: Final = 256
_GRANT_RULE: Final = "grant"

BASE_TEXT: Final = (resources.files("services.access.adapters") / "rules" / "base.cedar").read_text("utf-8")


def schema_text() -> str:
    """Return the whole schema: entity types from the data file, actions from the table."""
    types = (resources.files("services.access.adapters") / "rules" / "schema.cedarschema").read_text("utf-8")
    return types + "\n" + schema_of_actions(", ".join(PRINCIPAL_TYPES), ", ".join(RESOURCE_TYPES))


def base_policies() -> list[tuple[str, str]]:
    """Return the kernel's own policies, each with its @id."""
    parsed = json.loads(cedarpy.policies_to_json_str(BASE_TEXT))
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
    """Decides checks and judges policy texts. Any thread may use it.

    `kernel_tenant` is the tenant whose administrators are the kernel's.
    """

    def __init__(self, *, kernel_tenant: str) -> None:
        self._kernel_tenant = kernel_tenant
        self._schema = cedarpy.Schema.from_str(schema_text())
        self._base_ids = frozenset(_ids(BASE_TEXT))
        self._base = _PolicySet(BASE_TEXT, {rule: f"policies/{rule}" for rule in self._base_ids})
        self._sets: OrderedDict[tuple[tuple[str, str], ...], _PolicySet] = OrderedDict()
        self._lock = threading.Lock()

    def decide(
        self, check: Check, target: Target, slice_: DecisionInput, policies: tuple[Policy, ...]
    ) -> Decision:
        """Decide one check under the kernel's policies and those of the principal's tenant."""
        rules = self._rules(policies)
        world = entities(check, target, slice_, kernel_tenant=self._kernel_tenant)
        result = self._ask(request(check, target), rules, world)
        if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
            return Decision(allowed=False, reason=Reason.POLICY_ERROR, revision=slice_.revision)
        reasons = [rules.name_of(result, rule) for rule in result.diagnostics.reasons]
        decided_by = tuple(sorted({name for name in reasons if name}))
        expiry = earliest_expiry(slice_.grants)
        if result.allowed:
            named = _with_grants(decided_by, slice_)
            return Decision(
                allowed=True,
                reason=Reason.PERMITTED,
                policies=named,
                revision=slice_.revision,
                expire_time=expiry,
            )
        reason = Reason.FORBIDDEN if decided_by else Reason.NOT_PERMITTED
        if "policies/inactive-agent" in decided_by:
            reason = Reason.AGENT_INACTIVE
        elif rules.mentions_approval and self._permitted_once_approved(check, target, rules, world):
            reason = Reason.APPROVAL_REQUIRED
        return Decision(
            allowed=False,
            reason=reason,
            policies=decided_by[:_MAX_POLICIES],
            revision=slice_.revision,
            expire_time=expiry,
        )

    def findings(self, text: str, others: Iterable[Policy]) -> list[Finding]:
        """List what is wrong with a policy text, errors first; `others` are the tenant's others in force.

        The text must parse, fit the schema, and give each policy an @id that nothing else uses.
        """
        try:
            ids = _ids(text)
        except ValueError as error:
            return [Finding(Severity.ERROR, _cut(str(error)))]
        taken = self._base_ids.union(*(_ids(other.text) for other in others))
        problems = [*_id_problems(ids, taken), *self._schema_problems(text)]
        if not ids:
            problems.append(Finding(Severity.WARNING, "the text holds no policy"))
        return problems[:_MAX_FINDINGS]

    def _schema_problems(self, text: str) -> list[Finding]:
        result = cedarpy.validate_policies(text, self._schema)
        names = result.id_annotations_by_policy_id
        found = [
            Finding(Severity.ERROR, _cut(error.error), policy_id=names.get(error.policy_id, "")[:_MAX_ID])
            for error in result.errors
        ]
        return sorted(found, key=lambda finding: (finding.policy_id, finding.message))

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
        key = tuple((policy.id, policy.text) for policy in policies)
        with self._lock:
            rules = self._sets.get(key)
            if rules is None:
                names = {rule: f"policies/{policy.id}" for policy in policies for rule in _ids(policy.text)}
                text = "\n".join([BASE_TEXT, *(policy.text for policy in policies)])
                rules = self._sets[key] = _PolicySet(text, self._base.names | names)
                while len(self._sets) > _CACHED_SETS:
                    self._sets.popitem(last=False)
            self._sets.move_to_end(key)
        return rules


class _PolicySet:
    """A parsed policy set and the policy resource that each @id belongs to."""

    def __init__(self, text: str, names: dict[str, str]) -> None:
        self.handle = cedarpy.PolicySet.from_str(text)
        self.names = names
        self.mentions_approval = "approved" in text

    def name_of(self, result: Any, rule: str) -> str:
        """Name the policy resource of a rule that decided."""
        return self.names.get(result.diagnostics.id_annotations_by_reason.get(rule, ""), "")


def _with_grants(decided_by: tuple[str, ...], slice_: DecisionInput) -> tuple[str, ...]:
    grants = (grant.name for grant in slice_.grants) if f"policies/{_GRANT_RULE}" in decided_by else ()
    return (*decided_by, *grants)[:_MAX_POLICIES]


def _ids(text: str) -> list[str]:
    """List the @id of every policy in a text, "" for one that has none. Raises ValueError on bad syntax."""
    parsed = json.loads(cedarpy.policies_to_json_str(text))
    if parsed.get("templates"):
        raise ValueError(
            "templates (?principal, ?resource) are not supported; write a policy or make a grant"
        )
    return [
        str((policy.get("annotations") or {}).get("id") or "") for policy in parsed["staticPolicies"].values()
    ]


def _id_problems(ids: list[str], taken: frozenset[str]) -> list[Finding]:
    problems: list[Finding] = []
    for rule, count in Counter(ids).items():
        if not rule or len(rule) > _MAX_ID:
            problems.append(
                Finding(Severity.ERROR, f"each policy needs an @id of 1 to {_MAX_ID} characters", "")
            )
        elif count > 1 or rule in taken:
            problems.append(Finding(Severity.ERROR, f'@id("{rule}") is used by another policy', rule))
    return problems


def _cut(message: str) -> str:
    return message[:2048]
