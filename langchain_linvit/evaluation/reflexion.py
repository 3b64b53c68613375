"""Reflexion: attempt after attempt, with a verbal reflection on each failure (Shinn et al., arXiv 2303.11366)."""

from __future__ import annotations

from itertools import count
from typing import Any

from langchain_linvit.errors import BudgetExhaustedError, InvalidSettingError, ModelCallError
from langchain_linvit.evaluation.attempts import Attempt, Attempts
from langchain_linvit.evaluation.method import Episode, EpisodeMethod
from langchain_linvit.evaluation.thoughts import reflection_on, with_reflections
from langchain_linvit.priors import ChatPrior
from langchain_linvit.prompts import DEFAULT_TEMPLATES

TRIALS = 10
"""Trials where neither `trials` nor a budget of completions bounds them."""


class Reflexion(EpisodeMethod):
    """Trials with verbal reflections between them; the best trial is carried out.

    Source: Reflexion (arXiv 2303.11366, algorithm 1). The paper starts the real environment afresh for each trial. Here
    the real environment is one episode: trials run in forks of its start, their reflections (the latest three) go
    into the prompts of later trials, and what is carried out is a solved trial, else the one whose end has the highest
    V^. The evaluator of the paper is what the agent may observe (`solved`) and the value estimator, never the
    verdict. The first trial is the model at temperature 0; later ones are sampled with its own settings, so that
    they differ even where the model doesn't heed its reflections.

    Args:
        environment: A prototype or a factory.
        trials: Attempts; None takes what the budget of completions allows, and 10 where there is none.
        **options: Those of `EpisodeMethod`; `value` rates the end of each trial.

    Raises:
        InvalidSettingError: `trials` is below 1.
    """

    name = "reflexion"

    def __init__(self, environment: Any, *, trials: int | None = None, **options: Any) -> None:
        super().__init__(environment, **options)
        if trials is not None and trials < 1:
            raise InvalidSettingError(f"trials must be at least 1, not {trials}")
        self._trials = trials

    def value_name(self) -> str:
        """The estimator that rates ends."""
        return self._value.name

    async def run(self, episode: Episode, model: Any) -> None:
        """Try, reflect, and try again; then carry the best trial out."""
        attempts = Attempts(episode, self._value, model)
        reflections: list[str] = []
        bounded = self._trials or (TRIALS if episode.caller.account.completions is None else None)
        try:
            await attempts.prepare()
            for index in count() if bounded is None else range(bounded):
                temperature = None if index else 0.0
                templates = with_reflections(DEFAULT_TEMPLATES, reflections)
                policy = ChatPrior(model, temperature=temperature, templates=templates)
                try:
                    attempt = await attempts.make(policy, index)
                    if attempt.solved:
                        break
                    if index + 1 != bounded:
                        reflections.append(await self._reflect(attempt, model, episode, index))
                except ModelCallError as failure:
                    episode.failed(failure)
        except (BudgetExhaustedError, ModelCallError):
            pass  # the best so far is carried out
        await attempts.commit_best()

    async def _reflect(self, attempt: Attempt, model: Any, episode: Episode, index: int) -> str:
        if attempt.end is None:
            return ""
        return await reflection_on(attempt.end, model, episode.caller, path=["trial", index])
