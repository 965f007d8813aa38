"""Averages checkpoints of stages that went on from one another: it keeps what each of them is good at.

python -m services.tgi_local.demo_model.average --out /tmp/demo /tmp/a=0.2 /tmp/b=0.4 /tmp/c=0.4
"""

import argparse
import shutil
from pathlib import Path

import torch


def main() -> None:
    """Write the mean of the folders' weights, by their shares, and the tokenizer that they share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", help="FOLDER=SHARE")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    parts = [(Path(folder), float(share)) for folder, _, share in (p.rpartition("=") for p in args.parts)]
    loaded = [(torch.load(path / "checkpoint.pt", weights_only=True), share) for path, share in parts]
    total = sum(share for _, share in loaded)
    first = loaded[0][0]
    state = {
        name: sum(share / total * saved["state"][name] for saved, share in loaded) for name in first["state"]
    }
    args.out.mkdir(parents=True, exist_ok=True)
    torch.save({"shape": first["shape"], "state": state}, args.out / "checkpoint.pt")
    shutil.copy(parts[0][0] / "tokenizer.json", args.out / "tokenizer.json")


if __name__ == "__main__":
    main()
