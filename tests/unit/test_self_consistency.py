"""Whole attempts rated by agreement: several ways to one result speak for it, as in the planner's search."""

import pytest

from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode import SqlEnvironment
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation import BestOfN, Reflexion, judged
from langchain_linvit.models import PolicyChatModel
from langchain_linvit.prompts import request_kind
from langchain_linvit.values import AgreementValue, BlendValue, OracleValue
from tests.unit.intercode_small import DUMP

HEAVY = Task(id="heavy", text="Which animals are heavy?", data={"db": "zoo", "gold": "SELECT 2"})
PROPOSALS = {"SELECT 1": 0.35, "SELECT 2": 0.3, "SELECT 1 + 1": 0.25, "SELECT absent": 0.1}
METHODS = {
    "best_of_n": lambda environment, value: BestOfN(environment, n=20, value=value, horizon=1),
    "reflexion": lambda environment, value: Reflexion(environment, trials=20, value=value, horizon=1),
}


def policy(messages, tools):
    if request_kind(messages) == "reflect":
        return {"Reflection: none": 1.0}
    return {f"Action: {query}": weight for query, weight in PROPOSALS.items()}


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "dump.sql").write_text(DUMP)
    return SqlEnvironment(dump=tmp_path / "dump.sql")


@pytest.mark.parametrize("name", METHODS)
def test_two_ways_to_one_result_outvote_the_likeliest_proposal(environment, name):
    method = METHODS[name](environment, "agreement")
    for seed in range(3):
        result = method.solve(HEAVY, model=PolicyChatModel(policy=policy), budget=Budget(completions=40), seed=seed)
        assert result.plan[0] in {"SELECT 2", "SELECT 1 + 1"}
        assert judged(result, HEAVY, environment).verdict.success


def test_attempts_that_failed_have_no_vote(environment):
    def mostly_wrong(messages, tools):
        return {"Action: SELECT absent": 0.9, "Action: SELECT 1": 0.1}

    model = PolicyChatModel(policy=mostly_wrong)
    result = BestOfN(environment, n=40, value="agreement", horizon=1).solve(HEAVY, model=model)
    assert result.plan == ["SELECT 1"]


@pytest.mark.parametrize("name", METHODS)
def test_a_blend_with_agreement_is_refused(environment, name):
    blend = BlendValue([(1.0, AgreementValue()), (1.0, OracleValue())])
    with pytest.raises(InvalidSettingError, match="take value='agreement' alone"):
        METHODS[name](environment, blend).solve(HEAVY, model=PolicyChatModel(policy=policy))
