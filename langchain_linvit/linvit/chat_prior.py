"""pi_LLM of a tabular MDP: a chat model's probabilities over the admissible actions of every state."""

from __future__ import annotations

import math
from collections.abc import MutableMapping

import numpy as np
from langchain_core.language_models import BaseChatModel
from numpy.typing import NDArray

from langchain_linvit.calls import Caller, SyncIO, drive
from langchain_linvit.environments.base import Environment, Task
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit.mdp import TabularMDP
from langchain_linvit.priors import ChatPrior, PolicyPrior
from langchain_linvit.prompts import Situation

Floats = NDArray[np.float64]

Cache = MutableMapping[str, dict[str, float]]
"""Probabilities by action, by state text: plain data that may be kept as JSON."""


def chat_prior(
    mdp: TabularMDP,
    model: BaseChatModel | PolicyPrior | str,
    environment: Environment,
    task: Task | str | None = None,
    *,
    alpha: float = 0.1,
    seed: int = 0,
    cache: Cache | None = None,
    max_concurrency: int = 8,
) -> Floats:
    """Ask a chat model once for every state text, and smooth what it says.

    Inadmissible actions get probability 0, the others `(1 - alpha) * p + alpha / (their number)`. States in
    which nothing can happen any more are not asked for; their rows are uniform.

    Args:
        mdp: What `from_environment` made of the same environment and task.
        model: A chat model, or any `PolicyPrior` that scores all admissible actions.
        environment: For its description, goal and grammar; it is not stepped.
        task: The task; None where the environment is at it already.
        alpha: Share of the uniform distribution over the admissible actions, in (0, 1].
        seed: Sent to models that take one.
        cache: Answers by state text; those in it are not asked for again, and new ones are added.
        max_concurrency: Requests at once.

    Returns:
        Shape `[S, A]`.

    Raises:
        InvalidSettingError: alpha is out of range.
        ModelCallError: The model failed on every attempt for some state.
    """
    if not 0 < alpha <= 1:
        raise InvalidSettingError(f"alpha must lie in (0, 1], not {alpha}")
    if task is not None:
        environment = environment.spawn()
        environment.reset(task)
    answers: Cache = {} if cache is None else cache
    prior = model if isinstance(model, PolicyPrior) else ChatPrior(model)
    open_states = [s for s in range(mdp.states) if not _is_over(mdp, s)]
    missing = {mdp.state_names[s]: s for s in open_states if mdp.state_names[s] not in answers}
    situations = [_situation(mdp, state, environment) for state in missing.values()]
    caller = Caller(SyncIO(max_concurrency), seed=seed)
    answers.update(zip(missing, drive(_ask(prior, situations, caller)), strict=True))
    table = mdp.admissible / mdp.admissible.sum(axis=1, keepdims=True)
    for state in open_states:
        stated = np.array([answers[mdp.state_names[state]].get(name, 0.0) for name in mdp.action_names])
        stated *= mdp.admissible[state]
        if stated.sum() > 0:
            table[state] = (1 - alpha) * stated / stated.sum() + alpha * table[state]
    return np.asarray(table)


async def _ask(prior: PolicyPrior, situations: list[Situation], caller: Caller) -> list[dict[str, float]]:
    async def ask(caller: Caller, situation: Situation) -> dict[str, float]:
        proposals = await prior.propose(situation, None, caller, path=["tabular prior", situation.state])
        return {proposal.text: math.exp(proposal.log_prob) for proposal in proposals if proposal.error is None}

    return await caller.gather([lambda caller, s=situation: ask(caller, s) for situation in situations])  # type: ignore[misc]


def _situation(mdp: TabularMDP, state: int, environment: Environment) -> Situation:
    names = [mdp.action_names[a] for a in np.flatnonzero(mdp.admissible[state])]
    return Situation(
        environment.description, environment.goal, mdp.state_names[state], (), names, environment.parse_action
    )


def _is_over(mdp: TabularMDP, state: int) -> bool:
    """Whether no action changes anything or earns anything: the episode is over there."""
    rows = slice(state * mdp.actions, (state + 1) * mdp.actions)
    return all(
        bool((mdp.transition(h)[rows, [state]].toarray() == 1).all()) and not mdp.reward(h)[state].any()
        for h in range(mdp.horizon if mdp.stage_dependent else 1)
    )
