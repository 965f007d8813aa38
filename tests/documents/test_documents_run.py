"""Every document is followed from its beginning to its end, and then once more, on the same real kernel."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.documents.blocks import ROOT, RUNS, blocks, documents
from tests.documents.reader import Reader
from tests.documents.unrun import DOCUMENTS
from tests.fakes.fake_openai import Behaviour as OpenAiBehaviour
from tests.fakes.fake_openai import FakeOpenAi
from tests.fakes.fake_tgi import FakeTgi

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
    "token.txt": "a-token-of-the-reader",
    "draft.md": "buy tea\n",
}
"""What a reader has in the folder in which the commands are tried."""


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Run the inference servers that a reader has; return what to write in place of the documents' hosts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    openai, tgi = FakeOpenAi(OpenAiBehaviour(model="qwen3-32b", window=32_768)), FakeTgi()

    async def opened() -> None:
        await openai.start()
        await tgi.start()

    async def closed() -> None:
        await openai.stop()
        await tgi.stop()

    asyncio.run_coroutine_threadsafe(opened(), loop).result(10)
    try:
        yield {"http://host:8000": openai.url, "http://host:8080": tgi.url, " model.gguf": f" {TINY_MODEL}"}
    finally:
        asyncio.run_coroutine_threadsafe(closed(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def folder_of(document: str, scratch: Path) -> Path:
    """Return where a reader stands: in the project's folder, in the document's, or in one of the reader's own."""
    if document in ("README.md", "docs/clients.md"):
        return ROOT
    if document.startswith("examples/"):
        return (ROOT / document).parent
    for name, content in OWN_FILES.items():
        (scratch / name).write_text(content, encoding="utf-8")
    return scratch


FOLLOWED: Final = [
    document
    for document in documents()
    if document not in DOCUMENTS and any(block.language in RUNS for block in blocks(document))
]


@pytest.mark.parametrize("document", FOLLOWED)
def test_a_document_is_true_twice(
    document: str, reader: Reader, servers: dict[str, str], tmp_path: Path
) -> None:
    for again in (False, True):
        if not reader.kernel.runs:
            reader.kernel.start("make run", ROOT)
        reader.follow(blocks(document), folder_of(document, tmp_path), again=again, words=servers)
    shutil.rmtree(tmp_path, ignore_errors=True)
