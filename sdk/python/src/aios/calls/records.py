"""`kernel.records`: collections of small structured documents, found by fields, words or nearness."""

from collections.abc import Sequence

from aios._paging import pages
from aios._transport import Transport
from aios._wire import files as wire
from aios._wire.common import agent_name
from aios.api.storage.v1 import storage_pb2 as pb
from aios.types.files import Filter, Record, RecordHit, WriteMode
from aios.types.memory import SearchMode


class Records:
    """Puts records into an agent's collections and finds them again."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def put(
        self,
        collection: str,
        records: Sequence[Record],
        *,
        mode: WriteMode = "any",
        agent: str = "me",
        timeout: float | None = None,
    ) -> list[str]:
        """Write records, all or none, and return their etags.

        Raises AlreadyExists, NotFound, EtagMismatch.
        """
        request = pb.PutRecordsRequest(
            collection=wire.collection_name(collection, agent),
            records=[wire.record_message(record) for record in records],
            mode=wire.write_mode(mode),
        )
        return list((await self._transport.call(request, pb.PutRecordsResponse, timeout=timeout)).etags)

    async def query(
        self,
        collection: str,
        query: str = "",
        *,
        keys: Sequence[str] = (),
        filters: Sequence[Filter] = (),
        vector: Sequence[float] = (),
        mode: SearchMode = "hybrid",
        min_score: float = 0.0,
        include_vectors: bool = False,
        limit: int | None = 100,
        agent: str = "me",
        timeout: float | None = None,
    ) -> list[RecordHit]:
        """Return the records that pass every filter: by key, or nearest to a text or vector first.

        Raises InvalidRequest for an unusable query. `timeout` bounds each page.
        """

        async def page(token: str) -> tuple[list[RecordHit], str]:
            request = pb.QueryRecordsRequest(
                collection=wire.collection_name(collection, agent),
                keys=keys,
                filters=[wire.filter_message(one) for one in filters],
                query=query,
                vector=vector,
                mode=wire.search_mode(mode),
                min_score=min_score,
                include_vectors=include_vectors,
                page_size=100,
                page_token=token,
            )
            response = await self._transport.call(request, pb.QueryRecordsResponse, timeout=timeout)
            return [wire.record_hit(hit) for hit in response.hits], response.next_page_token

        return await pages(page, limit)

    async def delete(
        self,
        collection: str,
        *,
        keys: Sequence[str] = (),
        filters: Sequence[Filter] = (),
        everything: bool = False,
        agent: str = "me",
        timeout: float | None = None,
    ) -> int:
        """Delete records by key, those that pass every filter, or `everything`; return how many went."""
        request = pb.DeleteRecordsRequest(
            collection=wire.collection_name(collection, agent),
            keys=keys,
            filters=[wire.filter_message(one) for one in filters],
            all=everything,
        )
        return (await self._transport.call(request, pb.DeleteRecordsResponse, timeout=timeout)).deleted_count

    async def collections(self, *, agent: str = "me", timeout: float | None = None) -> list[str]:
        """Return the names of the agent's collections."""

        async def page(token: str) -> tuple[list[str], str]:
            request = pb.ListCollectionsRequest(parent=agent_name(agent), page_size=200, page_token=token)
            response = await self._transport.call(request, pb.ListCollectionsResponse, timeout=timeout)
            return [one.name.rsplit("/", 1)[-1] for one in response.collections], response.next_page_token

        return await pages(page, None)
