"""Try Again: the model sees what its actions brought about, and tries again (InterCode, arXiv 2306.14898)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from langchain_core.prompts import ChatPromptTemplate

from langchain_linvit.environments.base import Environment, ParsedAction
from langchain_linvit.errors import ModelCallError
from langchain_linvit.evaluation.method import Episode, EpisodeMethod
from langchain_linvit.priors import ChatPrior
from langchain_linvit.prompts import DEFAULT_TEMPLATES, Situation, with_request

_REQUEST = (
    "The goal is not known to be reached. Look at what your last action brought about, and try again; if you are sure "
    "that it was right, repeat it. Reply with one line:\nAction: <action>"
)


class TryAgain(EpisodeMethod):
    """The model acts, reads the environment's feedback, and tries again until the horizon.

    Source: the "Try Again" strategy of InterCode (arXiv 2306.14898, section 5). InterCode's script submits after
    every turn and shows the model the benchmark's reward. That reward is the verdict, which no method here may see:
    the feedback is the environment's own observation. Where an answer has to be submitted, it is once the model
    stands by it: it repeats an action that changed nothing. The first answer is the likeliest one (temperature 0);
    later ones are sampled with the model's own settings, so that a model that repeats itself gets another chance.
    """

    name = "try_again"

    async def run(self, episode: Episode, model: Any) -> None:
        """Act, look, and try again."""
        first = ChatPrior(model, temperature=0.0)
        again = ChatPrior(model, templates=replace(DEFAULT_TEMPLATES, action=_again()))
        submit = _submission(episode.environment)
        while not episode.over:
            situation = Situation.of(episode.environment, episode.history)
            path, before = ["try", len(episode.steps)], episode.environment.state_key()
            try:
                parsed = await (again if episode.steps else first).act(situation, None, episode.caller, path=path)
            except ModelCallError as failure:
                episode.failed(failure)
                continue
            episode.failures = 0
            await episode.act(parsed)
            if submit is not None and _stands_by(episode, before):
                await episode.act(ParsedAction(submit))


def _again() -> ChatPromptTemplate:
    return with_request(DEFAULT_TEMPLATES.action, _REQUEST)


def _submission(environment: Environment) -> str | None:
    """The action that submits an answer; None where there is none to submit."""
    tools = (tool for tool in environment.action_tools() if tool.name == "submit")
    return next((tool.render(tool.args_schema()) for tool in tools), None)


def _stands_by(episode: Episode, before: str | None) -> bool:
    """Whether the episode goes on, and its last action repeats the one before it and left the state as it was."""
    actions = [step.action for step in episode.steps[-2:]]
    if episode.over or episode.last.error is not None or len(actions) < 2 or actions[0] != actions[1]:
        return False
    return before is not None and episode.environment.state_key() == before
