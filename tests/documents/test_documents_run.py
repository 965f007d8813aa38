"""Every document is followed from its beginning to its end, and then once more, on the same real kernel."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.documents.blocks import PYTHON, ROOT, RUNS, blocks, documents
from tests.documents.conftest import environment
from tests.documents.reader import Kernel, Reader, exact, reason_against
from tests.documents.unrun import DOCUMENTS, NOT_PLAYED
from tests.fakes.fake_openai import Behaviour, FakeOpenAi
from tests.fakes.fake_tgi import FakeTgi
from tests.fakes.scripted import ScriptedModel, pieces

TINY_MODEL: Final = ROOT / "services/tgi_local/demo_model/aios-demo.gguf"
PET_STORE: Final = """\
openapi: 3.0.3
info: {title: Pets, version: "1"}
paths:
  /pets:
    get: {operationId: listPets, summary: Lists pets., responses: {"200": {description: The pets.}}}
"""
OWN_FILES: Final = {
    "petstore.yaml": PET_STORE,
    "token.txt": "the-token-of-a-reader",
    "draft.md": "buy tea\n",
}
"""What a reader has in the folder in which the commands are tried."""


@pytest.fixture(scope="module")
def loop_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """Run the loop in which the inference servers live, while the tests wait for commands."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def servers(loop_thread: asyncio.AbstractEventLoop) -> Iterator[dict[str, str]]:
    """Run the inference servers that a reader has; return what to write in place of the documents' hosts."""
    openai, tgi = FakeOpenAi(Behaviour(model="qwen3-32b", window=32_768)), FakeTgi()

    async def opened() -> None:
        await openai.start()
        await tgi.start()

    async def closed() -> None:
        await openai.stop()
        await tgi.stop()

    asyncio.run_coroutine_threadsafe(opened(), loop_thread).result(10)
    yield {"http://host:8000": openai.url, "http://host:8080": tgi.url, " model.gguf": f" {TINY_MODEL}"}
    asyncio.run_coroutine_threadsafe(closed(), loop_thread).result(10)


def folder_of(document: str, scratch: Path) -> Path:
    """Return where a reader stands: in the project, in the document's folder, or in an own one."""
    if document in ("README.md", "docs/clients.md"):
        return ROOT
    if document.startswith("examples/"):
        return (ROOT / document).parent
    for name, content in OWN_FILES.items():
        (scratch / name).write_text(content, encoding="utf-8")
    return scratch


class PlayedModel(ScriptedModel):
    """A model that says what a document has it say, one reply a request, and echoes after that."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[str | dict[str, Any]] = []

    def behaviour_for(self, body: dict[str, Any]) -> Behaviour:
        """Take the next reply."""
        reply = self.replies.pop(0) if self.replies else f"echo: {body['messages'][-1]['content']}"
        if isinstance(reply, str):
            return replace(self.behaviour, pieces=pieces(reply), tool_calls=[])
        calls = [(name, json.dumps(arguments)) for name, arguments in reply["calls"]]
        return replace(self.behaviour, pieces=[], tool_calls=calls)


FOLLOWED: Final = [
    document
    for document in documents()
    if document not in DOCUMENTS and any(block.language in RUNS for block in blocks(document))
]


PLAYED: Final = [
    block
    for block in blocks("sdk/python/README.md")
    if block.language == PYTHON and block.output and not reason_against(block)
    if not any(part in block.text for part in NOT_PLAYED)
]


@pytest.mark.parametrize("document", FOLLOWED)
def test_a_document_is_true_twice(
    document: str, reader: Reader, servers: dict[str, str], tmp_path: Path
) -> None:
    for again in (False, True):
        if not reader.kernel.runs:
            reader.kernel.start("make run", ROOT)
        reader.follow(blocks(document), folder_of(document, tmp_path), again=again, words=servers)


def test_with_the_models_words_the_examples_print_exactly_what_is_shown(
    tmp_path: Path, loop_thread: asyncio.AbstractEventLoop
) -> None:
    words = environment(tmp_path)
    model = PlayedModel()
    asyncio.run_coroutine_threadsafe(model.start(), loop_thread).result(10)
    kernel = Kernel(words, tmp_path / "kernel.log")
    try:
        kernel.start(f"aios up --openai {model.url}", ROOT)
        played = Reader(kernel, words, tmp_path)
        for block in [*PLAYED, *PLAYED]:
            model.replies = block.replies
            assert played.python(block, tmp_path) == exact(block.output), block.place
            assert not model.replies, block.place
    finally:
        kernel.stop()
        asyncio.run_coroutine_threadsafe(model.stop(), loop_thread).result(10)
