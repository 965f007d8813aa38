"""The SDK's wheel, in an environment of its own and away from the project, does what the README says."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.documents.blocks import ROOT

UV: Final = str(Path(sys.executable).parent / "uv")
USE: Final = """
import asyncio, pathlib, sys

import aios
from aios.testing import FakeKernel

assert pathlib.Path(aios.__file__).is_relative_to(sys.prefix), aios.__file__
assert (pathlib.Path(aios.__file__).parent / "py.typed").is_file()


async def main() -> None:
    async with FakeKernel() as fake:
        async with fake.agent("guide") as agent:
            await agent.memory.put("colour", "blue")
            print((await agent.memory.get("colour")).content)


asyncio.run(main())
"""


def run(*words: str, folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the commands of an environment are in which the built wheel is installed."""
    folder = tmp_path_factory.mktemp("installed")
    run(UV, "build", "--quiet", "--wheel", "--out-dir", str(folder / "dist"), "sdk/python", folder=ROOT)
    [wheel] = (folder / "dist").glob("*.whl")
    assert wheel.name.startswith("aios_kernel_client-")
    run(UV, "venv", "--quiet", "--python", sys.executable, str(folder / "env"), folder=folder)
    python = folder / "env" / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", str(python), str(wheel), folder=folder)
    return python.parent


def test_the_package_and_its_fake_kernel_work_from_the_wheel(bin_folder: Path, tmp_path: Path) -> None:
    assert run(str(bin_folder / "python"), "-I", "-c", USE, folder=tmp_path) == "blue\n"


def test_the_command_comes_with_the_wheel(bin_folder: Path, tmp_path: Path) -> None:
    assert run(str(bin_folder / "aios"), "--version", folder=tmp_path).startswith("aios ")
    assert "memory" in run(str(bin_folder / "aios"), "--help", folder=tmp_path)
