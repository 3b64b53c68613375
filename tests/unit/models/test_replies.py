"""Distributions over replies: reading a policy's weights, temperature, nucleus, tool choice."""

import math

import numpy as np
import pytest

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models import ToolReply
from langchain_linvit.models.replies import constrained, draw, normalised, tempered

TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("act", "look")]


def test_weights_are_normalised_and_zeros_dropped():
    assert normalised({"a": 3, "b": 0, "c": np.float32(1)}) == {"a": 0.75, "c": 0.25}


@pytest.mark.parametrize(
    "weights",
    [{}, {"a": 0}, {"a": -0.1, "b": 1}, {"a": math.nan}, {"a": math.inf}, {"a": "1"}, {1: 1.0}, "text", None, ["a"]],
    ids=str,
)
def test_what_is_no_distribution_is_one_clear_error(weights):
    with pytest.raises(InvalidSettingError, match="polic"):
        normalised(weights)


def test_temperature_scales_log_probabilities():
    hot = tempered({"a": 0.8, "b": 0.2}, 2.0, 1.0)
    assert hot == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    cold = tempered({"a": 0.8, "b": 0.2}, 1e-4, 1.0)
    assert cold == {"a": 1.0}


def test_temperature_zero_is_greedy_and_ties_go_to_the_first():
    assert tempered({"a": 0.2, "b": 0.4, "c": 0.4}, 0, 1.0) == {"b": 1.0}


def test_top_p_keeps_the_fewest_replies_that_reach_it():
    assert tempered({"a": 0.1, "b": 0.5, "c": 0.4}, 1, 0.5) == {"b": 1.0}
    assert tempered({"a": 0.1, "b": 0.5, "c": 0.4}, 1, 0.51) == pytest.approx({"b": 5 / 9, "c": 4 / 9})


def test_draw_inverts_the_cumulative_distribution():
    distribution = {"a": 0.25, "b": 0.5, "c": 0.25}
    assert [draw(distribution, u) for u in (0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53)] == list("aabbcc")
    assert draw({"a": 0.5, "b": 0.5 - 1e-9}, 1 - 1e-12) == "b"


def test_tool_replies_are_equal_by_name_arguments_and_text():
    assert ToolReply("act", {"x": 1, "y": [2]}) == ToolReply("act", {"y": [2], "x": 1})
    assert len({ToolReply("act", {"x": 1}), ToolReply("act", {"x": 1}), ToolReply("act", {"x": 2})}) == 2
    assert ToolReply("act", {"x": 1}, "why") != ToolReply("act", {"x": 1})


@pytest.mark.parametrize("value", [{1, 2}, math.nan, object()])
def test_arguments_that_are_no_json_are_refused(value):
    with pytest.raises(InvalidSettingError, match="'act'"):
        ToolReply("act", {"x": value})


def test_tool_choice_conditions_the_distribution():
    act, look = ToolReply("act"), ToolReply("look")
    distribution = {"text": 0.5, act: 0.3, look: 0.2}
    assert constrained(distribution, TOOLS, None) == distribution == constrained(distribution, TOOLS, "auto")
    assert constrained(distribution, TOOLS, "none") == {"text": 1.0}
    for any_tool in ("any", "required", True):
        assert constrained(distribution, TOOLS, any_tool) == pytest.approx({act: 0.6, look: 0.4})
    for the_tool in ("look", {"type": "function", "function": {"name": "look"}}):
        assert constrained(distribution, TOOLS, the_tool) == {look: 1.0}


def test_a_tool_choice_that_nothing_satisfies_is_an_error():
    with pytest.raises(InvalidSettingError, match=r"'fly' is no bound tool; bound are \['act', 'look'\]"):
        constrained({"text": 1.0}, TOOLS, "fly")
    with pytest.raises(InvalidSettingError, match="none of the policy's replies"):
        constrained({"text": 1.0}, TOOLS, "any")
