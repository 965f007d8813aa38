"""Several replicas: a call goes where its prompt is cached, unless the load says otherwise."""

from services.scheduler.core.admission import invalid
from services.scheduler.core.events import BackendDown, BackendLimits, BackendUp, Progress
from services.scheduler.core.prefix_cache import PrefixMap
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import Prefix
from tests.fakes.scheduling import MODEL, Desk, call, desk


def told(*lengths: int, of: str = "p") -> tuple[Prefix, ...]:
    """Tell the parts of a prompt as the gateway does, one conversation by name."""
    return tuple(Prefix(f"{of}{length}", length) for length in lengths)


def step(d: Desk, name: str, *lengths: int, of: str = "p") -> str:
    """Submit a call with this prompt; returns where it went."""
    d.submit(name, prompt_tokens=lengths[-1], prefixes=told(*lengths, of=of), program=of)
    return d.grants[-1].replica


def test_the_next_step_goes_where_the_prompt_before_it_is() -> None:
    d = desk(slots=4, replicas=3)
    for agent in ("a", "b", "c"):
        step(d, f"{agent}0", 100, 1000, of=agent)
    homes = [grant.replica for grant in d.grants]
    for agent in ("c", "a", "b"):
        assert step(d, f"{agent}1", 100, 1000, 1200, of=agent) == homes["abc".index(agent)]

    assert sorted(homes) == ["r0", "r1", "r2"]


def test_a_fork_goes_where_its_parents_prompt_is() -> None:
    d = desk(slots=4, replicas=2)
    step(d, "other", 3000, of="other")
    home = step(d, "parent", 100, 2000)
    d.submit("fork", prompt_tokens=2100, prefixes=told(100, 2000, 2100), program="child")

    assert d.grants[-1].replica == home


def test_a_full_replica_is_passed_over() -> None:
    d = desk(slots=1, replicas=2)
    home = step(d, "a0", 1000)
    away = step(d, "a1", 1000, 1100)

    assert away != home


def test_load_weighs_more_than_a_small_prefix() -> None:
    d = desk(slots=16, replicas=2)
    home = step(d, "a0", 40)
    d.tell(BackendDown("r1" if home == "r0" else "r0"))
    for n in range(12):
        step(d, f"load{n}", 500, of=f"load{n}")
    other = "r1" if home == "r0" else "r0"
    d.tell(BackendUp(other, MODEL, 16, 100_000))

    assert step(d, "a1", 40, 60) == other


def test_a_long_prefix_weighs_more_than_a_little_load() -> None:
    d = desk(slots=16, replicas=2)
    home = step(d, "a0", 8000)
    other = "r1" if home == "r0" else "r0"
    step(d, "b0", 8000, of="b")

    assert {grant.call_id: grant.replica for grant in d.grants}["b0"] == other
    assert step(d, "a1", 8000, 8100) == home


def test_calls_of_a_dead_replica_go_on_elsewhere_and_it_gets_calls_again_after_its_return() -> None:
    d = desk(slots=4, replicas=2)
    home = step(d, "a0", 1000)
    other = "r1" if home == "r0" else "r0"
    d.tell(BackendDown(home))
    meanwhile = step(d, "a1", 1000, 1100)
    d.tell(BackendUp(home, MODEL, 4, 100_000))
    for n in range(3):
        step(d, f"b{n}", 900, of=f"b{n}")

    assert meanwhile == other
    assert home in [grant.replica for grant in d.grants[2:]]


def test_a_prompt_told_in_full_is_not_taken_for_an_extension_of_its_programs_last() -> None:
    """An agent with two conversations at once."""
    d = desk(slots=4)
    d.submit("a", prompt_tokens=1000, prefixes=told(1000, of="x"), program="p")
    d.submit("b", prompt_tokens=1500, prefixes=told(1500, of="y"), program="p")
    d.submit("c", prompt_tokens=1500, program="p")
    for name, expected in (("b", 0), ("c", 1499)):
        assert d.core.explain(name, 0.0).cached_tokens == expected


def test_a_conversation_that_grows_is_counted_once() -> None:
    """Each step tells other parts of it; the cache holds the whole only once."""
    cache = PrefixMap(capacity=12_000)
    for n in range(40):
        lengths = [100, *(100 + 250 * at for at in range(max(1, n - 3), n + 1)), 100 + 250 * (n + 1)]
        made = call(f"c{n}", prompt_tokens=lengths[-1], prefixes=told(*lengths), program="p")
        assert not invalid(made)
        cache.prefilled(ScheduledCall(made, n, 0.0))
    probe = call("probe", prompt_tokens=5000, prefixes=told(100, 5000, of="p"))

    assert cache.cached(ScheduledCall(probe, 99, 0.0)) == 100


def test_a_beginning_that_many_share_outlives_their_ends() -> None:
    cache = PrefixMap(capacity=3000)
    for n in range(20):
        made = call(f"c{n}", prompt_tokens=600, prefixes=(Prefix("head", 200), Prefix(f"tail{n}", 600)))
        cache.prefilled(ScheduledCall(made, n, 0.0))

    first = call("x", prompt_tokens=600, prefixes=(Prefix("head", 200), Prefix("tail0", 600)))
    last = call("y", prompt_tokens=600, prefixes=(Prefix("head", 200), Prefix("tail19", 600)))
    assert cache.cached(ScheduledCall(first, 98, 0.0)) == 200
    assert cache.cached(ScheduledCall(last, 99, 0.0)) == 599


def test_a_reported_miss_lowers_what_is_expected_there() -> None:
    d = desk(slots=4)
    step(d, "a0", 1000)
    step(d, "a1", 1000, 1100)
    before = d.core.explain("a1", 0.0).cached_tokens
    d.tell(Progress("a1", 1, cached_tokens=0))
    step(d, "a2", 1000, 1100, 1200)

    assert before == 1000
    assert d.core.explain("a2", 0.0).cached_tokens < 1100


def test_a_backend_whose_queue_is_seen_twice_gets_fewer_calls() -> None:
    d = desk(slots=10, replicas=2)
    for _ in range(2):
        d.tell(BackendLimits("r0", queue_size=2))
    for n in range(30):
        d.submit(f"c{n}")

    assert [sum(grant.replica == name for grant in d.grants) for name in ("r0", "r1")] == [9, 10]


AFFINITY = Prefix("affinity", 0)


def attracted(d: Desk, name: str, of: str, tokens: int = 2000) -> str:
    """Submit a call with the affinity and a prompt of its own; returns where it went."""
    d.submit(name, prompt_tokens=tokens, prefixes=(AFFINITY, *told(tokens, of=of)), program=of)
    return d.grants[-1].replica


def test_calls_with_one_affinity_go_to_one_replica_although_their_prompts_differ() -> None:
    d = desk(slots=4, replicas=3)
    home = attracted(d, "a", "a")
    d.finish("a")
    others = []
    for name in ("b", "c", "d"):
        others.append(attracted(d, name, name))
        d.finish(name)
    without = step(d, "e", 2000, of="e")

    assert others == [home] * 3
    assert without != home


def test_an_affinity_is_a_preference_that_load_and_full_slots_overrule() -> None:
    full, busy = desk(slots=1, replicas=2), desk(slots=16, replicas=2)
    home = attracted(full, "a", "a")
    assert attracted(full, "b", "b") != home

    home = attracted(busy, "a", "a")
    busy.tell(BackendDown("r1" if home == "r0" else "r0"))
    for n in range(12):
        step(busy, f"load{n}", 500, of=f"load{n}")
    busy.tell(BackendUp("r1" if home == "r0" else "r0", MODEL, 16, 100_000))
    assert attracted(busy, "b", "b") != home


def test_a_real_beginning_weighs_more_than_an_affinity() -> None:
    d = desk(slots=4, replicas=2)
    home = step(d, "a0", 8000)
    d.finish("a0")
    elsewhere = attracted(d, "b0", "b", tokens=100)
    d.finish("b0")
    d.submit("a1", prompt_tokens=8100, prefixes=(AFFINITY, *told(8000, 8100)), program="p")

    assert elsewhere != home
    assert d.grants[-1].replica == home


def test_an_affinity_is_taken_for_no_cached_and_no_shared_tokens() -> None:
    cache = PrefixMap(10_000)
    job = ScheduledCall(
        call("a", prompt_tokens=500, prefixes=(AFFINITY, Prefix("x", 500)), program="a"), 0, 0.0
    )
    other = ScheduledCall(
        call("b", prompt_tokens=500, prefixes=(AFFINITY, Prefix("y", 500)), program="b"), 1, 0.0
    )
    cache.prefilled(job)

    assert cache.attracts(other)
    assert cache.cached(other) == 0
    assert cache.held == 500


def test_only_the_newest_affinities_are_remembered() -> None:
    cache = PrefixMap(10_000)
    jobs = [
        ScheduledCall(call(str(n), prefixes=(Prefix(f"affinity{n}", 0),), program="a"), n, 0.0)
        for n in range(5_000)
    ]
    for job in jobs:
        cache.prefilled(job)

    assert not cache.attracts(jobs[0])
    assert cache.attracts(jobs[-1])
    assert len(cache._affinities) == 4096
    assert len(cache._entries) == 1
