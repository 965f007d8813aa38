"""The rules: what a job may bring and take, whose place is next."""
