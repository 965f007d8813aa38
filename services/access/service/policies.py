"""Use cases of policies: validated before they take effect, versioned, per tenant beside the kernel's own."""

import contextlib
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from services.access.core import policy_text
from services.access.core.actions import KEPT
from services.access.core.decision import DecisionRequest, gather_input
from services.access.core.policy_text import Load, Outline
from services.access.errors import PolicyInvalid, RuleNotFound, RuleProtected
from services.access.model.rules import Check, Finding, Policy, Severity
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.access.service.watchers import RuleChange
from services.chassis.auth.identity import Caller, Kind, Principal
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Owner
from services.chassis.rpc import paging
from services.chassis.rpc.errors import FieldViolation, InvalidRequest, QuotaExceeded

_ACTION: Final = "access.manage"
_MAX_PAGE: Final = 100
_MAX_FINDINGS: Final = 100


class PolicyService:
    """Keeps the policies of all tenants. `builtin` are the kernel's own, by id."""

    def __init__(self, ports: Dependencies, builtin: Iterable[tuple[str, str]]) -> None:
        self._deps = ports
        self._builtin = {
            rule: Policy("", rule, text, "", 1, True, "", datetime.fromtimestamp(0, UTC))  # noqa: FBT003 - active
            for rule, text in builtin
        }

    async def validate(self, caller: Caller, text: str) -> list[Finding]:
        """Return what is wrong with a text, were it put beside the tenant's policies in force.

        Raises TooManyCalls or ServiceUnavailable when it cannot be judged now.
        """
        try:
            outline = policy_text.outline(text)
            found = await self._deps.judge.findings(text)
        except PolicyInvalid as refused:
            offset = int(refused.metadata.get("offset", "0"))
            return [Finding(Severity.ERROR, refused.message, offset=offset)]
        clashes = await self._deps.store.read(
            lambda tx: self._clashes(outline, tx.policies.active(caller.tenant))
        )
        return [*clashes, *found, *_warnings(outline)][:_MAX_FINDINGS]

    async def put(
        self, caller: Caller, name: str, text: str, *, description: str, etag: str, asked: RequestIdentity
    ) -> tuple[Policy, list[Finding]]:
        """Put a new version in force; return it and what the checks warn of.

        Raises PolicyInvalid, QuotaExceeded, EtagMismatch or RuleProtected; TooManyCalls or ServiceUnavailable
        when the text cannot be judged now.
        """
        rule = self._id(name)
        now = self._deps.clock.now()
        outline = policy_text.outline(text)
        _refuse(await self._deps.judge.findings(text))

        def work(tx: Transaction) -> tuple[Policy, list[Finding]]:
            known = dependencies.answered(tx, caller, asked)
            if known is not None:
                return _found(tx, caller.tenant, rule, int(known)), []
            newest = tx.policies.newest(caller.tenant, rule)
            dependencies.check_etag(etag, newest.etag if newest and newest.active else "", name)
            others = tuple(policy for policy in tx.policies.active(caller.tenant) if policy.id != rule)
            _refuse(self._clashes(outline, others))
            _load(others).plus(outline, caller.tenant)
            version = newest.version + 1 if newest else 1
            policy = Policy(
                caller.tenant,
                rule,
                text,
                description,
                version,
                active=True,
                author=caller.agent,
                create_time=now,
                author_kind=caller.kind,
            )
            self._must_stay_in(tx, caller, (*others, policy), now)
            tx.policies.put(policy)
            tx.usage.add(Owner(caller.tenant, "", ""), policy_versions=1)
            tx.ledger.bump()
            dependencies.remember(tx, caller, asked, now, str(version))
            dependencies.record(
                tx, caller.tenant, now, [dependencies.event(caller, "PutPolicy", _ACTION, name)]
            )
            return policy, _warnings(outline)

        return await self._deps.commit(work, RuleChange(caller.tenant))

    async def delete(self, caller: Caller, name: str, etag: str, asked: RequestIdentity) -> None:
        """Take a policy out of force. Raises RuleNotFound, EtagMismatch or RuleProtected."""
        rule = self._id(name)
        now = self._deps.clock.now()

        def work(tx: Transaction) -> None:
            if dependencies.answered(tx, caller, asked) is not None:
                return
            policy = _found(tx, caller.tenant, rule, 0)
            dependencies.check_etag(etag, policy.etag, name)
            tx.policies.deactivate(caller.tenant, rule)
            tx.ledger.bump()
            dependencies.remember(tx, caller, asked, now)
            dependencies.record(
                tx, caller.tenant, now, [dependencies.event(caller, "DeletePolicy", _ACTION, name)]
            )

        await self._deps.commit(work, RuleChange(caller.tenant))

    async def get(self, caller: Caller, name: str, version: int) -> Policy:
        """Return one version; 0 is the one in force. Raises RuleNotFound."""
        rule = name.removeprefix("policies/")
        if rule in self._builtin and version in (0, 1):
            return self._builtin[rule]
        return await self._deps.store.read(lambda tx: _found(tx, caller.tenant, rule, version))

    async def page(self, caller: Caller, size: int, token: str) -> tuple[list[Policy], str]:
        """List the policies in force by name, the kernel's own included."""
        limit = paging.page_size(size, maximum=_MAX_PAGE)
        position = paging.decode(token, caller.tenant, "policies", shape=(str,))
        after = str(position[0]) if position else ""
        active = await self._deps.store.read(lambda tx: tx.policies.active(caller.tenant))
        found = sorted((*self._builtin.values(), *active), key=lambda policy: policy.id)
        rest = [policy for policy in found if policy.id > after]
        if len(rest) <= limit:
            return rest, ""
        return rest[:limit], paging.encode([rest[limit - 1].id], caller.tenant, "policies")

    async def versions(self, caller: Caller, name: str, size: int, token: str) -> tuple[list[Policy], str]:
        """List the versions of a policy, newest first. Raises RuleNotFound."""
        rule = name.removeprefix("policies/")
        if rule in self._builtin:
            return [self._builtin[rule]], ""
        limit = paging.page_size(size, default=20, maximum=_MAX_PAGE)
        position = paging.decode(token, caller.tenant, rule, "versions", shape=(int,))
        before = int(position[0] or 0) if position else 0

        def work(tx: Transaction) -> list[Policy]:
            if tx.policies.newest(caller.tenant, rule) is None:
                raise _missing(name)
            return tx.policies.versions(caller.tenant, rule, before, limit + 1)

        found = await self._deps.store.read(work)
        if len(found) <= limit:
            return found, ""
        return found[:limit], paging.encode([found[limit - 1].version], caller.tenant, rule, "versions")

    def is_valid(self, found: Iterable[Finding]) -> bool:
        """Tell whether findings would let a policy pass."""
        return all(finding.severity is not Severity.ERROR for finding in found)

    def _clashes(self, outline: Outline, others: Iterable[Policy]) -> list[Finding]:
        """List the @ids that are missing, too long or taken."""
        taken = {*self._builtin, *(rule for other in others for rule in _ids(other))}
        problems: list[Finding] = []
        for rule, count in Counter(outline.ids).items():
            if not 1 <= len(rule) <= policy_text.MAX_ID:
                message = f"each policy needs an @id of 1 to {policy_text.MAX_ID} characters"
                problems.append(Finding(Severity.ERROR, message))
            elif count > 1 or rule in taken:
                problems.append(Finding(Severity.ERROR, f'@id("{rule}") is used by another policy', rule))
        return problems

    def _must_stay_in(
        self, tx: Transaction, caller: Caller, policies: tuple[Policy, ...], now: datetime
    ) -> None:
        """Refuse a change that means to take from its author what must be kept, and say what.

        An administrator would keep it all the same, whenever the condition comes true: this only tells a
        mistake at once. Another author, to whom a policy gave the right, would lose it.
        """
        principal = Principal(agent=caller.agent, tenant=caller.tenant, kind=caller.kind)
        name = f"policies/{policies[-1].id}"
        others = sorted(KEPT - {"access.read"}) if caller.kind is Kind.ADMIN else []
        lost = [
            action
            for action, resource in [(_ACTION, name), ("access.read", name), *((each, "") for each in others)]
            if self._takes(gather_input(tx, Check(principal, action, resource), now), policies)
        ]
        if lost:
            message = f"this policy would take from its author what must be kept: {', '.join(lost)}"
            raise PolicyInvalid(message, violations=[FieldViolation("policy.text", message)])

    def _takes(self, before: DecisionRequest, policies: tuple[Policy, ...]) -> bool:
        def allows(rules: tuple[Policy, ...]) -> bool:
            engine = self._deps.engine
            return engine.decide(before.check, before.target, before.given, rules, by_text=True).allowed

        return allows(before.policies) and not allows(policies)

    def _id(self, name: str) -> str:
        collection, _, rule = name.partition("/")
        if collection != "policies" or not rule:
            raise InvalidRequest.field("name", "expected the name of a policy: policies/{policy}")
        if rule in self._builtin:
            raise RuleProtected(f"{name} is the kernel's own", metadata={"policy": name})
        return rule


def _warnings(outline: Outline) -> list[Finding]:
    if not outline.ids:
        return [Finding(Severity.WARNING, "the text holds no policy")]
    return [Finding(Severity.WARNING, why) for why in policy_text.evaded_forbids(outline)]


def _ids(policy: Policy) -> tuple[str, ...]:
    """List the @ids of a policy in force; of one that cannot be read none is known."""
    try:
        return policy_text.outline(policy.text).ids
    except PolicyInvalid:
        return ()


def _load(policies: Iterable[Policy]) -> Load:
    """Add up what policies in force cost; what does not count for decisions does not count here."""
    load = Load()
    for policy in policies:
        with contextlib.suppress(PolicyInvalid, QuotaExceeded):
            load = load.plus(policy_text.outline(policy.text), policy.tenant)
    return load


def _refuse(found: list[Finding]) -> None:
    errors = [finding for finding in found if finding.severity is Severity.ERROR]
    if errors:
        raise PolicyInvalid(
            f"the policy is not valid: {errors[0].message}",
            violations=[
                FieldViolation("policy.text", f"{finding.policy_id}: {finding.message}") for finding in errors
            ],
        )


def _found(tx: Transaction, tenant: str, rule: str, version: int) -> Policy:
    policy = tx.policies.get(tenant, rule, version)
    if policy is None:
        raise _missing(f"policies/{rule}")
    return policy


def _missing(name: str) -> RuleNotFound:
    return RuleNotFound(f"no policy {name}", metadata={"policy": name})
