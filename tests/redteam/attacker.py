"""The attacker's process: makes one attack and prints what came of it as a line of JSON.

Run:  python -m tests.redteam.attacker NAME --seconds 6   with the ground as JSON on standard input
"""

import argparse
import asyncio
import json
import os
import sys
from typing import Final

from services.chassis.runtime.standing_back import stand_back
from tests.redteam import attacks
from tests.redteam.fire import ATTACKS, Fire
from tests.redteam.ground import Ground

_NICE: Final = 15
"""The attacker's own work must not take the processor from the kernel, which it attacks from elsewhere."""


async def main() -> None:
    """Attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(ATTACKS))
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    stand_back(os.getpid(), _NICE)
    ground = Ground.from_json(sys.stdin.read())
    fire = Fire(ground, options.seconds)
    await ATTACKS[options.name].run(ground, fire)
    result = {"tried": fire.tried, "answers": dict(fire.answers), "breaches": fire.breaches}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    assert attacks.ALL, "the attacks are imported for the table they fill"
    asyncio.run(main())
