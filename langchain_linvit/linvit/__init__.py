"""LINVIT for tabular MDPs: KL-regularised optimistic value iteration with a language model as the prior.

    mdp = deep_sea(10)
    result = LINVIT(mdp, mix(mdp, 0.1), eps=0.1).run(200)
    evaluate(mdp, result.empirical).start_value

Source: "How Can LLM Guide RL? A Value-Based Approach" (arXiv 2402.16181), section 5.
"""

from langchain_linvit.linvit.algorithm import LINVIT
from langchain_linvit.linvit.baselines import UCBVI, PriorAlone, QLearning
from langchain_linvit.linvit.chat_prior import chat_prior
from langchain_linvit.linvit.conversion import from_environment, from_gymnasium
from langchain_linvit.linvit.exact import Solution, evaluate, optimal, prior_divergence, regularised_optimal
from langchain_linvit.linvit.learner import Certificate, Learner, LearningResult
from langchain_linvit.linvit.mdp import Simulator, TabularMDP
from langchain_linvit.linvit.priors import adversarial, mix, mix_of_divergence, smooth, uniform
from langchain_linvit.linvit.problems import deep_sea, grid, random_mdp, river_swim

__all__ = [
    "LINVIT",
    "UCBVI",
    "Certificate",
    "Learner",
    "LearningResult",
    "PriorAlone",
    "QLearning",
    "Simulator",
    "Solution",
    "TabularMDP",
    "adversarial",
    "chat_prior",
    "deep_sea",
    "evaluate",
    "from_environment",
    "from_gymnasium",
    "grid",
    "mix",
    "mix_of_divergence",
    "optimal",
    "prior_divergence",
    "random_mdp",
    "regularised_optimal",
    "river_swim",
    "smooth",
    "uniform",
]
