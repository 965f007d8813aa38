"""A model of a longer context gets a longer window, and uses it."""

from pathlib import Path

from tests.fakes.gguf_model import write_random_model
from tests.fakes.tgi_local import http, tgi_local

TRAINED = 6144
PROMPT = "a" * 4000
"""Longer than the demo model's window: a token a byte."""


async def test_the_window_is_the_models_and_is_filled_and_cut_without_a_change(tmp_path: Path) -> None:
    model = write_random_model(tmp_path / "m.gguf", width=16, layers=1, ctx=TRAINED)
    async with tgi_local(model, tmp_path / "data", slots=0, ctx=0) as server, http(server) as client:
        info = await (await client.get("/info")).json()
        body = {"inputs": PROMPT, "parameters": {"max_new_tokens": 24, "details": True}}
        whole = await (await client.post("/generate", json=body)).json()
        ids = [token["id"] for token in whole["details"]["tokens"]]
        prompt = [token["id"] for token in await (await client.post("/tokenize", json=body)).json()]
        resumed = body | {
            "parameters": {"max_new_tokens": 12, "details": True},
            "aios": {"prompt_ids": prompt + ids[:12], "produced": 12},
        }
        rest = await (await client.post("/generate", json=resumed)).json()

    assert (info["max_total_tokens"], info["aios"]["slots"]) == (TRAINED, 8)
    assert [token["id"] for token in rest["details"]["tokens"]] == ids[12:]
