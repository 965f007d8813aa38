"""Reads one gauge out of a metrics page in the Prometheus text format. Pure."""

from collections.abc import Iterator

from gateway.inference.model import LARGEST_INT32


def gauge(page: bytes, name: str) -> int | None:
    """Return the sum of a gauge's samples, rounded; None when the page has none that can be read."""
    wanted = name.encode()
    values = [value for line in page.splitlines() for value in _sample(line, wanted)]
    return min(round(sum(values)), LARGEST_INT32) if values else None


def _sample(line: bytes, name: bytes) -> Iterator[float]:
    if not line.startswith(name):
        return
    rest = line[len(name) :]
    if rest.startswith(b"{"):
        rest = rest.rpartition(b"}")[2]
    elif not rest.startswith(b" "):
        return  # another metric, whose name begins the same
    fields = rest.split()
    try:
        value = float(fields[0])
    except (IndexError, ValueError):
        return
    if 0.0 <= value < 1e9:  # noqa: PLR2004 - not NaN, infinite or absurd
        yield value
