"""The address at which a browser sees the demo while it runs."""

from http import HTTPStatus
from typing import Final

import aiohttp

_SECONDS: Final = aiohttp.ClientTimeout(total=10.0)
_CODES: Final = "/console/codes"
_MEANT: Final = {"x-aios-console": "1"}
"""What no page of another origin can send."""


async def told(door: str, token: str) -> str:
    """Return the console's address, with a code that signs a browser in once; or why there is none.

    `token`: whose eyes the console sees with. The code stands behind `#`, which browsers send nowhere.
    """
    try:
        async with (
            aiohttp.ClientSession(timeout=_SECONDS) as session,
            session.post(door + _CODES, headers={"Authorization": f"Bearer {token}", **_MEANT}) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                return f"none at {door}/console/ (status {answer.status})"
            made = await answer.json()
        return f"{door}/console/#code={made['code']} (for one browser, within {made['seconds']:.0f} s)"
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"none at {door}/console/ ({type(error).__name__})"
    except (ValueError, KeyError, TypeError):
        return f"none at {door}/console/ (it answers something else)"
