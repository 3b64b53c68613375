"""Plan-and-Solve: a plan first, then actions with the plan in the prompt (Wang et al., arXiv 2305.04091)."""

from __future__ import annotations

from typing import Any

from langchain_linvit.errors import ModelCallError
from langchain_linvit.evaluation.method import Episode, EpisodeMethod, act_greedily
from langchain_linvit.evaluation.thoughts import plan_for, with_plan
from langchain_linvit.priors import ChatPrior
from langchain_linvit.prompts import DEFAULT_TEMPLATES, Situation


class PlanAndSolve(EpisodeMethod):
    """One completion for the plan, then one for each action, all at temperature 0 and without any search.

    Source: Plan-and-Solve prompting (arXiv 2305.04091), in the interactive form that InterCode gave it (arXiv
    2306.14898, "Plan & Solve"): the plan is written once, and every later prompt shows it beside the history. InterCode
    adds a round of refinements after the plan was carried out; here the model goes on acting until the horizon.
    A plan that could not be had is noted, and the model acts without one.
    """

    name = "plan_and_solve"

    async def run(self, episode: Episode, model: Any) -> None:
        """Plan, then act."""
        plan = ""
        try:
            plan = await plan_for(Situation.of(episode.environment, []), model, episode.caller)
        except ModelCallError as failure:
            episode.failed(failure)
        policy = ChatPrior(model, temperature=0.0, templates=with_plan(DEFAULT_TEMPLATES, plan))
        await act_greedily(episode, policy, "solve")
