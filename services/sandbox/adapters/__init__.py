"""The ports' other side: who may call."""
