"""What makes a kernel on one machine, and the demo's tasks."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios._settings import Target, door_url
from launcher.backends import Backends, WrongBackends
from launcher.data import prepare, served, with_keys
from launcher.demo.stage import Act, Done
from launcher.demo.summary import percentile, summarise
from launcher.demo.tasks import Task, cast
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


@given(st.integers(0, 10_000))
def test_the_demo_deals_twelve_agents_tasks_with_known_answers(seed: int) -> None:
    agents = cast(seed)

    assert len({agent.name for agent in agents}) == 12
    assert all(agent.tasks for agent in agents)
    assert all(task.expected for agent in agents for task in agent.tasks)
    assert agents == cast(seed)


def test_the_curious_agents_answer_must_not_hold_the_secret() -> None:
    agents = {agent.name: agent for agent in cast(1)}
    secret = agents["cleo"].notes["secret"]

    assert all(task.forbidden == secret for task in agents["mallory"].tasks if "secret" in task.prompt)


@pytest.mark.parametrize(("right", "refusals", "passed"), [(9, 1, True), (8, 1, False), (10, 0, False)])
def test_the_demo_passes_with_nine_right_answers_of_ten_and_a_refusal(
    right: int, refusals: int, *, passed: bool
) -> None:
    agent = cast(1)[0]
    tasks = [Task(f"q{number}", "a") for number in range(10)]
    act = Act(type(agent)(agent.name, agent.role, tasks), refusals=refusals)
    act.done = [Done(task, "a", number < right, 1.0) for number, task in enumerate(tasks)]

    assert summarise([act], 2.0, "fifo").passed is passed


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values(values: list[float], share: float) -> None:
    assert percentile(values, share) in values


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
