"""What a backend is asked for in the next run of a generation."""

import secrets
from dataclasses import replace

from gateway.inference.core import prompt_plan
from gateway.inference.model import BackendRequest, Constraint, ReplicaInfo
from gateway.inference.service.generation import Generation


def next_request(
    gen: Generation,
    replica: str,
    info: ReplicaInfo,
    *,
    constraint: Constraint | None,
    max_tokens: int,
    limit: int,
) -> BackendRequest:
    """Describe the next run, of at most `limit` tokens unless 0; `max_tokens`: of the whole answer."""
    spec = gen.spec
    kv = gen.kv if gen.kv is not None and gen.kv.replica == replica else None
    ids = tuple(gen.transcript.token_ids)
    # The ids tell what of the prompt is a special token and what only looks like one; a text does not.
    known = gen.prompt_ids or gen.prompt.ids
    goes_on = prompt_plan.can_continue(gen.prompt, constraint, gen.transcript.text, info)
    with_ids = bool(known and info.capabilities.token_prompts)
    left = max_tokens - (len(ids) if goes_on else 0)
    # What starts over needs room for all that it has produced before.
    partial = 0 < limit < left and (goes_on or not ids)
    overflows = prompt_plan.may_overflow(gen.prompt, max_tokens, info)
    return BackendRequest(
        run_id=secrets.token_hex(16),  # new: the run before may not have noticed yet that it ended
        prompt=gen.prompt,
        prompt_ids=known if with_ids else (),
        emitted_text=gen.transcript.text if goes_on else "",
        emitted_ids=ids if with_ids and goes_on else (),
        kv_handle=kv.handle if kv is not None else "",
        max_new_tokens=limit if partial else left,
        partial=partial,
        open_ended=overflows and spec.fit_max_tokens and not partial,
        sampling=replace(spec.sampling, seed=gen.seed),
        stop=spec.stop,
        constraint=constraint,
        top_alternatives=spec.top_alternatives,
        logprobs=spec.logprobs,
        tool_choice=spec.tool_choice,
        tool_choice_name=spec.tool_choice_name,
        max_tool_calls=spec.max_tool_calls,
    )
