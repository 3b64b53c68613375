"""Tokens join to their text, and their log-probabilities multiply to the text's probability."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_linvit.models.tokens import END, conditional_masses, count_tokens, logprobs_content, tokenize

WORDS = st.lists(st.sampled_from(["go", " up", " down", ".", "\n", " 12"]), max_size=5).map(tuple)


@given(st.text(max_size=80))
def test_tokens_join_to_the_text(text):
    assert "".join(tokenize(text)) == text
    assert count_tokens(text) == len(tokenize(text))
    assert END not in tokenize(text)


def test_words_keep_the_space_before_them():
    assert tokenize("Action: move b1  onto b2.\n\nDone") == [
        *("Action", ":", " move", " b1", "  ", "onto", " b2", ".", "\n\n", "Done")
    ]


@given(st.dictionaries(WORDS.map(lambda words: (*words, END)), st.floats(0.01, 10), min_size=1, max_size=8))
def test_the_product_over_tokens_is_the_mass_of_the_text(weights):
    total = sum(weights.values())
    for sequence, weight in weights.items():
        content = logprobs_content(weights, sequence, top=20)
        assert math.exp(sum(entry["logprob"] for entry in content)) == pytest.approx(weight / total)
        for entry in content:
            alternatives = [other["logprob"] for other in entry["top_logprobs"]]
            assert sum(map(math.exp, alternatives)) == pytest.approx(1)
            assert alternatives == sorted(alternatives, reverse=True)


def test_each_token_is_conditional_on_those_before_it():
    masses = {("a", "b", END): 0.2, ("a", "c", END): 0.6, ("d", END): 0.2}
    found = list(conditional_masses(masses, ("a", "c", END)))
    assert [token for token, _ in found] == ["a", "c", END]
    assert found[0][1] == pytest.approx({"a": 0.8, "d": 0.2})
    assert found[1][1] == pytest.approx({"b": 0.25, "c": 0.75})
    assert found[2][1] == {END: 1.0}


def test_entries_are_in_openai_s_format():
    [entry, _] = logprobs_content({("é", END): 3.0, ("b", END): 1.0}, ("é", END), top=1)
    assert entry == {
        "token": "é",
        "bytes": [195, 169],
        "logprob": pytest.approx(math.log(0.75)),
        "top_logprobs": [{"token": "é", "bytes": [195, 169], "logprob": pytest.approx(math.log(0.75))}],
    }
