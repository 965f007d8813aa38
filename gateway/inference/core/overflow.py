"""Knows a server's refusal of a prompt that is too long by its words. Pure.

Where a server does not count tokens the kernel only guesses a prompt's length, and the server is the one to
say that it does not fit. No protocol has a type for that; clients that are told shorten their conversation.
"""

import re
from collections.abc import Sequence
from typing import Final

from gateway.inference.errors import BackendError, BackendInvalid, PromptOverflow

_TOO_LONG: Final = re.compile(
    r"context[ _-]?(?:length|size|window)"  # OpenAI, vLLM, SGLang, llama.cpp, LM Studio
    r"|maximum model length|prompt is too long"  # vLLM, Anthropic's words
    r"|inputs` must have less than|inputs` tokens \+ `max_new_tokens` must be",  # TGI
    re.IGNORECASE,
)


def as_overflow(error: BackendError, words: Sequence[str]) -> BackendError:
    """Return a refusal as PromptOverflow if one of its words (message, code, type) says that it is one."""
    if type(error) is BackendInvalid and any(_TOO_LONG.search(each) for each in words):
        return PromptOverflow(*error.args)
    return error
