"""A chat model as the prior of a tabular MDP."""

import numpy as np
import pytest

from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, generate_problems
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit import LINVIT, chat_prior, evaluate, from_environment, optimal, prior_divergence, uniform
from langchain_linvit.models.blocksworld import blocksworld_model
from langchain_linvit.priors import PolicyPrior, Proposal, UniformPrior


@pytest.fixture(scope="module")
def world():
    (task,) = generate_problems(blocks=3, steps=4, count=1, seed=0)
    environment = BlocksWorldEnvironment()
    return from_environment(environment, task, horizon=6), environment, task


class Scripted(PolicyPrior):
    """Puts all weight on the first admissible action, and counts its calls."""

    def __init__(self):
        self.asked = []

    async def propose(self, situation, candidates, caller, *, path=()):
        assert candidates is None
        self.asked.append(situation)
        return [
            Proposal(situation.admissible[0], 0.0, "exact"),
            Proposal("rubbish", 0.0, "exact"),
            Proposal("worse rubbish", 0.0, "sampled", error="no action"),
        ]


def test_each_state_is_asked_once_and_smoothed(world):
    mdp, environment, task = world
    scripted, cache = Scripted(), {}
    prior = chat_prior(mdp, scripted, environment, task, alpha=0.2, cache=cache)
    texts = [situation.state for situation in scripted.asked]
    assert len(texts) == len(set(texts)) == len(cache)
    assert 0 < len(texts) < mdp.states
    assert scripted.asked[0].goal
    assert scripted.asked[0].description == environment.description
    assert prior.sum(axis=1) == pytest.approx(1)
    assert ((prior > 0) == mdp.admissible).all()
    first, count = np.flatnonzero(mdp.admissible[0]), mdp.admissible[0].sum()
    named = mdp.action_names.index(scripted.asked[texts.index(mdp.state_names[0])].admissible[0])
    assert named in first
    assert prior[0, named] == pytest.approx(0.8 + 0.2 / count)
    again = chat_prior(mdp, scripted, environment, task, alpha=0.2, cache=cache)
    assert (again == prior).all()
    assert len(scripted.asked) == len(texts)


def test_finished_states_are_not_asked_for(world):
    mdp, environment, task = world
    scripted = Scripted()
    chat_prior(mdp, scripted, environment, task)
    over = [s for s in range(mdp.states) if (mdp.backup(0, np.arange(mdp.states))[s] == s).all()]
    assert over
    assert not {mdp.state_names[s] for s in over} & {situation.state for situation in scripted.asked}


def test_a_prior_without_opinion_is_uniform(world):
    mdp, environment, task = world
    prior = chat_prior(mdp, UniformPrior(), environment, task)
    assert prior == pytest.approx(uniform(mdp, admissible_only=True))
    with pytest.raises(InvalidSettingError, match=r"alpha must lie in \(0, 1\], not 0"):
        chat_prior(mdp, UniformPrior(), environment, task, alpha=0)


def test_embedded_models_are_ordered_by_their_divergence(world):
    mdp, environment, task = world
    names = ("novice", "novice-4", "adversarial")
    priors = [chat_prior(mdp, blocksworld_model(name), environment, task) for name in names]
    divergences = [prior_divergence(mdp, prior) for prior in priors]
    assert divergences == sorted(divergences)
    assert divergences[0] < prior_divergence(mdp, uniform(mdp, admissible_only=True))


def test_linvit_improves_on_a_chat_model(world):
    mdp, environment, task = world
    prior = chat_prior(mdp, blocksworld_model("novice-4"), environment, task)
    kl = prior_divergence(mdp, prior)
    result = LINVIT(mdp, prior, eps=0.1, eps_llm=kl).run(60, stop=False)
    learnt = evaluate(mdp, result.empirical).start_value
    assert learnt > evaluate(mdp, prior).start_value
    assert learnt > 0.9 * optimal(mdp).start_value
