"""Targets: schemas, regular expressions, and values that are held against them."""

from typing import Final

from gateway.inference.core.constraints import CompilingChecker
from gateway.inference.core.tool_prompt import tool_lines
from gateway.inference.model import Constraint, ConstraintKind
from services.chassis.chat import ToolDefinition
from services.chassis.constraints import schemas
from services.tgi_local.core.grammar import constraint_of
from services.tgi_local.core.parameters import RequestLimits, parse_generate
from services.tgi_local.errors import InvalidRequest as BadGeneration
from services.tgi_local.errors import MalformedBody
from services.tool.core.schemas import check_arguments, check_schema, parse_json
from services.tool.errors import ArgumentsInvalid
from tests.fuzz.target import Targets, target

CONSTRAINTS: Final[Targets] = {}
_CHECKER: Final = CompilingChecker()
_LIMITS: Final = RequestLimits()


@target(
    CONSTRAINTS, largest=65_536, steps=(5_700, 80), allocated=(780_000, 10_000), refusals=(schemas.BadSchema,)
)
def json_schema(given: bytes) -> object:
    """A schema, judged and compiled: in the gateway, tool and tgi-local. Cap: 64 KiB."""
    schema = schemas.parse(given.decode(errors="replace"))
    return schemas.schema_cost(schema, recursive=True), schemas.validator(schema)


@target(
    CONSTRAINTS, largest=4096, steps=(3_000, 67), allocated=(340_000, 5_600), refusals=(schemas.BadRegex,)
)
def regex(given: bytes) -> object:
    """A regular expression, judged and compiled: in the gateway and tgi-local. Cap: 4 KiB of the field."""
    return schemas.whole_match(given.decode(errors="replace"))("a" * 100)


@target(CONSTRAINTS, largest=65_536, steps=(3_400, 56), allocated=(500_000, 7_700))
def generation_constraint(given: bytes) -> object:
    """The constraint of a Generate, and an output held against it, in the gateway. Cap: 64 KiB."""
    kind, _, text = given.decode(errors="replace").partition("\n")
    chosen = ConstraintKind.REGEX if kind == "regex" else ConstraintKind.JSON
    text, _, output = text.partition("\n----\n")
    return _CHECKER.compile(Constraint(chosen, text))(output)


@target(CONSTRAINTS, largest=65_536, steps=(260_000, 96), allocated=(30_000_000, 9_600))
def tool_parameters(given: bytes) -> object:
    """The parameters of a tool as a prompt shows them, in the gateway. Cap: 64 KiB of a schema."""
    description, _, schema = given.decode(errors="replace").partition("\n----\n")
    return tool_lines(ToolDefinition("look", description, schema))


@target(CONSTRAINTS, largest=65_536, steps=(5_600, 35), allocated=(780_000, 4_000))
def tool_arguments(given: bytes) -> object:
    """The schema of a tool and arguments held against it, in the tool manager. Cap: 64 KiB and 1 MiB."""
    schema, _, arguments = given.decode(errors="replace").partition("\n----\n")
    check_schema(schema, "parameters_schema", of_object=True)
    value = parse_json(arguments or "{}", "the arguments", ArgumentsInvalid)
    check_arguments(schema, value)
    return value


@target(
    CONSTRAINTS,
    largest=65_536,
    steps=(2_100, 32),
    allocated=(260_000, 3_800),
    refusals=(BadGeneration, MalformedBody),
)
def engine_request(given: bytes) -> object:
    """The body of a generation with its grammar, in tgi-local. Cap: 2 MB of a body."""
    return constraint_of(None), parse_generate(given, _LIMITS)
