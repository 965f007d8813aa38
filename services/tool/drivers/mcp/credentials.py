"""What proves to servers over HTTP who calls: headers with secrets, and bearer tokens had by OAuth."""

import asyncio
import base64
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from services.chassis.json_text import read_json
from services.chassis.runtime.clock import Clock
from services.tool.core.egress import EgressRequest
from services.tool.core.mcp_servers import OAuthClient
from services.tool.core.redaction import Redactor
from services.tool.core.secrets import Secret
from services.tool.errors import McpServerFailed
from services.tool.ports import Egress

TOKEN_SECONDS: Final = 15.0
TOKEN_BYTES: Final = 64 * 1024
SPARE_SECONDS: Final = 30.0
"""Before a token ends another one is had."""
DEFAULT_SECONDS: Final = 300.0
"""How long a token is taken for good whose end was not told."""
REFUSAL_PAUSE: Final = 30.0
"""Between two tokens that are had because the server refused the one before."""
_TOKEN: Final = re.compile(r"[!-~]{1,8192}")


class HeaderCredentials:
    """Headers with the values of secrets. A Credentials."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._redactor = Redactor(values.values())

    def __repr__(self) -> str:
        """Show that there are some."""
        return "HeaderCredentials()"

    async def headers(self) -> Mapping[str, str]:
        """Return the headers."""
        return self._values

    def refused(self) -> bool:
        """Have no better ones."""
        return False

    def redactor(self) -> Redactor:
        """Return what takes the values out of texts."""
        return self._redactor


class TokenCredentials:
    """The same with a bearer token, which is had and renewed at an authorization server. A Credentials."""

    def __init__(
        self,
        tenant: str,
        client: OAuthClient,
        secrets: Mapping[str, Secret],
        values: Mapping[str, str],
        *,
        resource: str,
        egress: Egress,
        clock: Clock,
    ) -> None:
        self._tenant, self._client, self._resource = tenant, client, resource
        self._egress, self._clock = egress, clock
        self._values = values
        self._secret = secrets[client.client_secret].reveal() if client.client_secret else ""
        self._refresh = secrets[client.refresh_token].reveal() if client.refresh_token else ""
        self._known = {*values.values(), self._secret, self._refresh} - {""}
        self._redactor = Redactor(self._known)
        self._turn = asyncio.Lock()
        self._token = ""
        self._good_until = self._refused_at = -1.0

    def __repr__(self) -> str:
        """Show that there are some."""
        return "TokenCredentials()"

    async def headers(self) -> Mapping[str, str]:
        """Return the headers with a token that is good. Raises McpServerFailed, EgressDenied and so on."""
        async with self._turn:
            if not self._token or self._clock.monotonic() >= self._good_until:
                await self._renew()
            return {**self._values, "Authorization": f"Bearer {self._token}"}

    def refused(self) -> bool:
        """Drop a token that was not taken; another one is tried now and then."""
        now = self._clock.monotonic()
        if self._refused_at >= 0 and now - self._refused_at < REFUSAL_PAUSE:
            return False
        self._token, self._refused_at = "", now
        return True

    def redactor(self) -> Redactor:
        """Return what takes the values and tokens out of texts."""
        return self._redactor

    async def _renew(self) -> None:
        form = {"grant_type": "client_credentials", "resource": self._resource}
        if self._refresh:
            form |= {"grant_type": "refresh_token", "refresh_token": self._refresh}
        if self._client.scopes:
            form["scope"] = " ".join(self._client.scopes)
        headers = {}
        if self._secret:
            pair = f"{quote(self._client.client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self._client.client_id
        answer = await self._egress.fetch(
            EgressRequest(
                tenant=self._tenant,
                method="POST",
                url=self._client.token_url,
                secret_headers=headers,
                body=urlencode(form).encode(),
                media_type="application/x-www-form-urlencoded",
                accepts=("application/json",),
                max_bytes=TOKEN_BYTES,
                seconds=TOKEN_SECONDS,
            )
        )
        if not answer.ok:
            raise McpServerFailed(f"the authorization server gave no token (status {answer.status})")
        self._take(_read(answer.body))

    def _take(self, told: Mapping[str, Any]) -> None:
        token, kind, seconds = told.get("access_token"), told.get("token_type"), told.get("expires_in")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token) or str(kind).lower() != "bearer":
            raise McpServerFailed("the authorization server gave no bearer token")
        lasts = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else DEFAULT_SECONDS
        self._token = token
        self._good_until = self._clock.monotonic() + max(1.0, lasts - SPARE_SECONDS)
        again = told.get("refresh_token")
        if self._refresh and isinstance(again, str) and _TOKEN.fullmatch(again):
            self._refresh = again  # servers that rotate them take each one once
        self._redactor = Redactor(self._known | {self._token, self._refresh} - {""})


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        told = read_json(body.decode())
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise McpServerFailed("the authorization server's answer is not OAuth")
    return told
