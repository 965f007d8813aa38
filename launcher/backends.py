"""The inference servers of a kernel: what was said about them, and what asking them tells. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self
from urllib.parse import urldefrag, urlsplit

CODING_WINDOW: Final = 16_384
"""What coding clients need at least: their first request holds the texts of twenty tools. Unit: tokens."""

LONG_PROMPT_SECONDS: Final = 600
"""The longest that the embedded engine itself waits for its first token."""


class WrongBackends(Exception):
    """What was said about inference servers cannot be meant; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backends:
    """Servers to attach; with none the embedded engine runs."""

    openai: tuple[str, ...] = ()
    """Base URLs of servers that speak the OpenAI protocol, with or without `/v1`; `#name` chooses a model."""
    tgi: tuple[str, ...] = ()
    """Base URLs of TGI servers."""
    model: str = ""
    """Model of the attached servers; empty: the first that each lists."""
    openai_key: str = field(default="", repr=False)
    tgi_key: str = field(default="", repr=False)
    embedded_model: str = ""
    """GGUF file of the embedded engine, or `hf:<owner>/<repository>/<file>`; empty: the demo's."""
    token_seconds: int = 0
    """Longest silence before a token of the embedded engine; 0: the gateway's own."""
    window: int = 0
    """Window of the OpenAI servers whatever they declare, from AIOS_OPENAI_WINDOW_TOKENS; 0: as declared."""

    @property
    def attached(self) -> bool:
        """Whether other servers take the place of the embedded engine."""
        return bool(self.openai or self.tgi)

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str],
        *,
        openai: Sequence[str] = (),
        tgi: Sequence[str] = (),
        model: str = "",
        openai_key: str = "",
        embedded_model: str = "",
    ) -> Self:
        """Join the options, each of which may hold several URLs, with the variables they stand for.

        Raises WrongBackends.
        """
        found = cls(
            openai=_urls("--openai", openai)
            or _urls("AIOS_OPENAI_ENDPOINTS", [_of(environ, "OPENAI_ENDPOINTS")]),
            tgi=_urls("--tgi", tgi) or _urls("AIOS_TGI_ENDPOINTS", [_of(environ, "TGI_ENDPOINTS")]),
            openai_key=openai_key or _of(environ, "OPENAI_API_KEY"),
            tgi_key=_of(environ, "TGI_API_KEY"),
            window=int(window) if (window := _of(environ, "OPENAI_WINDOW_TOKENS")).isdecimal() else 0,
        )
        keys = found.openai_key + found.tgi_key
        if not keys.isascii() or (keys and not keys.isprintable()):
            raise WrongBackends("a key of a server holds what no key can: only printable ASCII is sent")
        if found.attached and embedded_model:
            raise WrongBackends(
                "--embedded-model runs the embedded engine, which stays out where other servers are attached"
            )
        if found.attached:
            return replace(found, model=model or _of(environ, "OPENAI_MODEL"))
        if model:
            raise WrongBackends(
                "--model names a model of an attached server: say which with --openai or --tgi"
            )
        return found._with_embedded(environ, embedded_model or _of(environ, "MODEL"))

    def _with_embedded(self, environ: Mapping[str, str], embedded_model: str) -> Self:
        """Give a model of the user's own, which may be large, time for a long prompt's tokens one by one."""
        if not embedded_model or _of(environ, "TGI_TOKEN_TIMEOUT_SECONDS"):
            return replace(self, embedded_model=embedded_model)
        return replace(self, embedded_model=embedded_model, token_seconds=LONG_PROMPT_SECONDS)


def _of(environ: Mapping[str, str], name: str) -> str:
    return environ.get(f"AIOS_{name}", "").strip()


def _urls(source: str, texts: Sequence[str]) -> tuple[str, ...]:
    urls = tuple(each.strip() for text in texts for each in text.split(",") if each.strip())
    for url in urls:
        _check(source, url)
    return urls


def _check(source: str, url: str) -> None:
    """Refuse what is no base URL. A key inside one would be shown wherever the server is named."""
    try:
        parts = urlsplit(url)
        host, has_user = parts.hostname, "@" in parts.netloc
        _ = parts.port  # raises for what is no port
    except ValueError:
        host, has_user = None, False
    if has_user:
        raise WrongBackends(f"{source}: a URL that holds a user or a password: give keys with --openai-key")
    if host is None or parts.scheme not in {"http", "https"}:
        raise WrongBackends(f"{source} {url!r} is no base URL such as http://127.0.0.1:8000")


def base_of(endpoint: str) -> str:
    """Return an endpoint's base URL, as drivers use it: without `/v1` and the name of a model."""
    return urldefrag(endpoint).url.rstrip("/").removesuffix("/v1")


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers, and the model it answers with."""

    url: str
    model: str
    window: int
    """Longest prompt and answer of one call, 0 where the server does not tell. Unit: tokens."""
    called: str
    """What the server calls itself; empty where it does not tell."""
    chat_template: bool = True
    """Whether the model says how its chats are written."""

    def told(self) -> str:
        """Say it in a line."""
        unknown = "window not told, the kernel takes 4,096 tokens: set AIOS_OPENAI_WINDOW_TOKENS"
        window = f"window {self.window:,} tokens" if self.window else unknown
        called = f" (calls itself {self.called!r})" if self.called else ""
        return f"{self.model} at {self.url}{called}, {window}"


class BackendProblem(Exception):
    """A server cannot be used as it answers now. The message says why, and never holds a key."""


class DoesNotAnswer(BackendProblem):
    """Nothing is there, or it took too long."""


class AnswersSomethingElse(BackendProblem):
    """What answers speaks another protocol, or is broken."""


class NeedsKey(BackendProblem):
    """It refuses the key, or wants one."""


class LacksModel(BackendProblem):
    """It does not serve the model that is wanted."""
