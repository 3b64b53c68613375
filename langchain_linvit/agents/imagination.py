"""Tools that can't be forked: a model imagines their answers, and each guess is scored against what really comes.

A guess states the probability that the call ends without an error, and the answer. Once the real tool has
answered, the probability gets its Brier score (Brier 1950; 0 is perfect, 0.25 is what always saying 0.5 gets),
and the answer the F1 of its words against the real ones (as SQuAD scores answers, arXiv 1606.05250), or, where
both are JSON objects, the share of the real fields that were guessed exactly.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, ValidationError, create_model

from langchain_linvit.calls import Caller
from langchain_linvit.environments.base import shorten
from langchain_linvit.errors import ModelCallError
from langchain_linvit.models.sampling import SamplingModel
from langchain_linvit.priors import json_object
from langchain_linvit.prompts import DEFAULT_TEMPLATES, PromptTemplates, Situation

MAX_ANSWER = 4_000
"""Characters of an imagined answer that are kept."""

Guess = dict[str, Any]
"""A guess as plain data: `tool`, `succeeds`, `answer` (a text)."""


class ImaginedAnswer(BaseModel):
    """What an imagined call comes to."""

    succeeds: float = Field(ge=0, le=1, description="Probability that the call ends without an error.")
    answer: str = Field(description="What the tool returns: the text, or the error's text.")


def answer_schema(answer: type[BaseModel] | None) -> type[BaseModel]:
    """The schema of a guess: a free text, or an answer by a schema of the user's."""
    if answer is None:
        return ImaginedAnswer
    return create_model(f"Imagined{answer.__name__}", __base__=ImaginedAnswer, answer=(answer, Field()))


async def imagine(
    call: Mapping[str, Any], text: str, tool: BaseTool | None, situation: Situation, model: SamplingModel,
    caller: Caller, *, answer: type[BaseModel] | None = None, templates: PromptTemplates = DEFAULT_TEMPLATES,
    path: list[object],
) -> Guess:  # fmt: skip
    """A guess at what a tool call returns; an unreadable one is asked for once more.

    Raises:
        ModelCallError: The model failed, or its answers don't fit the schema.
        BudgetExhaustedError: No call is granted.
    """
    schema = answer_schema(answer)
    described = f"{call['name']}: {tool.description}" if tool is not None else str(call["name"])
    wanted = json.dumps(schema.model_json_schema(), sort_keys=True)
    messages = situation.messages(templates.imagine_answer, tool=described, call=text, schema=wanted)
    for attempt in range(2):
        found = (await caller.complete(model, messages, path=[*path, "imagine", attempt]))[0].text
        guess = parse_guess(found, schema)
        if guess is not None:
            return {"tool": call["name"], **guess}
    raise ModelCallError(f"the imagined answer of {call['name']!r} doesn't fit its schema: {shorten(found, 120)!r}")


def parse_guess(text: str, schema: type[BaseModel] = ImaginedAnswer) -> Guess | None:
    """`succeeds` and `answer` (structured ones as JSON) from a model's reply; None where it doesn't fit the schema."""
    try:
        guess = schema.model_validate(json_object(text) or {}).model_dump(mode="json")
    except ValidationError:
        return None
    answer = guess["answer"]
    answer = answer if isinstance(answer, str) else json.dumps(answer, sort_keys=True, ensure_ascii=False)
    return {"succeeds": guess["succeeds"], "answer": answer[:MAX_ANSWER]}


class ToolCalibration(BaseModel):
    """How well one tool was imagined so far; all numbers are means over `n` guesses.

    `brier` beside `base_brier` (what always stating the tool's own success rate would get) says whether the stated
    probabilities are worth anything; `similarity` says how much of the answers was foreseen.
    """

    n: int = 0
    brier: float = Field(default=0.0, description="Of the stated chance of success; 0 is perfect.")
    base_brier: float = Field(default=0.0, description="rate * (1 - rate) of the real successes.")
    success_rate: float = 0.0
    similarity: float = Field(default=0.0, description="In [0, 1]; 1 is the real answer, word for word.")

    def with_score(self, brier: float, succeeded: bool, similarity: float) -> ToolCalibration:
        """The summary with one more guess."""
        n = self.n + 1
        rate = self.success_rate + (succeeded - self.success_rate) / n
        return ToolCalibration(
            n=n,
            brier=self.brier + (brier - self.brier) / n,
            base_brier=rate * (1 - rate),
            success_rate=rate,
            similarity=self.similarity + (similarity - self.similarity) / n,
        )


def score_guess(guess: Guess, real: ToolMessage) -> dict[str, Any]:
    """How one guess compares with the real answer, as plain data for the trace."""
    succeeded = real.status != "error"
    return {
        "tool": guess["tool"],
        "succeeds": guess["succeeds"],
        "succeeded": succeeded,
        "brier": float((guess["succeeds"] - succeeded) ** 2),
        "similarity": similarity(guess["answer"], real.text),
    }


def calibrated(summary: Mapping[str, Mapping[str, Any]], scores: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The summary by tool, as plain data, with more scores in it."""
    found = {tool: ToolCalibration(**values) for tool, values in summary.items()}
    for score in scores:
        before = found.get(score["tool"], ToolCalibration())
        found[score["tool"]] = before.with_score(score["brier"], score["succeeded"], score["similarity"])
    return {tool: calibration.model_dump() for tool, calibration in found.items()}


def similarity(guess: str, real: str) -> float:
    """In [0, 1]: the share of equal fields for two JSON objects, else the F1 of the words."""
    guessed, came = _as_object(guess), _as_object(real)
    if guessed is not None and came:
        equal = [name for name, value in came.items() if name in guessed and guessed[name] == value]
        return len(equal) / len(came)
    first, second = Counter(_words(guess)), Counter(_words(real))
    if not first or not second:
        return float(first == second)
    common = (first & second).total()
    return float(2 * common / (first.total() + second.total()))


def _as_object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text[:MAX_ANSWER].lower())
