"""ReAct: the model thinks before every action, and sees its earlier thoughts (Yao et al., arXiv 2210.03629)."""

from __future__ import annotations

import re
from typing import Any

from langchain_linvit.environments.base import shorten
from langchain_linvit.errors import ModelCallError
from langchain_linvit.evaluation.method import Episode, EpisodeMethod
from langchain_linvit.models.sampling import SamplingModel
from langchain_linvit.prompts import DEFAULT_TEMPLATES, Situation, with_request

_REQUEST = (
    "Think about what is done and what is missing, then act. Reply with two lines:\n"
    "Thought: <thought>\nAction: <action>"
)
_THOUGHT = re.compile(r"^\W*thought\W*?:\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)


class ReAct(EpisodeMethod):
    """Thought and action in turn, at temperature 0, without any search."""

    name = "react"

    async def run(self, episode: Episode, model: Any) -> None:
        """Ask for a thought and an action, take the action, and keep both in the history."""
        sampling = SamplingModel.of(model, temperature=0.0)
        template = with_request(DEFAULT_TEMPLATES.action, _REQUEST)
        while not episode.over:
            situation = Situation.of(episode.environment, episode.history)
            path = ["react", len(episode.steps)]
            try:
                answer = (await episode.caller.complete(sampling, situation.messages(template), path=path))[0]
            except ModelCallError as failure:
                episode.notes.append(str(failure))
                return
            await episode.act(answer.parsed(situation.parse))
            action, observation = episode.history[-1]
            thought = _THOUGHT.search(answer.text)
            if thought:
                episode.history[-1] = (f"{action} (thought: {shorten(thought[1])})", observation)
