"""What the use cases need from the outside: the store, the policy engine, the signing keys, metrics."""
