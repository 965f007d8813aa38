"""Entry point: `python -m services.context`."""

from services.context.main import serve

raise SystemExit(serve())
