"""Trains the tokenizer: byte-level BPE with the qwen2 split, built so that words copy well.

A word must get the same tokens wherever it stands (after a space, a quotation mark, a bracket), else
a small model cannot copy words it never saw. So merges never join a letter with what is no letter,
but for a leading space before the commonest words of the phrasings.

    python -m services.tgi_local.demo_model.tokenizer tokenizer.json
"""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from services.tgi_local.demo_model.chat import CALL_CLOSE, CALL_OPEN, IM_END, IM_START, PAD, render
from services.tgi_local.demo_model.generate import conversations
from services.tgi_local.demo_model.phrases import ASK, QUESTION, TASK_OPENERS
from services.tgi_local.demo_model.scenes import CHAIN, DESCRIPTIONS, SYSTEM, TALK

QWEN2_SPLIT = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIALS = (PAD, IM_START, IM_END)
MARKERS = (CALL_OPEN, CALL_CLOSE)
PUNCTUATION_MERGES = (
    ("Ġ", '"'),
    ('"', ":"),
    ('"', ","),
    ("{", '"'),
    ("Ġ", '{"'),
    ("}", "}"),
    ('"', "}}"),
    ("Ċ", "Ċ"),
)
SPACE = "Ġ"
SIGNS = ("+", "-", "*", "/", "(")
"""Joined to the space before, so that the token after a number says which sign follows."""


SPOKEN_SIGNS = ("plus", "minus", "times", "divided", "multiplied", "permission", "denied")


def byte_alphabet() -> list[str]:
    """Return the 256 printable stand-ins of the byte-level alphabet, in byte order."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in kept}
    table |= {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in table)}
    return [table[b] for b in range(256)]


def word_counts(samples: int, seed: int) -> Counter[str]:
    """How often each run of letters occurs in generated conversations; made-up words fall off the end."""
    counts: Counter[str] = Counter()
    for talk in islice(conversations(seed), samples):
        counts.update(re.findall(r"[A-Za-z]+", render(talk.messages())))
    return counts


def letter_merges(counts: Counter[str], number: int) -> list[tuple[str, str]]:
    """Classic BPE over words: the most frequent neighbouring pair is joined, `number` times."""
    words = {tuple(word): count for word, count in counts.items()}
    merges = []
    for _ in range(number):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = {_joined(word, best): count for word, count in words.items()}
    return merges


def _joined(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for symbol in word:
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return tuple(out)


def phrase_words() -> Counter[str]:
    """Words of the phrasings that follow a space."""
    texts = [t for bank in (ASK, QUESTION, CHAIN, DESCRIPTIONS) for group in bank.values() for t in group]
    texts += [text for group in TALK.values() for pair in group for text in pair]
    texts += [
        *SYSTEM,
        *TASK_OPENERS,
        "The answer is",
        "a call to a tool several calls may follow one another",
        "Done, I noted wrote says",
    ]
    texts += ["(expression: string) (query: string) (key: string, value: string, path: string)"]
    texts += [" content: string, agent: string, to: number"]
    return Counter(
        word for text in texts for word in re.findall(r"(?<= )[A-Za-z]+", re.sub(r"\{\w+\}", "{}", text))
    )


def build(base: Sequence[str], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    """Assemble a tokenizer of the base tokens and what the merges make of them."""
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*base, *(a + b for a, b in merges)]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=list(merges)))
    split = pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in MARKERS])
    return tokenizer


def completed(
    base: Sequence[str], merges: Sequence[tuple[str, str]], words: Sequence[str]
) -> list[tuple[str, str]]:
    """Extend the merges so that they make each word one token, with and without a space before."""
    out = list(merges)
    for text in [form for word in words for form in (word, f" {word}")]:
        pieces = build(base, out).encode(text).tokens
        while len(pieces) > 1:
            # Joined from the end, so that the space comes last and the bare word stays a token of its own.
            out.append((pieces[-2], pieces[-1]))
            pieces[-2:] = [pieces[-2] + pieces[-1]]
    return out


def train(vocab_size: int = 800, words: int = 150, samples: int = 4000) -> Tokenizer:
    """Train the tokenizer: `vocab_size` tokens by frequency, then whole words of the phrasings on top."""
    base = [*SPECIALS, *MARKERS, *byte_alphabet()]
    counts = word_counts(samples, seed=11)
    common = Counter({word: count for word, count in counts.items() if count >= samples // 200})
    room = vocab_size - len(base) - len(PUNCTUATION_MERGES)
    merges = [*letter_merges(common, room), *PUNCTUATION_MERGES]
    chosen = [word for word, _ in phrase_words().most_common(words)]
    return build(base, completed(base, merges, [*SIGNS, *SPOKEN_SIGNS, *chosen]))


if __name__ == "__main__":
    made = train()
    made.save(sys.argv[1])
    print(made.get_vocab_size(), "tokens")
