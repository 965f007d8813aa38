"""Clients in other languages, made of the protos alone, against a live kernel."""

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.clients.environments import ROOT, Completed, python_environment, run
from tests.documents.blocks import SHELL, blocks, commands
from tests.polyglot.conftest import FOLDER
from tests.polyglot.toolchains import (
    EXAMPLES,
    REQUIREMENTS,
    Go,
    TypeScript,
    build_cpp,
    built,
    check_cpp,
    compile_java,
    generate_cpp,
    needed,
)

LIST: Final = FOLDER / "conformance.json"
QUESTION: Final = ("Say", "hello", "to", "Mira.")
HELLO: Final = re.compile(r"\S[^\n]*\nagents/[\w.:-]+: [1-9]\d* \+ [1-9]\d* tokens\n")
"""What every first program prints: an answer, and whose it was and what it took."""


def must_pass(done: Completed) -> None:
    """Check that a program ran every case of the list, in its order, and passed."""
    told = [json.loads(line) for line in done.out.splitlines()]
    wanted = [
        {"case": each["id"], "ok": True, "detail": ""} for each in json.loads(LIST.read_text())["cases"]
    ]

    assert told == wanted, done.tail
    assert done.status == 0, done.tail


def must_fail(done: Completed) -> None:
    """Check that a program says which case of a list it does not know."""
    assert [json.loads(line)["ok"] for line in done.out.splitlines()] == [False, True], done.tail
    assert done.status == 1, done.tail


def must_answer(done: Completed) -> None:
    """Check that a first program printed an answer and what it took."""
    assert done.status == 0, done.tail
    assert HELLO.fullmatch(done.out), done.tail


def unknown(folder: Path) -> Path:
    """Write a list with a case that no program has."""
    path = folder / "list.json"
    path.write_text(json.dumps({"cases": [{"id": "nothing"}, {"id": "unary"}]}))
    return path


async def test_python_passes_the_list_by_stubs_alone(surroundings: dict[str, str], tmp_path: Path) -> None:
    program: tuple[str | Path, ...] = (sys.executable, EXAMPLES / "python" / "conformance.py")

    must_pass(await run(*program, LIST, environment=surroundings))
    must_fail(await run(*program, unknown(tmp_path), environment=surroundings))


async def test_the_first_program_in_python_prints_an_answer(surroundings: dict[str, str]) -> None:
    must_answer(
        await run(sys.executable, EXAMPLES / "python" / "raw_stub.py", *QUESTION, environment=surroundings)
    )


async def test_go_passes_the_list(go: Go, surroundings: dict[str, str], tmp_path: Path) -> None:
    must_pass(await run(go.program("conformance"), LIST, environment=surroundings))
    must_fail(await run(go.program("conformance"), unknown(tmp_path), environment=surroundings))


async def test_the_first_program_in_go_prints_an_answer(go: Go, surroundings: dict[str, str]) -> None:
    must_answer(await run(go.program("hello"), *QUESTION, environment=surroundings))


async def test_typescript_passes_the_list(
    typescript: TypeScript, surroundings: dict[str, str], tmp_path: Path
) -> None:
    program: tuple[str | Path, ...] = (*typescript.npm, "run", "--silent", "conformance", "--")
    environment = {**surroundings, "PATH": typescript.path}

    must_pass(await run(*program, LIST, cwd=typescript.folder, environment=environment))
    must_fail(await run(*program, unknown(tmp_path), cwd=typescript.folder, environment=environment))


async def test_the_first_program_in_typescript_prints_an_answer(
    typescript: TypeScript, surroundings: dict[str, str]
) -> None:
    program: tuple[str | Path, ...] = (*typescript.npm, "start", "--silent", "--")
    environment = {**surroundings, "PATH": typescript.path}

    must_answer(await run(*program, *QUESTION, cwd=typescript.folder, environment=environment))


async def test_java_compiles_the_first_program_and_the_stubs_of_every_service(tmp_path: Path) -> None:
    await compile_java(tmp_path)

    assert (tmp_path / "Hello.class").is_file()
    assert (tmp_path / "aios" / "api" / "inference" / "v1" / "InferenceServiceGrpc.class").is_file()


async def test_cpp_accepts_every_header_and_the_stubs_of_every_service(tmp_path: Path) -> None:
    await check_cpp(await generate_cpp(), tmp_path)


async def test_the_first_program_in_cpp_prints_an_answer(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    program = await build_cpp(await generate_cpp(), tmp_path)

    must_answer(await run(program, *QUESTION, environment=surroundings))
    refused = await run(program, *QUESTION, environment={**surroundings, "AIOS_TOKEN": "forged"})
    assert (refused.status, refused.err.split()[0]) == (1, "CREDENTIAL_INVALID"), refused.tail


PROTOC: Final = [
    command
    for block in blocks("protos/README.md")
    if block.language == SHELL
    for _, command in commands(block)
    if " -I protos -I third_party/protos " in command
]


@pytest.mark.parametrize(
    ("out", "plugin", "ending"),
    [
        ("--python_out", "", "_pb2_grpc.py"),
        ("--java_out", "grpc_java_plugin", "Grpc.java"),
        ("--cpp_out", "grpc_cpp_plugin", ".grpc.pb.cc"),
    ],
)
async def test_the_shown_command_generates_a_stub_of_every_service(
    out: str, plugin: str, ending: str, tmp_path: Path
) -> None:
    [command] = [each for each in PROTOC if out in each]
    path = os.environ["PATH"]
    if plugin:
        needed({plugin: f"the package that has {plugin}", "protoc": "protobuf-compiler"})
    else:
        path = f"{(await python_environment('grpc-tools', REQUIREMENTS / 'python.txt')).parent}:{path}"
    for tree in ("protos", "third_party"):
        shutil.copytree(ROOT / tree, tmp_path / tree)
    await built("bash", "-c", command, cwd=tmp_path, environment={**os.environ, "PATH": path})

    stubs = "".join(file.read_text() for file in (tmp_path / "gen").rglob(f"*{ending}"))
    protos = "".join(file.read_text() for file in (ROOT / "protos").rglob("*.proto"))
    services = re.findall(r"^service (\w+)", protos, re.MULTILINE)
    assert len(services) > 8
    assert [name for name in services if f".v1.{name}" not in stubs] == []
