"""What the access manager knows: agents, rules, decisions, approvals and the audit log."""
