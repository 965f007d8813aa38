"""What the length of a prompt alone says about its tokens: enough to refuse one before it is split. Pure.

No token stands for more bytes than the longest one of the vocabulary, so a text has at least its bytes
divided by those. Splitting costs time in proportion to the text; this costs next to none.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.errors import PromptTooLong
from gateway.inference.model import GenerationSpec, ReplicaInfo
from services.chassis.chat import ChatMessage, Role

LONGEST_TOKEN_BYTES: Final = 128
"""Taken for a server that does not tell its longest token. The byte-level vocabularies of GPT-2 to GPT-4o,
Llama 3 and Qwen have none that is longer: runs of blanks or of one sign. It is a setting for all others."""

_THOUGHT_END: Final = "</think>"


def check_length(spec: GenerationSpec, info: ReplicaInfo) -> None:
    """Raise PromptTooLong for a prompt that cannot fit, whatever its tokens are."""
    texts = (spec.prompt,) if spec.prompt else kept_texts(spec.messages)
    check_texts(texts, info, answer=spec.least_answer)


def check_texts(texts: Iterable[str], info: ReplicaInfo, answer: int = 0) -> None:
    """Raise PromptTooLong for texts that cannot fit beside an answer of so many tokens."""
    least = least_tokens(sum(map(_utf8, texts)), info.longest_token)
    if least + answer > info.max_total_tokens:
        raise PromptTooLong(
            f"the prompt has at least {least} tokens, the answer up to {answer}, "
            f"but model {info.model} holds {info.max_total_tokens}: shorten the prompt or ask for less",
            metadata={"prompt_tokens": str(least), "max_total_tokens": str(info.max_total_tokens)},
        )


def least_tokens(size: int, longest: int) -> int:
    """Return how many tokens so many bytes have at least; 0 where the longest token is not known."""
    return -(-size // longest) if longest else 0


def kept_texts(messages: Iterable[ChatMessage]) -> Iterator[str]:
    """Return what a chat template surely keeps of a chat.

    Templates strip the white space around contents and drop the thoughts of earlier answers.
    """
    for message in messages:
        content = message.content
        if message.role is Role.ASSISTANT:
            content = content.rpartition(_THOUGHT_END)[2]
        yield content.strip()


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
