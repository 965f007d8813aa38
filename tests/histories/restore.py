"""Puts back what a release left behind."""

import gzip
import shutil
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
RELEASES: Final = sorted(folder for folder in HERE.iterdir() if (folder / "expected.json").is_file())


def restore(release: Path, data: Path) -> list[Path]:
    """Fill a data directory with a release's databases and keys, and return the databases."""
    data.mkdir(parents=True, exist_ok=True)
    shutil.copytree(release / "files", data, dirs_exist_ok=True)
    made = []
    for packed in sorted((release / "databases").rglob("*.db.gz")):
        file = data / packed.relative_to(release / "databases").with_suffix("")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.decompress(packed.read_bytes()))
        made.append(file)
    return made
