"""Python types as JSON Schema, and JSON values as Python types. Pure.

Covers what tool parameters and structured answers need: str, int, float, bool, None, Any, list, tuple, set,
dict, Literal, Enum, unions, `Annotated[T, "description"]`, dataclasses, TypedDicts and NamedTuples, nested as
deep as you like, datetime, date, time, timedelta (in seconds), Path, UUID, Decimal, and Pydantic's models
where Pydantic is installed.
"""

from aios.schema.reading import Misfit, build
from aios.schema.signatures import Parameter, Signature, parameters_of, signature_of
from aios.schema.writing import Schema, schema_of, to_json

__all__ = [
    "Misfit",
    "Parameter",
    "Schema",
    "Signature",
    "build",
    "parameters_of",
    "schema_of",
    "signature_of",
    "to_json",
]
