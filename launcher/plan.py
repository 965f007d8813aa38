"""Which processes make a kernel, and how each is started. Pure."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.authority import Authority
from launcher.backends import Backends
from services.chassis.auth.processes import KEYED, SERVICE_KEYS
from services.chassis.runtime.ports import DOOR_ABOVE

DEFAULT_BASE_PORT = 7070
_OFFSETS = {"gateway": 0, "scheduler": 1, "context": 2, "memory": 3, "storage": 4, "tool": 5, "access": 6}
_TGI_OFFSET = 9
_GATEWAY_HTTP_OFFSET = 10
_HTTP_OFFSET = 100
_HEALTH_OFFSET = 200
_ENGINE_NICENESS = 5
"""The engine takes what processors it gets while it generates; a note or a kill is not to wait for it."""


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One process."""

    name: str
    module: str
    environment: Mapping[str, str]
    ports: Mapping[int, str]
    """Ports it binds, each with its purpose."""
    ready_url: str
    """Answers 200 once it is ready."""

    niceness: int = 0
    """How far it stands back for the others on the processors."""

    @property
    def command(self) -> list[str]:
        """Command line."""
        nice = ["--nice", str(self.niceness)] if self.niceness else []
        return [sys.executable, "-m", "launcher.child", *nice, self.module]


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelPlan:
    """A kernel on one machine."""

    data_dir: Path
    base_port: int = DEFAULT_BASE_PORT
    """gRPC port of the gateway; the others follow from it."""
    backends: Backends = field(default_factory=Backends)
    """Inference servers to use instead of the embedded one."""
    tls: bool = False
    """Whether the processes speak mutual TLS among themselves, and TLS to agents."""
    log_format: str = "console"
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further variables for every process."""

    @property
    def gateway(self) -> str:
        """Address agents connect to."""
        return f"127.0.0.1:{self.base_port}"

    @property
    def service_keys_dir(self) -> Path:
        """Where the key of each process lies, by which access knows it."""
        return self.data_dir / SERVICE_KEYS

    @property
    def engine_key_file(self) -> Path:
        """Key that the embedded engine wants to see, and the gateway shows."""
        return self.data_dir / "tgi-local.key"

    @property
    def admin_token_file(self) -> Path:
        """Token of the kernel's administrator, written by the access service."""
        return self.data_dir / "admin.token"

    @property
    def door(self) -> str:
        """Base URL for clients that speak HTTP: OpenAI's, Anthropic's and MCP's."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._door_port}"

    @property
    def authority(self) -> Authority:
        """What signs the processes' certificates."""
        return Authority(self.data_dir / "tls")

    @property
    def certified(self) -> list[str]:
        """Names of the processes that have certificates."""
        return list(_OFFSETS) if self.tls else []

    @property
    def embedded(self) -> str:
        """Base URL of the embedded engine, where it runs."""
        return f"http://127.0.0.1:{self.base_port + _TGI_OFFSET}"

    @property
    def served_by(self) -> Backends:
        """The servers behind the gateway: those attached, else the embedded engine."""
        return self.backends if self.backends.attached else Backends(tgi=(self.embedded,))

    def processes(self) -> list[ProcessPlan]:
        """List all processes; those that others ask first come first."""
        managers = [self._manager(name) for name in ("access", "scheduler", "gateway")]
        stores = [self._manager(name) for name in ("context", "memory", "storage", "tool")]
        backend = [] if self.backends.attached else [self._tgi_local()]
        return [managers[0], *backend, *managers[1:], *stores]

    def _manager(self, name: str) -> ProcessPlan:
        port = self.base_port + _OFFSETS[name]
        http = self._http_port(name)
        health = port + _HEALTH_OFFSET
        is_gateway = name == "gateway"
        prefix = f"AIOS_{name.upper()}_"
        return ProcessPlan(
            name=name,
            module="gateway" if is_gateway else f"services.{name}",
            environment={
                **self._common(),
                **self._key_of(name),
                **(self._gateway_alone() if is_gateway else {}),
                **self._certificate(name),
                f"{prefix}PORT": str(port),
                f"{prefix}HTTP_PORT": str(http),
                f"{prefix}HEALTH_PORT": str(health),
            },
            ports={
                port: "gRPC",
                http: "HTTP",
                health: "gRPC health",
                **({self._door_port: "HTTP door"} if is_gateway else {}),
            },
            ready_url=f"http://127.0.0.1:{http}/readyz",
        )

    def _key_of(self, name: str) -> dict[str, str]:
        """Show each process its own key alone; access, which knows them all by theirs, the directory."""
        if name in KEYED:
            return {"AIOS_SERVICE_KEY_FILE": str(self.service_keys_dir / f"{name}.key")}
        return {"AIOS_ACCESS_SERVICE_KEYS_DIR": str(self.service_keys_dir)}

    def _tgi_local(self) -> ProcessPlan:
        port = self.base_port + _TGI_OFFSET
        model = self.backends.embedded_model
        return ProcessPlan(
            name="tgi-local",
            module="services.tgi_local",
            environment={
                **self._common(),
                "AIOS_TGI_LOCAL_PORT": str(port),
                "AIOS_TGI_LOCAL_API_KEY": "",
                "AIOS_TGI_LOCAL_API_KEY_FILE": str(self.engine_key_file),
                **({"AIOS_MODEL": model} if model else {}),
            },
            ports={port: "HTTP"},
            ready_url=f"{self.embedded}/health",
            niceness=_ENGINE_NICENESS,
        )

    def _common(self) -> dict[str, str]:
        endpoints = {
            f"AIOS_{name.upper()}_ENDPOINT": f"127.0.0.1:{self.base_port + offset}"
            for name, offset in _OFFSETS.items()
        }
        named = {"AIOS_OPENAI_MODEL": self.backends.model} if self.backends.model else {}
        return {
            "AIOS_DATA_DIR": str(self.data_dir),
            "AIOS_LOG_FORMAT": self.log_format,
            # Always set, if to nothing: a variable of the shell must not attach what the plan does not.
            "AIOS_TGI_ENDPOINTS": ",".join(self.served_by.tgi),
            "AIOS_OPENAI_ENDPOINTS": ",".join(self.served_by.openai),
            "AIOS_SERVICE_KEY_FILE": "",
            # Keys are the gateway's alone.
            "AIOS_OPENAI_API_KEY": "",
            "AIOS_TGI_API_KEY": "",
            "AIOS_OPENAI_API_KEY_FILE": "",
            "AIOS_TGI_API_KEY_FILE": "",
            **named,
            **endpoints,
            **self.extra,
        }

    def _certificate(self, name: str) -> dict[str, str]:
        """Name the files; to nothing without TLS, so that the shell's variables do not count."""
        files = [self.authority.certificate(name), self.authority.key(name), self.authority.file]
        names = ("AIOS_TLS_CERT", "AIOS_TLS_KEY", "AIOS_TLS_CA")
        return {each: str(file) if self.tls else "" for each, file in zip(names, files, strict=True)}

    @property
    def _door_port(self) -> int:
        return self.base_port + DOOR_ABOVE

    def _gateway_alone(self) -> dict[str, str]:
        keys = {"AIOS_OPENAI_API_KEY": self.backends.openai_key, "AIOS_TGI_API_KEY": self.backends.tgi_key}
        own = {"AIOS_GATEWAY_DOOR_PORT": str(self._door_port)}
        if not self.backends.attached:
            keys["AIOS_TGI_API_KEY_FILE"] = str(self.engine_key_file)
        if self.backends.token_seconds:
            own["AIOS_TGI_TOKEN_TIMEOUT_SECONDS"] = str(self.backends.token_seconds)
        return {**own, **{name: key for name, key in keys.items() if key}}

    def _http_port(self, name: str) -> int:
        if name == "gateway":
            return self.base_port + _GATEWAY_HTTP_OFFSET
        return self.base_port + _OFFSETS[name] + _HTTP_OFFSET
