"""Rules that a model writes: what they are worth, and how hostile ones are turned away."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_values import always, caller, leaf
from worlds import walker_model

from langchain_linvit.calls import drive
from langchain_linvit.errors import InvalidSettingError, ModelCallError
from langchain_linvit.models import ScriptedChatModel
from langchain_linvit.priors import MAX_JSON_STARTS
from langchain_linvit.rules import MAX_DEPTH, MAX_RULES, RuleSet, RuleValue

RULES = {
    "rules": [
        {"weight": 3, "when": {"contains": "Cell 1"}},
        {"weight": 1, "when": {"all": [{"contains": "you"}, {"not": {"contains": "cell 2"}}]}},
        {"weight": 2, "when": {"any": [{"contains": "cell 2"}, {"contains": "cell 3"}]}},
    ]
}


def rule(when, weight=1):
    return json.dumps({"rules": [{"weight": weight, "when": when}]})


def nested(depth):
    condition = {"contains": "x"}
    for _ in range(depth - 1):
        condition = {"not": condition}
    return condition


def test_the_value_is_the_weighted_share_that_holds_whatever_the_case():
    rules = RuleSet.parse(json.dumps(RULES))
    assert rules.value("you are in CELL 1") == pytest.approx(4 / 6)
    assert rules.value("you are in cell 2") == pytest.approx(2 / 6)
    assert rules.value("") == 0


@pytest.mark.parametrize(
    ("when", "text", "holds"),
    [
        ({"contains": "a b"}, "A B", True),
        ({"contains": "."}, "no regular expression", False),
        ({"all": [{"contains": "a"}, {"contains": "b"}]}, "a", False),
        ({"any": [{"contains": "a"}, {"contains": "b"}]}, "b", True),
        ({"not": {"contains": "a"}}, "b", True),
        ({"not": {"not": {"contains": "a"}}}, "a", True),
    ],
)
def test_every_kind_of_condition(when, text, holds):
    assert RuleSet.parse(rule(when)).value(text) == float(holds)


def test_rules_are_found_in_the_midst_of_an_answer():
    assert RuleSet.parse(f"Here they are:\n```json\n{rule({'contains': 'x'})}\n```\nDone.").value("x") == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no rules",
        "{}",
        "[]",
        '{"rules": []}',
        '{"rules": "all"}',
        '{"rules": [3]}',
        '{"rules": [{"weight": 1}]}',
        '{"rules": [{"weight": 1, "when": "x"}]}',
        rule({"contains": ""}),
        rule({"contains": 3}),
        rule({"contains": "x" * 501}),
        rule({"contains": "x", "not": {"contains": "y"}}),
        rule({"matches": ".*"}),
        rule({"eval": "__import__('os')"}),
        rule({"all": []}),
        rule({"all": {"contains": "x"}}),
        rule({"any": [{"contains": "x"}] * (MAX_RULES + 1)}),
        rule({}),
        rule(None),
        rule({"contains": "x"}, weight=0),
        rule({"contains": "x"}, weight=-1),
        rule({"contains": "x"}, weight="much"),
        rule({"contains": "x"}, weight=1e308),
        '{"rules": [{"weight": NaN, "when": {"contains": "x"}}]}',
        '{"rules": [{"weight": Infinity, "when": {"contains": "x"}}]}',
        json.dumps({"rules": [{"weight": 1, "when": {"contains": "x"}}] * (MAX_RULES + 1)}),
        json.dumps({**RULES, "code": "import os"}),
        rule(nested(MAX_DEPTH + 20)),
        rule({"contains": "x"}) [:-3],
    ],
)  # fmt: skip
def test_what_is_no_rule_is_an_error_in_one_line(text):
    with pytest.raises(ValueError, match=r"\w") as caught:
        RuleSet.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    [
        '{"rules": [' * 5_000,
        rule("X").replace('"X"', '{"not":' * 2_800),
        "[" * 20_000,
        "x" * 20_000,
        '"' * 20_000,
        "```json\n" * 2_500,
        '{"' + "k" * 19_000 + '": 1}',
        '{"rules": [' + "1," * 9_900 + "x",
    ],
)
def test_hostile_text_is_turned_away_after_few_attempts(text, monkeypatch):
    attempts = []

    class Counting(json.JSONDecoder):
        def raw_decode(self, *arguments):
            attempts.append(arguments)
            return super().raw_decode(*arguments)

    monkeypatch.setattr(json, "JSONDecoder", Counting)
    with pytest.raises(ValueError, match=r"\w") as caught:
        RuleSet.parse(text)
    assert len(str(caught.value)) < 400
    assert len(attempts) <= MAX_JSON_STARTS


def test_conditions_may_nest_as_deep_as_is_said():
    assert RuleSet.parse(rule(nested(MAX_DEPTH))).value("x") in {0.0, 1.0}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rules", "weight", "when", "contains", "all", "any", "not"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(JSON, st.text(max_size=20))
def test_any_data_gives_a_value_in_range_or_an_error(data, state):
    try:
        value = RuleSet.parse(json.dumps(data)).value(state)
    except ValueError:
        return
    assert 0 <= value <= 1


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=MAX_RULES))
def test_all_that_hold_are_worth_1_whatever_the_weights(weights):
    rules = [{"weight": weight, "when": {"contains": "x"}} for weight in weights]
    assert RuleSet.parse(json.dumps({"rules": rules})).value("x") == pytest.approx(1)


# the estimator


def test_rules_are_written_once_per_task_and_value_every_leaf():
    value = RuleValue().bound_to(None, ScriptedChatModel(replies=[json.dumps(RULES)]))
    prepared = drive(value.prepare(leaf().situation, caller()))
    assert json.loads(json.dumps(prepared)) == prepared
    first, second = drive(value.estimate([leaf(at=1), leaf(at=2)], caller(), prepared))
    assert (first.value, second.value) == pytest.approx((4 / 6, 2 / 6))
    assert first.source == "llm_rules"


def test_unusable_rules_are_asked_for_once_more():
    model = ScriptedChatModel(replies=["no", json.dumps(RULES)])
    assert "rules" in drive(RuleValue(model).prepare(leaf().situation, caller()))
    assert len(model.requests) == 2


def test_without_usable_rules_every_estimate_says_why():
    value = RuleValue(always("no"))
    prepared = drive(value.prepare(leaf().situation, caller()))
    [estimate] = drive(value.estimate([leaf()], caller(), prepared))
    assert estimate.value == 0
    assert estimate.error == "the model wrote no usable rules: no JSON object in the answer 'no'"
    [unprepared] = drive(value.estimate([leaf()], caller(), {}))
    assert unprepared.error == "no rules were prepared"


def test_rules_need_a_model_that_answers():
    with pytest.raises(InvalidSettingError, match="no model to write them"):
        drive(RuleValue().prepare(leaf().situation, caller()))
    with pytest.raises(ModelCallError):
        drive(RuleValue(walker_model(failure_rate=1.0)).prepare(leaf().situation, caller()))
