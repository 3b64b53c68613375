"""The tokens of simulated models: how texts are split and counted, and exact log-probabilities.

A text is split into words with the space before them, single punctuation marks, and other white space.
A reply is a sequence of tokens with an end: the `END` token for a text, the call itself for a tool
call. Every token's probability is the mass of all replies that go on that way over the mass of those that
begin the same way; so the product over a reply's tokens is the reply's probability, exactly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_TOKEN = re.compile(r" ?\w+| ?[^\w\s]|\s+")

END = ""
"""The token that ends a text; empty, so that the tokens of a reply still join to its text."""

TokenSequence = tuple[str, ...]


def tokenize(text: str) -> list[str]:
    """Split `text` into tokens, which join to `text` again."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens `text` has."""
    return _TOKEN.subn("", text)[1]  # faster than a list of them


def conditional_masses(
    sequences: Mapping[TokenSequence, float], tokens: Sequence[str]
) -> Iterable[tuple[str, dict[str, float]]]:
    """For every one of `tokens`, the probabilities of all tokens that may stand in its place.

    Args:
        sequences: The mass of every token sequence that the model may write.
        tokens: One of these sequences, or the beginning of one.

    Yields:
        The token, and the probability of every possible token given those before it. A token that no
        sequence has there is missing from them, and nothing is possible after it.
    """
    alive = dict(sequences)
    for position, token in enumerate(tokens):
        masses: dict[str, float] = {}
        for sequence, mass in alive.items():
            if position < len(sequence):
                masses[sequence[position]] = masses.get(sequence[position], 0.0) + mass
        total = math.fsum(masses.values())
        yield token, {each: mass / total for each, mass in masses.items()}
        alive = {s: mass for s, mass in alive.items() if position < len(s) and s[position] == token}


def logprobs_content(sequences: Mapping[TokenSequence, float], tokens: Sequence[str], top: int) -> list[dict[str, Any]]:
    """The log-probabilities of `tokens` in OpenAI's format, natural logarithms.

    Returns:
        One entry a token: `token`, `bytes`, `logprob`, and `top_logprobs` with the `top` most probable
        tokens of that place, most probable first.
    """
    content = []
    for token, masses in conditional_masses(sequences, tokens):
        best = sorted(masses.items(), key=lambda item: -item[1])[:top]
        entry = _entry(token, masses[token])
        entry["top_logprobs"] = [_entry(other, probability) for other, probability in best]
        content.append(entry)
    return content


def _entry(token: str, probability: float) -> dict[str, Any]:
    return {"token": token, "bytes": list(token.encode(errors="replace")), "logprob": min(0.0, math.log(probability))}
