"""Entry point: `python -m services.memory`."""

from services.memory.main import serve

raise SystemExit(serve())
