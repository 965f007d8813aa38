"""A share belongs to the file it was given for: whoever takes the file's name later does not inherit it."""

from collections.abc import Awaitable, Callable

import pytest

from services.chassis.rpc.errors import AccessUnavailable, KernelError, PermissionDenied
from services.storage.core.history import Target
from services.storage.core.search import Search
from services.storage.core.uploading import Begin
from services.storage.model import Attributes, ChangeKind, Mode, RequestContext, Role, SearchMode, ShareGrant
from services.storage.ports import FileIndex
from services.storage.service.files import NewFile
from tests.fakes.storage import PLANNER, Kernel, call

GUEST = RequestContext(PLANNER, "critic")
"""A call of another agent in the owner's scope; access let it pass."""

Vacate = Callable[[Kernel], Awaitable[object]]


@pytest.fixture
def kernel(any_index: FileIndex) -> Kernel:
    return Kernel(index=any_index)


async def write(
    kernel: Kernel, path: str, content: bytes = b"old", who: RequestContext | None = None
) -> None:
    await kernel.service.files.write(who or call(), NewFile(path, content))


async def share(kernel: Kernel, path: str, grantee: str = "agents/critic") -> None:
    await kernel.service.sharing.share(call(), path, grantee, Role.WRITER, None)


async def read_as(kernel: Kernel, who: RequestContext, path: str) -> bytes:
    opened = await kernel.service.reading.open(PLANNER, path, version=0, offset=0, caller=who)
    stream = kernel.service.reading.stream(PLANNER, opened, offset=0, length=0)
    return b"".join([part async for part in stream])


async def move(kernel: Kernel, path: str, destination: str, who: RequestContext | None = None) -> None:
    await kernel.service.files.move(who or call(), path, destination, etag="", overwrite=True)


async def delete(kernel: Kernel, path: str, *, purge: bool = False) -> None:
    await kernel.service.files.delete(call(), path, etag="", recursive=True, missing_ok=False, purge=purge)


async def overwrite(kernel: Kernel) -> None:
    await write(kernel, "other", b"new")
    await move(kernel, "other", "d/a")


async def move_back_and_forth(kernel: Kernel) -> None:
    await move(kernel, "d/a", "elsewhere")
    await move(kernel, "elsewhere", "d/a")
    await move(kernel, "d/a", "elsewhere")


WAYS: dict[str, Vacate] = {
    "moved": lambda kernel: move(kernel, "d/a", "d/b"),
    "moved back and away again": move_back_and_forth,
    "deleted": lambda kernel: delete(kernel, "d/a"),
    "purged": lambda kernel: delete(kernel, "d/a", purge=True),
    "its directory moved": lambda kernel: move(kernel, "d", "e"),
    "its directory deleted": lambda kernel: delete(kernel, "d"),
    "overwritten by a move": overwrite,
    "moved by the guest": lambda kernel: move(kernel, "d/a", "d/b", GUEST),
}


@pytest.mark.parametrize("away", [True, False])
@pytest.mark.parametrize("way", WAYS)
async def test_the_next_file_of_a_name_is_not_shared(kernel: Kernel, way: str, *, away: bool) -> None:
    await write(kernel, "d/a")
    await share(kernel, "d/a")
    assert await read_as(kernel, GUEST, "d/a") == b"old"
    kernel.access.away = away
    await WAYS[way](kernel)
    await write(kernel, "d/a", b"new")
    kernel.access.away = False

    still = [grant for grant in kernel.access.kept if grant.resource.endswith("d/a")]
    if still:
        with pytest.raises(PermissionDenied):
            await read_as(kernel, GUEST, "d/a")
    else:
        assert not away, "access was not there to revoke anything"
    await write(kernel, "unrelated", b"the owner's next change")
    assert kernel.access.kept == [] or away, "the retry waits a little"


async def test_a_process_that_starts_anew_refuses_until_it_has_ended_the_share(
    kernel: Kernel, any_index: FileIndex
) -> None:
    await write(kernel, "a")
    await share(kernel, "a")
    kernel.access.away = True
    await move(kernel, "a", "b")
    await write(kernel, "a", b"new")
    started = Kernel(index=any_index, blobs=kernel.blobs, new_id=lambda: "another")
    started.access.kept = kernel.access.kept

    with pytest.raises(PermissionDenied):
        await read_as(started, GUEST, "a")
    await write(started, "c")
    assert started.access.kept == []
    assert await started.index.read(PLANNER, lambda tx: tx.vacated(limit=10)) == []


async def test_access_that_fails_midway_is_asked_again_for_the_rest(kernel: Kernel) -> None:
    for path in ("d/a", "d/b", "d/c"):
        await write(kernel, path)
        await share(kernel, path)
    kernel.access.revocations_left = 1
    await move(kernel, "d", "e")
    await write(kernel, "d/b", b"new")
    assert len(kernel.access.kept) == 2
    with pytest.raises(AccessUnavailable):
        await read_as(kernel, GUEST, "d/b")
    kernel.access.away, kernel.access.revocations_left = False, 10
    with pytest.raises(PermissionDenied):
        await read_as(kernel, GUEST, "d/b")
    kernel.clock.advance(10)
    await write(kernel, "unrelated")

    assert kernel.access.kept == []


async def test_whoever_holds_no_grant_from_the_name_is_let_in(kernel: Kernel) -> None:
    """Such as the owner's parent, or one that may use the directory above."""
    await write(kernel, "d/a")
    await share(kernel, "d/a", "agents/other")
    kernel.access.away = True
    await move(kernel, "d/a", "d/b")
    await write(kernel, "d/a", b"new")
    kernel.access.away = False
    above = ShareGrant("grants/d", "agents/planner/files/d/", "agents/critic", ("storage.read",), prefix=True)
    kernel.access.kept = [above]

    assert await read_as(kernel, GUEST, "d/a") == b"new"


async def test_a_share_given_anew_holds(kernel: Kernel) -> None:
    await write(kernel, "a")
    await share(kernel, "a")
    kernel.access.away = True
    await move(kernel, "a", "b")
    await write(kernel, "a", b"new")
    kernel.access.away = False
    await share(kernel, "a")
    await write(kernel, "unrelated")

    assert await read_as(kernel, GUEST, "a") == b"new"
    assert [grant.resource for grant in kernel.access.kept] == ["agents/planner/files/a"]


async def test_the_owner_uses_a_vacated_name_at_once(kernel: Kernel) -> None:
    await write(kernel, "a")
    await share(kernel, "a")
    kernel.access.away = True
    await move(kernel, "a", "b")
    await write(kernel, "a", b"new")

    assert await read_as(kernel, call(), "a") == b"new"


async def test_a_copy_and_a_rollback_keep_the_shares_of_their_target(kernel: Kernel) -> None:
    await write(kernel, "a")
    await write(kernel, "source", b"new")
    await share(kernel, "a")
    await kernel.service.files.copy(call(), (PLANNER, "source"), "a", version=0, overwrite=True, etag="")
    await kernel.service.reading.roll_back(call(), "a", Target(steps=1), etag="")

    assert await read_as(kernel, GUEST, "a") == b"old"
    assert len(kernel.access.kept) == 1


async def test_a_file_that_moves_while_it_is_shared_is_not_shared(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(kernel, "a")
    give = kernel.access.give

    async def slowly(grant: ShareGrant, *, request_id: str) -> ShareGrant:
        kernel.access.away = True
        await move(kernel, "a", "b", GUEST)
        kernel.access.away = False
        return await give(grant, request_id=request_id)

    monkeypatch.setattr(kernel.access, "give", slowly)
    with pytest.raises(KernelError):
        await share(kernel, "a")
    await write(kernel, "a", b"new")

    assert kernel.access.kept == []


async def _watch(kernel: Kernel) -> None:
    async for _ in kernel.service.watching.watch(PLANNER, "a", 0, caller=GUEST):
        return


async def _search(kernel: Kernel) -> object:
    search = Search("a", "word", SearchMode.HYBRID)
    return await kernel.service.search.search(GUEST, search, shared=False, skip=0, limit=1)


def _list(kernel: Kernel) -> Awaitable[object]:
    return kernel.service.files.list_directory(
        PLANNER, "a", recursive=True, pattern="", after="", limit=1, caller=GUEST
    )


USES: dict[str, Callable[[Kernel], Awaitable[object]]] = {
    "read": lambda k: read_as(k, GUEST, "a"),
    "stat": lambda k: k.service.files.stat(PLANNER, "a", caller=GUEST),
    "list": _list,
    "versions": lambda k: k.service.reading.versions(PLANNER, "a", before=0, limit=1, caller=GUEST),
    "compare": lambda k: k.service.reading.compare(PLANNER, "a", old=0, new=0, context=1, caller=GUEST),
    "watch": _watch,
    "search": _search,
    "write": lambda k: write(k, "a", b"mine", GUEST),
    "append": lambda k: k.service.files.write(GUEST, NewFile("a", b"mine", append=True)),
    "upload": lambda k: k.service.uploads.begin(GUEST, Begin("a", 1, Mode.ANY, "", Attributes(), "")),
    "mkdir": lambda k: k.service.files.make_directory(GUEST, "a", allow_existing=True),
    "label": lambda k: k.service.files.set_attributes(GUEST, "a", Attributes("text/plain"), [], ""),
    "move away": lambda k: move(k, "a", "z", GUEST),
    "move onto": lambda k: move(k, "x", "a", GUEST),
    "copy": lambda k: k.service.files.copy(
        RequestContext(PLANNER, "critic"), (PLANNER, "a"), "z", version=0, overwrite=False, etag=""
    ),
    "delete": lambda k: k.service.files.delete(
        GUEST, "a", etag="", recursive=False, missing_ok=False, purge=False
    ),
    "restore": lambda k: k.service.files.restore(GUEST, "a"),
    "rollback": lambda k: k.service.reading.roll_back(GUEST, "a", Target(steps=0), etag=""),
    "share on": lambda k: k.service.sharing.share(GUEST, "a", "agents/third", Role.READER, None),
}


@pytest.mark.parametrize("use", USES)
async def test_no_use_of_a_vacated_name_is_open_to_its_old_grantee(use: str) -> None:
    kernel = Kernel()
    await write(kernel, "a")
    await write(kernel, "x")
    await share(kernel, "a")
    kernel.access.away = True
    await move(kernel, "a", "b")
    await write(kernel, "a", b"new")
    kernel.access.away = False

    with pytest.raises(PermissionDenied):
        await USES[use](kernel)
    assert await read_as(kernel, call(), "a") == b"new"


async def test_another_scope_copies_nothing_by_an_old_grant(kernel: Kernel) -> None:
    await write(kernel, "a")
    await share(kernel, "a")
    kernel.access.away = True
    await move(kernel, "a", "b")
    await write(kernel, "a", b"new")
    kernel.access.away = False
    critic = RequestContext(type(PLANNER)("acme", "critic"), "critic")

    with pytest.raises(PermissionDenied):
        await kernel.service.files.copy(critic, (PLANNER, "a"), "mine", version=0, overwrite=False, etag="")
    search = Search("", "new", SearchMode.HYBRID)
    assert await kernel.service.search.search(critic, search, shared=True, skip=0, limit=5) == []


async def test_a_watch_by_a_share_ends_when_another_file_has_the_name(kernel: Kernel) -> None:
    await write(kernel, "a")
    await share(kernel, "a")
    watch = kernel.service.watching.watch(PLANNER, "a", 0, caller=GUEST)
    assert isinstance(await anext(watch), int)
    await move(kernel, "a", "b")
    seen = await anext(watch)
    assert not isinstance(seen, int)
    assert seen.kind is ChangeKind.DELETED
    kernel.access.denied.add(("storage.read", "agents/planner/files/a"))  # as access decides from now on
    await write(kernel, "a", b"new")

    with pytest.raises(PermissionDenied):
        await anext(watch)


async def test_a_later_page_of_a_search_shows_nothing_that_is_shared_no_more(kernel: Kernel) -> None:
    for number in range(6):
        await write(kernel, f"d/{number}", b"amber")
    await share(kernel, "d")
    critic = RequestContext(type(PLANNER)("acme", "critic"), "critic")
    search = Search("", "amber", SearchMode.LEXICAL)
    ranking = "f" * 32
    first = await kernel.service.search.search(critic, search, shared=True, skip=0, limit=3, ranking=ranking)
    assert len(first) == 3
    still = await kernel.service.search.search(critic, search, shared=True, skip=3, limit=3, ranking=ranking)
    assert len(still) == 3
    await kernel.service.sharing.revoke(call(), "d", "agents/critic")

    later = await kernel.service.search.search(critic, search, shared=True, skip=3, limit=3, ranking=ranking)
    assert later == []
