"""What `aios why` prints."""

from typing import Any

import pytest

from aios.cli.queue import _explain
from aios.types.queue import Ahead, Explanation, Syscall


def printed(capsys: pytest.CaptureFixture[str], **fields: Any) -> str:
    _explain(Explanation(syscall=Syscall(name="agents/a/calls/c"), position=2, policy="fifo", **fields))
    return capsys.readouterr().out


def test_without_history_nothing_is_foretold(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, binding_limit="every slot is taken")

    assert "limit: every slot is taken" in out
    assert "expected start: no estimate yet" in out
    assert "lane against starvation: there is none for its class" in out
    assert "cached" not in out


def test_a_prediction_comes_with_its_error_and_the_cache_with_its_replica(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = printed(
        capsys,
        predicted_wait=2.5,
        prediction_error=0.3,
        prediction_count=7,
        lane_wait=20.0,
        cached_tokens=900,
        cached_replica="r1",
        ahead=(Ahead(why="it belongs to another tenant"),),
    )

    assert "expected start: 2.5 s, give or take 300 ms (mean error of 7 predictions)" in out
    assert "lane against starvation: in 20.0 s" in out
    assert "cached prefix: about 900 tokens on r1" in out
    assert "another agent's" in out


def test_a_boosted_lane_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, in_lane=True, boosted=True)

    assert "lane against starvation: it is there, and the lane has twice its share" in out
