"""Synchronous twin of `aios.calls.access`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from aios.calls.access import Access
from aios.sync.portal import Portal
from aios.types.access import (
    AccessPolicy,
    AccessReview,
    Approval,
    ApprovalRule,
    AuditCheck,
    AuditEntry,
    Grant,
    Identity,
    Person,
    PersonHandle,
)


class SyncAccess:
    """Gives and takes permissions, decides approvals, reads the audit log."""

    def __init__(self, inner: Access, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def who_am_i(self, *, timeout: float | None = None) -> Identity:
        """Return whom the connection's credential stands for, until when, and whether it may administer."""
        return self._portal.run(self._inner.who_am_i(timeout=timeout))

    def may(
        self,
        action: str,
        resource: str = "",
        *,
        subject: str = "",
        effect: str = "",
        untrusted: bool = False,
        timeout: float | None = None,
    ) -> AccessReview:
        """Return whether somebody may do an action on a resource now, and by which policies.

        `subject` is an agent, or `persons/{person}`; default: the caller, who is always answered about
        itself. Nothing is done and no denial recorded. Raises InvalidRequest for an action or resource that
        cannot be, NotFound, PermissionDenied for a subject that the caller may not ask about.
        """
        return self._portal.run(
            self._inner.may(
                action, resource, subject=subject, effect=effect, untrusted=untrusted, timeout=timeout
            )
        )

    def review(
        self, questions: Sequence[tuple[str, str]], *, subject: str = "", timeout: float | None = None
    ) -> list[AccessReview]:
        """Return the answers to several questions, each an action and a resource, at one state of the rules.

        At most 32. Raises as `may`.
        """
        return self._portal.run(self._inner.review(questions, subject=subject, timeout=timeout))

    def grant(
        self,
        grantee: str,
        resource: str,
        actions: Sequence[str],
        *,
        prefix: bool = False,
        expire_time: datetime | None = None,
        description: str = "",
        timeout: float | None = None,
    ) -> Grant:
        """Permit an agent (or `groups/...`) actions such as `memory.read` on a resource of one's own.

        With `prefix`, `resource` ends with a slash and stands for everything below. Raises NotFound for the
        grantee, PermissionDenied.
        """
        return self._portal.run(
            self._inner.grant(
                grantee,
                resource,
                actions,
                prefix=prefix,
                expire_time=expire_time,
                description=description,
                timeout=timeout,
            )
        )

    def revoke(self, grant: str, *, timeout: float | None = None) -> None:
        """Take a grant back at once. Raises NotFound, PermissionDenied."""
        self._portal.run(self._inner.revoke(grant, timeout=timeout))

    def grants(self, *, grantee: str = "", resource: str = "", timeout: float | None = None) -> list[Grant]:
        """Return the grants the caller may see, oldest first. `timeout` bounds each page."""
        return self._portal.run(self._inner.grants(grantee=grantee, resource=resource, timeout=timeout))

    def approvals(
        self, *, pending_only: bool = True, agent: str = "", timeout: float | None = None
    ) -> list[Approval]:
        """Return the approvals the caller may see, newest first. `timeout` bounds each page."""
        return self._portal.run(
            self._inner.approvals(pending_only=pending_only, agent=agent, timeout=timeout)
        )

    def approval(self, approval: str, *, timeout: float | None = None) -> Approval:
        """Return one approval. Raises NotFound."""
        return self._portal.run(self._inner.approval(approval, timeout=timeout))

    def arguments(self, approval: str, *, timeout: float | None = None) -> bytes:
        """Return the whole arguments of an open approval as canonical JSON; `timeout` bounds each part.

        For who may decide it. They may hold padding and what only looks like something else: show people
        `shown_arguments`. Raises NotFound, DataLoss when they are not what the approval is for.
        """
        return self._portal.run(self._inner.arguments(approval, timeout=timeout))

    def shown_arguments(self, approval: str, *, timeout: float | None = None) -> str:
        """Return the whole arguments of an open approval for people, uncut.

        What does not show is written as its code, long runs of it as their length. Raises as `arguments`.
        """
        return self._portal.run(self._inner.shown_arguments(approval, timeout=timeout))

    def decide(
        self,
        approval: str,
        *,
        approve: bool,
        comment: str = "",
        arguments_sha256: str = "",
        timeout: float | None = None,
    ) -> Approval:
        """Approve or reject a call; `arguments_sha256` makes sure that it is still the one that was shown.

        It is required to approve what has `preview_truncated`. Where several people are wanted, the approval
        stays pending until all have approved. Raises NotFound, PreconditionFailed when it was decided
        already, PermissionDenied: people decide, and an agent only where an administrator's policy names it,
        and nothing that an agent of its own tree asks for.
        """
        return self._portal.run(
            self._inner.decide(
                approval, approve=approve, comment=comment, arguments_sha256=arguments_sha256, timeout=timeout
            )
        )

    def watch_approvals(self, *, agent: str = "", timeout: float | None = None) -> Iterator[Approval]:
        """Yield the pending approvals, then every change; after a lost connection the pending ones again.

        `timeout` bounds the whole watch. Unit: seconds; default: no bound.
        """
        return self._portal.iterate(self._inner.watch_approvals(agent=agent, timeout=timeout))

    def create_person(
        self,
        person: str,
        *,
        tenant: str = "",
        display_name: str = "",
        administrator: bool = False,
        timeout: float | None = None,
    ) -> PersonHandle:
        """Make a person with a key, which is shown only here. For administrators.

        `person` is the id. Raises AlreadyExists, PermissionDenied.
        """
        return self._portal.run(
            self._inner.create_person(
                person, tenant=tenant, display_name=display_name, administrator=administrator, timeout=timeout
            )
        )

    def persons(self, *, tenant: str = "", timeout: float | None = None) -> list[Person]:
        """Return the persons of a tenant by name. For administrators. `timeout` bounds each page."""
        return self._portal.run(self._inner.persons(tenant=tenant, timeout=timeout))

    def disable_person(self, person: str, *, tenant: str = "", timeout: float | None = None) -> Person:
        """End a person's key, tokens and unused approvals. Raises NotFound, PreconditionFailed."""
        return self._portal.run(self._inner.disable_person(person, tenant=tenant, timeout=timeout))

    def enable_person(self, person: str, *, tenant: str = "", timeout: float | None = None) -> Person:
        """Let a disabled person act again; a key is made apart. Raises NotFound."""
        return self._portal.run(self._inner.enable_person(person, tenant=tenant, timeout=timeout))

    def issue_person_key(
        self, person: str, *, tenant: str = "", timeout: float | None = None
    ) -> PersonHandle:
        """Make a new key in the place of a person's old one. Raises NotFound, AgentInactive."""
        return self._portal.run(self._inner.issue_person_key(person, tenant=tenant, timeout=timeout))

    def revoke_person_key(self, person: str, *, tenant: str = "", timeout: float | None = None) -> Person:
        """End a person's key and all tokens issued to the person. Raises NotFound."""
        return self._portal.run(self._inner.revoke_person_key(person, tenant=tenant, timeout=timeout))

    def put_approval_rule(
        self,
        rule: str,
        deciders: int,
        *,
        action: str = "",
        resource: str = "",
        description: str = "",
        timeout: float | None = None,
    ) -> ApprovalRule:
        """Say how many different people must approve an action, a resource, or all below one.

        For administrators. Raises InvalidRequest, PermissionDenied.
        """
        return self._portal.run(
            self._inner.put_approval_rule(
                rule, deciders, action=action, resource=resource, description=description, timeout=timeout
            )
        )

    def approval_rules(self, *, timeout: float | None = None) -> list[ApprovalRule]:
        """Return the tenant's approval rules by name. `timeout` bounds each page."""
        return self._portal.run(self._inner.approval_rules(timeout=timeout))

    def delete_approval_rule(self, rule: str, *, timeout: float | None = None) -> None:
        """Delete an approval rule. Raises NotFound."""
        self._portal.run(self._inner.delete_approval_rule(rule, timeout=timeout))

    def put_policy(
        self, policy: str, text: str, *, description: str = "", etag: str = "", timeout: float | None = None
    ) -> AccessPolicy:
        """Put a Cedar policy in force; `policy` is its name, such as `policies/team`.

        Raises InvalidRequest when the text does not pass the checks, EtagMismatch, PermissionDenied.
        """
        return self._portal.run(
            self._inner.put_policy(policy, text, description=description, etag=etag, timeout=timeout)
        )

    def policies(self, *, timeout: float | None = None) -> list[AccessPolicy]:
        """Return the policies in force, by name. `timeout` bounds each page."""
        return self._portal.run(self._inner.policies(timeout=timeout))

    def audit(
        self,
        *,
        agent: str = "",
        action: str = "",
        resource_prefix: str = "",
        since: datetime | None = None,
        oldest_first: bool = False,
        limit: int | None = 100,
        timeout: float | None = None,
    ) -> list[AuditEntry]:
        """Return entries of the audit log, newest first. `timeout` bounds each page."""
        return self._portal.run(
            self._inner.audit(
                agent=agent,
                action=action,
                resource_prefix=resource_prefix,
                since=since,
                oldest_first=oldest_first,
                limit=limit,
                timeout=timeout,
            )
        )

    def verify_audit(
        self, *, expected_head_hash: str = "", expected_head_sequence: int = 0, timeout: float | None = None
    ) -> AuditCheck:
        """Check that nothing in the audit log was changed, removed or cut off.

        The kernel compares the log with the heads that it exported itself; a noted one can be given on top.
        """
        return self._portal.run(
            self._inner.verify_audit(
                expected_head_hash=expected_head_hash,
                expected_head_sequence=expected_head_sequence,
                timeout=timeout,
            )
        )

    def erase_audit(self, agent: str, *, reason: str = "", timeout: float | None = None) -> int:
        """Blank what the audit log tells of a killed agent; return in how many entries."""
        return self._portal.run(self._inner.erase_audit(agent, reason=reason, timeout=timeout))
