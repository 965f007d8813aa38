"""The embedded engine's window: the model's own, within memory, and long rather than many."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tgi_local.adapters.memory import available_memory
from services.tgi_local.adapters.shape import read_shape, shape_of
from services.tgi_local.config import DEMO_MODEL
from services.tgi_local.core.window import LEAST, WANTED, ModelShape, kv_bytes_per_token, lay_out
from tests.fakes.gguf_model import write_random_model

GIB = 2**30
shapes = st.builds(ModelShape, trained=st.integers(0, 300_000), kv_bytes=st.integers(0, 500_000))


def test_a_token_costs_a_key_and_a_value_in_every_head_of_every_layer() -> None:
    assert kv_bytes_per_token([8] * 32, 128, 128) == 131_072
    assert kv_bytes_per_token([4, 0, 4], 64, 32) == 8 * 96 * 2


def test_the_demo_models_window_is_its_own_whatever_the_memory() -> None:
    shape, template = read_shape(DEMO_MODEL)

    assert template
    assert shape == ModelShape(trained=2048, kv_bytes=2560)
    for memory in (0, GIB, 100 * GIB):
        layout = lay_out(shape, memory, slots=0, ctx=0, exact=True)
        assert (layout.slots, layout.ctx_per_slot) == (8, 2048)


def test_a_model_gets_what_it_was_trained_for_where_memory_holds_it() -> None:
    layout = lay_out(ModelShape(32_768, 18_432), 16 * GIB, slots=0, ctx=0, exact=True)

    assert (layout.slots, layout.ctx_per_slot) == (8, 32_768)


def test_slots_give_way_to_a_window_that_coding_clients_can_use() -> None:
    layout = lay_out(ModelShape(131_072, 57_344), 5 * GIB, slots=0, ctx=0, exact=True)

    assert layout.slots == 2
    assert layout.ctx_per_slot >= WANTED


def test_one_slot_without_exactness_needs_a_third_of_the_memory() -> None:
    exact = lay_out(ModelShape(10**6, 2**20), 30 * GIB, slots=1, ctx=0, exact=True)
    loose = lay_out(ModelShape(10**6, 2**20), 30 * GIB, slots=1, ctx=0, exact=False)

    assert (exact.ctx_per_slot, loose.ctx_per_slot) == (10_240, 30_720)


@given(
    shape=shapes,
    memory=st.integers(0, 64 * GIB),
    slots=st.integers(0, 127),
    ctx=st.integers(16, 10**6),
    exact=st.booleans(),
)
def test_what_is_set_is_kept(shape: ModelShape, memory: int, slots: int, ctx: int, *, exact: bool) -> None:
    assert lay_out(shape, memory, slots=slots, ctx=ctx, exact=exact).ctx_per_slot == ctx
    if slots:
        assert lay_out(shape, memory, slots=slots, ctx=0, exact=exact).slots == slots


@given(shape=shapes, memory=st.integers(0, 64 * GIB), exact=st.booleans())
def test_the_caches_stay_within_their_memory_and_the_window_within_the_models(
    shape: ModelShape, memory: int, *, exact: bool
) -> None:
    layout = lay_out(shape, memory, slots=0, ctx=0, exact=exact)

    assert layout.slots in {1, 2, 4, 8}
    assert 0 < layout.ctx_per_slot <= (shape.trained or LEAST)
    assert layout.ctx_per_slot <= LEAST or layout.context * shape.kv_bytes <= memory + 255 * (
        layout.sequences * shape.kv_bytes
    )


def test_the_shape_is_read_from_the_fields_of_the_models_architecture() -> None:
    fields = {
        "general.architecture": "gemma3",
        "gemma3.context_length": 32_768,
        "gemma3.block_count": 18,
        "gemma3.embedding_length": 640,
        "gemma3.attention.head_count": 4,
        "gemma3.attention.head_count_kv": 1,
        "gemma3.attention.key_length": 256,
        "gemma3.attention.value_length": 256,
        "llama.context_length": 4,
    }

    assert shape_of(fields) == ModelShape(32_768, 18_432)
    assert shape_of({}) == ModelShape(0, 0)
    layered = fields | {"gemma3.attention.head_count_kv": [1] * 9 + [0] * 9}
    assert shape_of(layered) == ModelShape(32_768, 9_216)


def test_a_header_is_read_without_its_vocabulary(tmp_path: Path) -> None:
    shape, template = read_shape(write_random_model(tmp_path / "m.gguf", ctx=8192))

    assert shape == ModelShape(8192, 2 * 4 * (16 + 16) * 2)
    assert template


@pytest.mark.parametrize(
    "fields",
    [
        {"a.block_count": "x"},
        {"a.block_count": 10**9},
        {"a.head_count": -1, "a.context_length": -5},
        {"a.attention.key_length": []},
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        shape_of({"general.architecture": "a"} | fields)


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """Lay out a machine with 8 GiB free, as a process in `groups` sees it."""
    for name, text in {
        "proc/meminfo": f"MemTotal: 99 kB\nMemAvailable: {8 * GIB // 1024} kB\n",
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_memory_is_the_machines_where_nothing_limits_the_process(tmp_path: Path) -> None:
    files = {"memory.current": "5\n", "a/memory.max": "max\n", "a/memory.current": "5\n"}

    assert available_memory(machine(tmp_path, "0::/a\n", files)) == 8 * GIB


def test_memory_is_what_the_tightest_group_above_leaves_and_its_file_cache_counts_as_free(
    tmp_path: Path,
) -> None:
    files = {
        "a/memory.max": f"{4 * GIB}\n",
        "a/memory.current": f"{3 * GIB}\n",
        "a/memory.stat": f"anon 7\ninactive_file {GIB}\n",
        "a/b/memory.max": f"{3 * GIB}\n",
        "a/b/memory.current": "0\n",
    }

    assert available_memory(machine(tmp_path, "0::/a/b\n", files)) == 2 * GIB


@pytest.mark.parametrize("inside", ["memory/box/", "memory/"])
def test_the_older_groups_are_read_too_also_where_a_container_sees_its_own_as_the_root(
    tmp_path: Path, inside: str
) -> None:
    files = {f"{inside}memory.limit_in_bytes": str(2 * GIB), f"{inside}memory.usage_in_bytes": str(GIB)}
    files |= {"cpu/box/cpu.shares": "1"}
    groups = "9:name=systemd:/\n4:memory:/box\n3:cpu,cpuacct:/box\n"

    assert available_memory(machine(tmp_path, groups, files)) == GIB


def test_a_group_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    files = {"memory.max": "10\n", "memory.current": "20\n"}

    assert available_memory(machine(tmp_path, "0::/\n", files)) == 0


def test_a_machine_that_tells_nothing_still_has_memory(tmp_path: Path) -> None:
    assert available_memory(tmp_path) > 0
