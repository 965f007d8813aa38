"""Records what a release leaves behind, with its own checkout: run this before its contract or tables change.

Run:  python -m tests.histories.record tests/histories/0.1.0
"""

import argparse
import asyncio
import gzip
import importlib
import json
import pkgutil
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

import aios
import aios.api
from tests.histories.scenario import fill, read
from tests.system.cluster import cluster

DATABASES: Final = "databases"
REST: Final = "files"
KEYS: Final = ("access-keys.json", "service.key")
"""The files without which the databases are of no use. They open nothing but this data."""


def contract() -> bytes:
    """Return the descriptors of the whole contract, each file after those it imports."""
    found = FileDescriptorSet()
    seen: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for other in file.dependencies:
            add(other)
        file.CopyToProto(found.file.add())

    for module in pkgutil.walk_packages(aios.api.__path__, "aios.api."):
        if module.name.endswith("_pb2"):
            add(importlib.import_module(module.name).DESCRIPTOR)
    return found.SerializeToString(deterministic=True)


def dump(data: Path, out: Path) -> None:
    """Write databases, packed and without slack, and copy the keys that belong to them."""
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        place = file.relative_to(data)
        if file.suffix == ".db":
            whole = file.with_suffix(".whole")
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("VACUUM INTO ?", (str(whole),))
            target = out / DATABASES / place.with_suffix(".db.gz")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(gzip.compress(whole.read_bytes(), mtime=0))
        elif file.name in KEYS:
            target = out / REST / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


async def main(out: Path) -> None:
    """Fill a kernel, stop it, and keep what it wrote."""
    await asyncio.to_thread(shutil.rmtree, out, ignore_errors=True)
    kept = out.parent / f"{out.name}.data"
    async with cluster() as kernel:
        async with kernel.admin() as admin:
            key = await fill(admin)
            async with aios.connect(kernel.plan.gateway, agent_key=key) as amy:
                expected = await read(admin, amy)
        await kernel.supervisor.stop()
        await asyncio.to_thread(shutil.copytree, kernel.plan.data_dir, kept)
    await asyncio.to_thread(dump, kept, out)
    await asyncio.to_thread(shutil.rmtree, kept)
    (out / "contract.binpb.gz").write_bytes(gzip.compress(contract(), mtime=0))
    (out / "expected.json").write_text(json.dumps({"key": key, "reads": expected}, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    asyncio.run(main(parser.parse_args().out))
