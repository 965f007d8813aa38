"""Targets: names, paths, patterns, queries and other short texts."""

from datetime import timedelta
from typing import Final

import jwt

from services.access.core import policy_text, shown_text
from services.chassis.embedding import embed
from services.chassis.json_text import read_json
from services.chassis.rpc import names, paging
from services.chassis.runtime.clock import SystemClock
from services.chassis.runtime.http_hosts import HttpHosts
from services.chassis.text_search import words
from services.storage.core import diff, paths
from services.storage.core.globs import Pattern
from services.storage.core.texts import excerpt, query_words
from services.tool.core.documents import BadDocument, read_document
from services.tool.core.egress import OperatorRules, check_url
from services.tool.core.files import place
from services.tool.core.http_calls import call_of
from services.tool.core.openapi import read_openapi
from services.tool.core.urls import joined
from services.tool.drivers.builtin import csv_worker, text_worker
from services.tool.drivers.builtin.calculator import BadExpression, calculate
from services.tool.drivers.builtin.html_text import readable
from services.tool.drivers.builtin.lines import LineCollector, decoded, replaced
from services.tool.drivers.builtin.messages import Refused, answered, packed
from services.tool.drivers.builtin.units import BadUnit, convert
from services.tool.model import HttpArgument, HttpEndpoint, HttpPlace
from tests.fakes.tokens import ISSUER_FOR_TESTS
from tests.fuzz.steps import run
from tests.fuzz.target import Targets, target

TEXTS: Final[Targets] = {}
_HOSTS: Final = HttpHosts("127.0.0.1", ("aios.example",))
_RULES: Final = OperatorRules.read(["https://*", "http://*"], ["http://wiki.lan 10.0.0.0/8"])
_WAY_OUT: Final = _RULES.policy("acme", None)
_ENDPOINT: Final = HttpEndpoint(
    url="https://api.example.com/{id}",
    method="POST",
    arguments=tuple(
        HttpArgument(argument=argument, place=place, name=argument)
        for argument, place in zip(("id", "q", "h", "c", "body"), HttpPlace, strict=True)
    ),
)
_VERIFIER: Final = ISSUER_FOR_TESTS.verifier()
_READING: Final = text_worker.reading()
_QUERYING: Final = csv_worker.querying()


@target(TEXTS, largest=65_536, steps=(5_300, 120), allocated=(780_000, 15_000))
def policy_outline(given: bytes) -> object:
    """Outline of a policy text, in the access manager, before a worker process sees it. Cap: 64 KiB."""
    return policy_text.outline(given.decode(errors="replace"))


@target(TEXTS, largest=1_048_576, steps=(1_400, 27), allocated=(260_000, 2_900))
def shown_arguments(given: bytes) -> object:
    """What a person is shown of a call's arguments, in the access manager. Cap: 1 MiB of JSON."""
    return shown_text.arguments(given.decode(errors="replace"), "0" * 64)


@target(TEXTS, largest=4096, steps=(1_000, 10), allocated=(200_000, 1_500))
def resource_name(given: bytes) -> object:
    """A resource name, in every process and before the call is authorised. Cap: the request's own."""
    return names.parse(given.decode(errors="replace"), me="planner")


@target(TEXTS, largest=8192, steps=(2_100, 17), allocated=(200_000, 1_500))
def storage_path(given: bytes) -> object:
    """A path of a file, in the storage manager. Cap: 1 KiB, checked by the parser itself."""
    return paths.check(given.decode(errors="replace"))


@target(TEXTS, largest=16_384, steps=(2_600, 12), allocated=(450_000, 1_900))
def page_token(given: bytes) -> object:
    """A page token, in every manager. Cap: 4 KiB, checked by the parser itself."""
    text = given.decode(errors="replace")
    return paging.decode(text, "acme", shape=(int, str)), paging.decode(text, shape=(str,))


@target(TEXTS, largest=4096, steps=(2_000, 17), allocated=(200_000, 1_500))
def glob(given: bytes) -> object:
    """A pattern over paths and a path of 1 KiB, in the storage manager. Cap: 256 characters and 1 KiB."""
    pattern, _, path = given.decode(errors="replace").partition("\n")
    return Pattern(pattern[:256]).matches(path[:1024])


@target(TEXTS, largest=65_536, steps=(4_000, 40), allocated=(500_000, 5_000))
def search_query(given: bytes) -> object:
    """A query and a text to find it in, in storage, memory and context. Cap: 64 Ki characters of a text."""
    query, _, text = given.decode(errors="replace").partition("\n")
    return query_words(f"a {query}"), excerpt(text, query_words(f"a {query}")), embed(words(text)[:200])


@target(TEXTS, largest=65_536, steps=(1_000, 10), allocated=(200_000, 1_500), refusals=(ValueError,))
def json_text(given: bytes) -> object:
    """Any JSON text that is read strictly, in the gateway, tool and tgi-local. Cap: the field's own."""
    return read_json(given.decode(errors="replace"))


@target(TEXTS, largest=4096, steps=(26_000, 160), allocated=(3_000_000, 32_000), refusals=(BadExpression,))
def calculator(given: bytes) -> object:
    """An expression of the built-in calculator, in the tool manager. Cap: 1,000 characters by itself."""
    return calculate(given.decode(errors="replace"))


@target(TEXTS, largest=4096, steps=(1_600, 10), allocated=(200_000, 1_500), refusals=(BadUnit,))
def units(given: bytes) -> object:
    """Value and units of the built-in converter, in the tool manager. Cap: that of a call's arguments."""
    value, _, rest = given.decode(errors="replace").partition(" ")
    source, _, target_ = rest.partition(" ")
    try:
        number = read_json(value or "1")
    except ValueError:
        return None
    return convert(number, source, target_) if type(number) in {int, float} else None


@target(TEXTS, largest=16_384, steps=(1_000, 38), allocated=(200_000, 2_900))
def token(given: bytes) -> object:
    """A bearer token, in every process and before anything else is read. Cap: 8 KiB by itself."""
    return run(_VERIFIER.authenticate(given.decode(errors="replace")))


@target(TEXTS, largest=16_384, steps=(17_000, 88), allocated=(1_400_000, 5_900))
def claims(given: bytes) -> object:
    """Claims of a well signed token: what a caller's own key could say. In every process. Cap: 8 KiB."""
    try:
        said = read_json(given.decode(errors="replace"))
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    now = SystemClock().now()
    base = {"iss": "aios", "iat": now, "exp": now + timedelta(minutes=1)}
    try:
        made = jwt.encode(
            base | said,
            ISSUER_FOR_TESTS.private_key,
            algorithm="EdDSA",
            headers={"kid": ISSUER_FOR_TESTS.kid},
        )
    except (TypeError, ValueError):
        return None
    return run(_VERIFIER.authenticate(made))


@target(TEXTS, largest=8192, steps=(1_800, 10), allocated=(200_000, 1_500))
def host(given: bytes) -> object:
    """`Host` and `Origin` of a request, at every HTTP listener before its body. Cap: the library's 8 KiB."""
    name, _, origin = given.decode(errors="replace").partition("\n")
    return _HOSTS.problem([name], [origin] if origin else [])


@target(TEXTS, largest=300, steps=(780_000, 160), allocated=(60_000_000, 16_000))
def file_diff(given: bytes) -> object:
    """Two versions of a file, compared in a thread of the storage manager. Cap: 1,000 edits by itself."""
    old, _, new = given.decode(errors="replace").partition("\n====\n")
    return diff.unified(old, new, old_name="a", new_name="b")


@target(TEXTS, largest=8192, steps=(2_100, 17), allocated=(200_000, 1_500))
def tool_path(given: bytes) -> object:
    """A path in the arguments of a built-in tool, in the tool manager. Cap: 1 KiB, checked by the parser."""
    return place(given.decode(errors="replace")).shown()


@target(TEXTS, largest=1_048_576, steps=(60_000, 4), allocated=(2_000_000, 8))
def file_lines(given: bytes) -> object:
    """A file that is read by lines, in a thread of the tool manager. Cap: 16 MiB in parts of 1 MiB."""
    lines = LineCollector(first=3, most=50)
    lines.feed(given)
    lines.finish()
    return lines.text


@target(TEXTS, largest=65_536, steps=(1_000, 4), allocated=(20_000_000, 32))
def file_edit(given: bytes) -> object:
    """A file and what is replaced in it, in a thread of the tool manager. Cap: 2 MiB, 512 Ki characters."""
    old, _, rest = given.partition(b"\n")
    new, _, text = rest.partition(b"\n")
    return replaced(decoded(text), decoded(old) or "x", decoded(new), everywhere=True)


@target(TEXTS, largest=4096, steps=(800_000, 400), allocated=(16_000_000, 4_000), refusals=(Refused,))
def json_question(given: bytes) -> object:
    """A JMESPath expression and a JSON file, in a worker process of tool. Cap: 1,000 characters, 4 MiB."""
    query, _, document = given.decode(errors="replace").partition("\n")
    asked = {"kind": "json", "query": query[:1_000]}
    return answered(_READING(packed(asked, [document.encode()])))


@target(TEXTS, largest=65_536, steps=(20_000, 60), allocated=(4_000_000, 400), refusals=(Refused,))
def grep_question(given: bytes) -> object:
    """A regular expression and a text, in a worker process of the tool manager. Cap: 1,000 characters."""
    pattern, _, text = given.decode(errors="replace").partition("\n")
    asked = {"kind": "grep", "pattern": pattern[:1_000], "ignore_case": True, "limit": 100}
    return answered(_READING(packed(asked, [text.encode()])))


@target(TEXTS, largest=65_536, steps=(120_000, 120), allocated=(16_000_000, 2_000), refusals=(Refused,))
def csv_question(given: bytes) -> object:
    """A SELECT and a CSV file, in a worker process of the tool manager. Cap: 10,000 characters and 8 MiB."""
    sql, _, file = given.decode(errors="replace").partition("\n")
    asked = {"tables": ["t"], "sql": sql[:10_000], "delimiter": ",", "limit": 100}
    return answered(_QUERYING(packed(asked, [file.encode()])))


@target(TEXTS, largest=8192, steps=(800, 10), allocated=(200_000, 1_500))
def web_url(given: bytes) -> object:
    """A URL and where it redirects to, in the tool manager. Cap: 4 Ki characters, checked by the parser."""
    text, _, location = given.decode(errors="replace").partition("\n")
    url, _ = check_url(_WAY_OUT, text)
    return joined(url, location)


@target(TEXTS, largest=65_536, steps=(2_000, 40), allocated=(300_000, 3_000))
def http_call(given: bytes) -> object:
    """Arguments of an HTTP tool as a request, in the tool manager. Cap: 1 MiB of JSON that fits a schema."""
    try:
        arguments = read_json(given.decode(errors="replace"))
    except ValueError:
        return None
    return call_of(_ENDPOINT, arguments) if isinstance(arguments, dict) and "id" in arguments else None


@target(TEXTS, largest=1_048_576, steps=(5_000, 60), allocated=(800_000, 6_000), refusals=(BadDocument,))
def openapi_document(given: bytes) -> object:
    """An OpenAPI document, in a worker process of the tool manager. Cap: 1 MiB, checked by the parser."""
    return read_openapi(read_document(given))


@target(TEXTS, largest=1_048_576, steps=(2_500, 60), allocated=(400_000, 6_000))
def web_page(given: bytes) -> object:
    """A web page that is read, in a worker process of the tool manager. Cap: 2 MiB of answer."""
    return readable(given.decode(errors="replace"))
