"""Entry point: `python -m services.tool`."""

from services.tool.main import serve

raise SystemExit(serve())
