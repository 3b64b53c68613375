"""pi_LLM: a chat model as a prior over what to do next, with the meaning of each probability on record.

A prior proposes candidates with log-probabilities. How a number came about is its *provenance*:

- `exact`: the model scored every admissible action (label trick, or echo scoring of whole strings);
- `sequence`: token log-probabilities of sampled answers, length-normalised, soft-maxed over the candidates;
- `sampled`: frequencies among samples, smoothed: `(count + alpha) / (n + alpha * distinct)`;
- `verbalised`: probabilities that the model stated;
- `uniform`: no model's opinion.

Source: arXiv 2402.16181, section 4.2 (the prior of SLINVIT); which rung of this ladder serves is ours.
"""

from __future__ import annotations

import json
import math
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.runnables import Runnable

from langchain_linvit.calls import Caller, Completion, derive_seed
from langchain_linvit.environments.base import ParsedAction, shorten
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.sampling import SamplingModel, TokenLogprob
from langchain_linvit.prompts import DEFAULT_TEMPLATES, PromptTemplates, Situation, numbered

Provenance = Literal["exact", "sequence", "sampled", "verbalised", "uniform"]
PriorMethod = Literal["auto", "label", "sequence", "sampled", "verbalised"]
Level = Literal["action", "subgoal"]

TOP_LOGPROBS = 20
"""Alternatives per token that OpenAI's format can carry."""
PROBABILITY_FLOOR = 1e-6
"""Probability of an admissible action that the model gave no weight that could be seen."""
MAX_WEIGHT = 1e9
"""Largest weight that a model may state; beyond it lie typing errors and overflow."""
MAX_JSON_STARTS = 20
"""Opening braces of an answer at which a JSON object is looked for."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One candidate for what to do next.

    Attributes:
        text: The action or subgoal; of an answer that can't be read, its beginning.
        log_prob: Natural logarithm of pi_LLM of it, over the candidates of one request.
        provenance: Where that number came from.
        error: Why it can't be carried out; None for a good one.
    """

    text: str
    log_prob: float
    provenance: Provenance
    error: str | None = None


class PolicyPrior(ABC):
    """A prior over actions or subgoals. Subclass it to bring your own; `propose` is all it needs."""

    level: Level = "action"
    """Whether a proposal is one action, or a subgoal that a low-level policy carries out."""

    @abstractmethod
    async def propose(
        self, situation: Situation, candidates: int | None, caller: Caller, *, path: Sequence[object] = ()
    ) -> list[Proposal]:
        """Candidates for the next action or subgoal, distinct, with log-probabilities.

        Args:
            situation: The state to propose for.
            candidates: How many to ask for; None scores every admissible action. Fewer may come back.
            caller: What models are called through.
            path: Where in the search this is: what the seeds derive from.
        """

    async def act(
        self, situation: Situation, subgoal: str | None, caller: Caller, *, path: Sequence[object] = ()
    ) -> ParsedAction | None:
        """One action of the low-level policy, towards `subgoal` where one is given; None once it is reached.

        Default: the likeliest of one proposal; priors over subgoals define it.
        """
        del subgoal
        proposals = await self.propose(situation, 1, caller, path=path)
        if not proposals:
            return ParsedAction(None, "the prior proposed nothing")
        return ParsedAction(None if proposals[0].error else proposals[0].text, proposals[0].error)

    def greedy(self) -> PolicyPrior:
        """This prior with `act` at its likeliest instead of a sample. Default: itself."""
        return self


class UniformPrior(PolicyPrior):
    """Every admissible action alike: no model at all. With `candidates=m`, a seeded draw of m of them."""

    async def propose(
        self, situation: Situation, candidates: int | None, caller: Caller, *, path: Sequence[object] = ()
    ) -> list[Proposal]:
        """The admissible actions, each with the same probability."""
        actions = list(_admissible(situation))
        if candidates is not None and candidates < len(actions):
            actions = random.Random(derive_seed(caller.seed, "uniform", *path)).sample(actions, candidates)
        return [Proposal(action, -math.log(len(actions)), "uniform") for action in actions]


@dataclass(frozen=True)
class ChatPrior(PolicyPrior):
    """A chat model as the prior, on the best rung of the ladder that it offers.

    Args:
        model: Any LangChain chat model, or a name for `init_chat_model`.
        method: The rung; `auto` takes `label` (else `verbalised`) to score all admissible actions, and
            `sequence` (else `sampled`) for m candidates.
        level: Whether it proposes actions or subgoals.
        temperature, top_p: The sampling settings that define pi_LLM; None leaves the model's own.
        smoothing: Pseudo-count `alpha` of the `sampled` rung.
        templates: The prompts.
    """

    model: BaseChatModel | Runnable[Any, Any] | str
    method: PriorMethod = "auto"
    level: Level = "action"
    temperature: float | None = None
    top_p: float | None = None
    smoothing: float = 0.5
    templates: PromptTemplates = DEFAULT_TEMPLATES
    sampling: SamplingModel = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sampling = SamplingModel.of(self.model, temperature=self.temperature, top_p=self.top_p)
        object.__setattr__(self, "sampling", sampling)
        if self.level == "subgoal" and self.method in {"label", "verbalised"}:
            raise InvalidSettingError(
                f"method {self.method!r} scores admissible actions; for subgoals use 'sampled', 'sequence' or 'auto'"
            )
        if not self.smoothing >= 0:
            raise InvalidSettingError(f"smoothing must be at least 0, not {self.smoothing}")
        if self.method in {"label", "sequence"} and not sampling.takes_logprobs:
            raise InvalidSettingError(
                f"method {self.method!r} needs token log-probabilities, which {type(sampling.model).__name__} does not "
                "give; use 'sampled' or 'verbalised', or leave it 'auto'"
            )

    async def propose(
        self, situation: Situation, candidates: int | None, caller: Caller, *, path: Sequence[object] = ()
    ) -> list[Proposal]:
        """Candidates on the chosen rung; equal ones are merged, unreadable ones carry their error."""
        method = self.method
        if method == "auto":
            with_logprobs = self.sampling.takes_logprobs
            if candidates is None:
                method = "label" if with_logprobs else "verbalised"
            else:
                method = "sequence" if with_logprobs else "sampled"
        if method in {"label", "verbalised"}:
            scored = await self._score_all(situation, method, caller, path)
            return scored if candidates is None else _likeliest(scored, candidates)
        count = len(_admissible(situation)) if candidates is None else candidates
        if count == 0:
            return []
        return await self._sample(situation, count, method, caller, path)

    async def act(
        self, situation: Situation, subgoal: str | None, caller: Caller, *, path: Sequence[object] = ()
    ) -> ParsedAction | None:
        """One sampled action: towards `subgoal`, or (without one) towards the goal, as rollouts do."""
        if subgoal is None:
            messages = situation.messages(self.templates.action)
        else:
            messages = situation.messages(self.templates.carry_out, subgoal=subgoal)
        answer = (await caller.complete(self.sampling, messages, path=[*path, "act"]))[0]
        if subgoal is not None and not answer.fault and answer.text.strip().rstrip(".").lower() == "done":
            return None
        return answer.parsed(situation.parse)

    def greedy(self) -> ChatPrior:
        """The same model at temperature 0."""
        return replace(self, temperature=0.0)

    async def _score_all(
        self, situation: Situation, method: PriorMethod, caller: Caller, path: Sequence[object]
    ) -> list[Proposal]:
        actions = _admissible(situation)
        if len(actions) < 2:
            return [Proposal(action, 0.0, "exact") for action in actions]
        template = self.templates.label if method == "label" else self.templates.verbalise
        messages = situation.messages(template, actions=numbered(actions))
        options = {"logprobs": True, "top_logprobs": TOP_LOGPROBS} if method == "label" else {}
        answer = (await caller.complete(self.sampling, messages, path=[*path, method], **options))[0]
        if method == "label" and answer.tokens:
            weights = label_weights(answer.tokens, len(actions))
            if weights is not None:
                return _normalised(actions, weights, "exact")
        weights = None if answer.fault else stated_weights(answer.text, len(actions))
        if weights is None:
            return [Proposal(action, -math.log(len(actions)), "uniform") for action in actions]
        return _normalised(actions, weights, "verbalised")

    async def _sample(
        self, situation: Situation, count: int, method: PriorMethod, caller: Caller, path: Sequence[object]
    ) -> list[Proposal]:
        template = self.templates.action if self.level == "action" else self.templates.subgoal
        options = {"logprobs": True} if method == "sequence" else {}
        answers = await caller.complete(
            self.sampling, situation.messages(template), path=[*path, "propose"], n=count, **options
        )
        parse = situation.parse if self.level == "action" else parse_subgoal
        read = [(_text_and_error(answer.parsed(parse), answer.text), answer) for answer in answers]
        if method == "sequence" and all(answer.tokens for answer in answers):
            return by_sequence(read)
        return by_frequency(read, self.smoothing)


@dataclass(frozen=True)
class CompletionScoringPrior(PolicyPrior):
    """Exact scoring of every admissible action by a completions model that echoes its prompt.

    Args:
        llm: A completions model that returns the log-probabilities of the prompt's own tokens, such as
            `OpenAI(max_tokens=0, logprobs=1, model_kwargs={"echo": True})` of langchain-openai.
        templates: The prompts; the `action` one is shown as text.
    """

    llm: BaseLLM
    templates: PromptTemplates = DEFAULT_TEMPLATES

    async def propose(
        self, situation: Situation, candidates: int | None, caller: Caller, *, path: Sequence[object] = ()
    ) -> list[Proposal]:
        """Every admissible action (or the likeliest `candidates`), by the probability of its whole string."""
        del path
        actions = list(_admissible(situation))
        if not actions:
            return []
        messages = situation.messages(self.templates.action)
        prefix = "\n\n".join(message.text for message in messages) + "\n\nAction:"
        scores = await caller.score(self.llm, [f"{prefix} {action}\n" for action in actions], len(prefix))
        best = max(scores)
        weights = {index: math.exp(score - best) for index, score in enumerate(scores)}
        scored = _normalised(actions, weights, "exact")
        return scored if candidates is None else _likeliest(scored, candidates)


def parse_subgoal(text: str) -> ParsedAction:
    """The subgoal in a model's answer: after the last `Subgoal:`, else the only line there is."""
    lines = [line.strip(" \t*_`") for line in text.strip().splitlines() if line.strip()]
    marked = [line.split(":", 1)[1].strip(" \t*_`") for line in lines if line.lower().startswith("subgoal:")]
    if marked and marked[-1]:
        return ParsedAction(shorten(marked[-1], 300))
    if len(lines) == 1 and not marked:
        return ParsedAction(shorten(lines[0], 300))
    return ParsedAction(None, f"no line `Subgoal: <subgoal>` in the answer {shorten(text)!r}")


def label_weights(tokens: Sequence[TokenLogprob], count: int) -> dict[int, float] | None:
    """Probabilities by index, from the alternatives of the first token that is a number from 1 to `count`."""
    for token in tokens:
        alternatives = {token.token: token.logprob, **token.top}
        weights: dict[int, float] = {}
        for text, logprob in alternatives.items():
            index = _label(text, count)
            if index is not None:
                weights[index] = weights.get(index, 0.0) + math.exp(logprob)
        if any(weights.values()):
            return weights
    return None


def stated_weights(text: str, count: int) -> dict[int, float] | None:
    """Probabilities by index, from a JSON object `{"1": 0.6, ...}`; a bare number is taken as certain."""
    bare = _label(text, count)
    if bare is not None:
        return {bare: 1.0}
    weights = {}
    for label, weight in (json_object(text) or {}).items():
        index = _label(label, count)
        if index is not None and isinstance(weight, int | float) and 0 < weight <= MAX_WEIGHT:
            weights[index] = float(weight)
    return weights or None


def json_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in a model's answer, whatever stands around it; None where there is none."""
    start = text.find("{")
    for _ in range(MAX_JSON_STARTS):
        if start < 0:
            return None
        try:
            found: dict[str, Any] = json.JSONDecoder().raw_decode(text, start)[0]
            return found
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
    return None


def _label(text: str, count: int) -> int | None:
    """The index that a number from 1 to `count` stands for."""
    label = text.strip().strip(".")
    return int(label) - 1 if label.isdecimal() and len(label) < 7 and 1 <= int(label) <= count else None


def _admissible(situation: Situation) -> Sequence[str]:
    if situation.admissible is None:
        raise InvalidSettingError(
            "scoring all actions (candidates=None) needs an environment that lists its admissible actions; "
            "pass candidates=m to sample m proposals"
        )
    return situation.admissible


def _normalised(actions: Sequence[str], weights: Mapping[int, float], provenance: Provenance) -> list[Proposal]:
    """Every action with its normalised log-probability; those without a visible weight get the floor."""
    total = sum(weights.values())
    logs = [math.log(max(weights.get(index, 0.0) / total, PROBABILITY_FLOOR)) for index in range(len(actions))]
    return [Proposal(action, log, provenance) for action, log in zip(actions, logs, strict=True)]


def _likeliest(proposals: Sequence[Proposal], count: int) -> list[Proposal]:
    return sorted(proposals, key=lambda proposal: -proposal.log_prob)[:count]


def _text_and_error(parsed: ParsedAction, answer: str) -> tuple[str, str | None]:
    return (shorten(answer), parsed.error or "no action") if parsed.action is None else (parsed.action, None)


def _marked_tokens(tokens: Sequence[TokenLogprob]) -> Sequence[TokenLogprob]:
    """The tokens after the last `Action:` or `Subgoal:`: neither what is thought aloud before, nor the mark."""
    text = "".join(token.token for token in tokens)
    marks = [found.end() for found in re.finditer("Action:|Subgoal:", text)]
    start, end = (marks[-1] if marks else 0), 0
    for index, token in enumerate(tokens):
        end += len(token.token)
        if end > start:
            return tokens[index:]
    return tokens


ReadAnswers = Sequence[tuple[tuple[str, str | None], Completion]]
"""Sampled answers, each with what was read from it: an action's text, and why it can't be carried out (or None)."""


def by_frequency(read: ReadAnswers, alpha: float) -> list[Proposal]:
    """The `sampled` rung: shares of equal answers, smoothed by the pseudo-count `alpha`."""
    counts: dict[tuple[str, str | None], int] = {}
    for key, _ in read:
        counts[key] = counts.get(key, 0) + 1
    total = len(read) + alpha * len(counts)
    return [
        Proposal(text, math.log((count + alpha) / total), "sampled", error) for (text, error), count in counts.items()
    ]


def by_sequence(read: ReadAnswers) -> list[Proposal]:
    """The `sequence` rung: length-normalised log-probabilities; distinct strings of the same action add."""
    strings: dict[tuple[str, str | None], dict[str, float]] = {}
    for key, answer in read:
        tokens = _marked_tokens(answer.tokens or [])
        mean = sum(token.logprob for token in tokens) / max(len(tokens), 1)
        strings.setdefault(key, {})[answer.text] = mean
    best = max((mean for means in strings.values() for mean in means.values()), default=0.0)
    weights = {key: sum(math.exp(mean - best) for mean in means.values()) for key, means in strings.items()}
    total = sum(weights.values())
    return [
        Proposal(text, math.log(max(weight / total, PROBABILITY_FLOOR)), "sequence", error)
        for (text, error), weight in weights.items()
    ]
