"""What makes a kernel on one machine."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aios._settings import Target, door_url
from launcher.backends import Backends, WrongBackends
from launcher.data import prepare, served, with_keys
from launcher.plan import KernelPlan
from launcher.ports import free_base_port, is_free
from services.chassis.auth.processes import KEYED
from services.chassis.runtime.ports import DEFAULT_PORTS


def plan(**fields: object) -> KernelPlan:
    return KernelPlan(data_dir=Path("/data"), **fields)  # type: ignore[arg-type]


def test_every_process_has_ports_of_its_own() -> None:
    ports = [port for process in plan().processes() for port in process.ports]

    assert len(ports) == len(set(ports))


def test_the_usual_ports_are_those_of_the_services() -> None:
    by_name = {process.name: process for process in plan().processes()}

    for name, port in DEFAULT_PORTS.items():
        assert port in by_name[name].ports


def test_the_door_is_where_clients_are_told_to_find_it() -> None:
    moved = plan(base_port=18_000)
    gateway = next(process for process in moved.processes() if process.name == "gateway")

    assert gateway.environment["AIOS_GATEWAY_DOOR_PORT"] == "18020"
    assert 18_020 in gateway.ports
    assert moved.door == door_url(Target(moved.gateway)) == "http://127.0.0.1:18020"


def test_a_free_block_of_ports_is_found() -> None:
    base = free_base_port(usual=False)

    assert all(is_free(port) for process in plan(base_port=base).processes() for port in process.ports)


def test_the_keys_are_for_their_owner_alone_and_made_once(tmp_path: Path) -> None:
    made = KernelPlan(data_dir=tmp_path / "data")
    keys = [*(made.service_keys_dir / f"{name}.key" for name in sorted(KEYED)), made.engine_key_file]
    prepare(made)
    first = [key.read_text() for key in keys]
    prepare(made)

    assert [key.read_text() for key in keys] == first
    assert len(set(first)) == len(first)
    assert all(len(key) >= 32 for key in first)
    assert all(stat.S_IMODE(key.stat().st_mode) == 0o600 for key in keys)
    assert stat.S_IMODE(made.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.service_keys_dir.stat().st_mode) == 0o700
    assert sorted(path for path in made.data_dir.rglob("*") if path.is_file()) == sorted(keys)


def test_the_engines_key_is_told_to_the_engine_and_the_gateway_alone(tmp_path: Path) -> None:
    made = KernelPlan(data_dir=tmp_path)
    prepare(made)
    holders = {
        (process.name, name)
        for process in made.processes()
        for name, value in process.environment.items()
        if value == str(made.engine_key_file)
    }
    key = made.engine_key_file.read_text()

    assert holders == {("tgi-local", "AIOS_TGI_LOCAL_API_KEY_FILE"), ("gateway", "AIOS_TGI_API_KEY_FILE")}
    assert served(made).tgi_key == key
    assert not any(key in word for process in made.processes() for word in process.command)
    assert key not in repr(served(made))


def test_keys_of_attached_servers_come_from_files_too(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("of-the-server\n")
    environ = {"AIOS_TGI_API_KEY_FILE": str(file)}

    assert Backends.read(with_keys(environ), tgi=["http://127.0.0.1:1"]).tgi_key == "of-the-server"
    for wrong in (environ | {"AIOS_TGI_API_KEY": "x"}, {"AIOS_OPENAI_API_KEY_FILE": str(tmp_path / "none")}):
        with pytest.raises(WrongBackends):
            with_keys(wrong)


def test_each_process_is_shown_its_own_key_alone() -> None:
    shown = {each.name: each.environment["AIOS_SERVICE_KEY_FILE"] for each in plan().processes()}

    assert shown == {name: f"/data/service-keys/{name}.key" for name in KEYED} | {
        "access": "",
        "tgi-local": "",
    }


def test_the_engine_stands_back_for_the_managers_on_the_processors() -> None:
    plan = KernelPlan(data_dir=Path("/data"))

    nice = {process.name: process.niceness for process in plan.processes()}

    assert nice.pop("tgi-local") > 0
    assert set(nice.values()) == {0}


def test_a_child_becomes_its_module_at_its_niceness() -> None:
    command = [
        sys.executable,
        "-m",
        "launcher.child",
        "--nice",
        "3",
        "tests.unit.launcher.told_niceness",
        "word",
    ]

    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert told == [str(os.nice(0) + 3), "word"]
