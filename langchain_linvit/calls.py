"""How the library reaches chat models and environments: sync or async, counted, limited, retried.

Every algorithm body is written once, as a coroutine that awaits nothing but a `Caller`; see `execution` for how it
runs with an event loop and without one.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables.config import ensure_config
from langgraph.constants import TAG_NOSTREAM

from langchain_linvit.accounting import Account
from langchain_linvit.environments.base import Environment, ParsedAction, Transition
from langchain_linvit.errors import BudgetExhaustedError, ModelCallError
from langchain_linvit.execution import IO as IO
from langchain_linvit.execution import AsyncIO as AsyncIO
from langchain_linvit.execution import SyncIO as SyncIO
from langchain_linvit.execution import drive as drive
from langchain_linvit.faults import answer_fault, is_transient, retry_after
from langchain_linvit.models.sampling import SamplingModel, TokenLogprob, token_logprobs

T = TypeVar("T")

MAX_TEXT = 20_000
"""Characters of an answer that are kept, from its end, where the decision stands: megabytes cost no more."""


def derive_seed(*parts: object) -> int:
    """A seed of 31 bits from a run's seed and the path to a call, stable over processes."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest) >> 1


@dataclass(frozen=True, slots=True)
class Retry:
    """How a failing model call is tried again: `attempts` in all, the delay doubling from `delay` seconds."""

    attempts: int = 4
    delay: float = 0.5


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a chat model: its text, and its token log-probabilities where the model gave them.

    `fault` says why it is no whole answer (refused, filtered, cut); what it holds is then not to be acted on.
    """

    text: str
    message: AIMessage
    tokens: list[TokenLogprob] | None = None
    fault: str | None = None

    def parsed(self, parse: Callable[[str], ParsedAction]) -> ParsedAction:
        """What `parse` reads in the text; its fault where it has one."""
        return ParsedAction(None, self.fault) if self.fault else parse(self.text)


@dataclass(slots=True)
class Caller:
    """What one unit of work calls models and environments through; it counts, limits and retries.

    Attributes:
        io: Sync or async primitives.
        account: What this unit may spend, and has spent.
        seed: The run's seed; each call derives its own from it.
        retry: How failing calls are tried again.
        fork_lock: Held while an environment is forked.
    """

    io: IO
    account: Account = field(default_factory=Account)
    seed: int = 0
    retry: Retry = field(default_factory=Retry)
    fork_lock: threading.Lock = field(default_factory=threading.Lock)

    async def complete(
        self, model: SamplingModel, messages: list[BaseMessage], *, path: Sequence[object], n: int = 1, **options: Any
    ) -> list[Completion]:
        """`n` completions of `messages`: in one request where the model can, else in concurrent ones.

        Args:
            model: The prepared chat model.
            messages: The prompt.
            path: What the call's seed is derived from, beside the run's seed and the sample's index.
            n: How many; fewer come back where the budget grants fewer.
            **options: Passed to the model, e.g. `logprobs=True`.

        Raises:
            BudgetExhaustedError: The account grants none.
            ModelCallError: Every attempt failed; the last failure is its cause.
        """
        n = self.account.grant_completions(n)
        if n == 1 or model.takes_n:
            found = await self._chat(model, messages, [*path, 0], n, options)
        else:
            found = []
        missing = n - len(found)  # none, but for a model without n or an endpoint that ignores it
        if missing <= 0:
            return found
        first = len(found)
        results = await self.gather(
            [
                lambda caller, index=index: caller._attempt(model, messages, [*path, index], options)  # type: ignore[misc]
                for index in range(first, n)
            ]
        )
        good = [item for item in results if isinstance(item, Completion)]
        if not found and not good:
            raise next(item for item in results if isinstance(item, Exception))
        return found + good

    async def gather(self, bodies: Sequence[Callable[[Caller], Awaitable[T]]]) -> list[T]:
        """Run `bodies` at once, each with a caller over an equal share of this account, in their order."""
        callers = [replace(self, account=part) for part in self.account.split(len(bodies))] if bodies else []

        def bound(body: Callable[[Caller], Awaitable[T]], caller: Caller) -> Callable[[], Coroutine[Any, Any, T]]:
            async def run() -> T:
                return await body(caller)

            return run

        try:
            return await self.io.gather([bound(body, caller) for body, caller in zip(bodies, callers, strict=True)])
        finally:
            self.account.merge([caller.account for caller in callers])

    async def step(self, environment: Environment, action: str, *, real: bool = False) -> Transition:
        """One environment step, counted; environments whose steps are model calls make them through here.

        A real step is never refused: it carries out what a search has already been paid for.

        Raises:
            BudgetExhaustedError: The account grants none.
        """
        if not real:
            self.account.grant_step()
        self.account.count({"env_steps_real" if real else "env_steps_simulated": 1})
        if isinstance(environment, ModelEnvironment):
            return await environment.model_step(action, self)
        return await self.io.run(environment, lambda: environment.step(action))

    async def fork(self, environment: Environment) -> Environment:
        """A fork, counted. Units of one run may fork the same environment, one at a time."""
        self.account.count({"forks": 1})

        def locked() -> Environment:
            with self.fork_lock:
                return environment.fork()

        return await self.io.run(environment, locked)

    async def score(self, model: BaseLLM, prompts: list[str], start: int) -> list[float]:
        """The log-probability of each prompt's text from character `start` on, by a model that echoes.

        Raises:
            BudgetExhaustedError: The account does not grant a call for each prompt.
            ModelCallError: Every attempt failed, or the answers carry no token log-probabilities.
        """
        if self.account.grant_completions(len(prompts)) < len(prompts):
            raise self.account.refuse("completions")
        result = await self._request(model, prompts, {}, len(prompts))
        return [_echoed_log_prob(generations[0].generation_info or {}, start) for generations in result.generations]

    async def _attempt(
        self, model: SamplingModel, messages: list[BaseMessage], path: list[object], options: dict[str, Any]
    ) -> Completion | Exception:
        try:
            self.account.grant_completions(1)
            return (await self._chat(model, messages, path, 1, options))[0]
        except (ModelCallError, BudgetExhaustedError) as error:
            return error

    async def _chat(
        self, model: SamplingModel, messages: list[BaseMessage], path: list[object], n: int, options: dict[str, Any]
    ) -> list[Completion]:
        arguments = model.call_arguments(n=n, seed=derive_seed(self.seed, *path), options=options)
        return _completions(await self._request(model.model, [messages], arguments, n))

    async def _request(
        self, model: BaseChatModel | BaseLLM, prompts: list[Any], arguments: dict[str, Any], calls: int
    ) -> LLMResult:
        """One request, tried again while it fails and the budget lasts; never without a generation."""
        for attempt in count(1):
            try:
                seconds = self.account.seconds_left()
                result = await self.io.generate(model, prompts, seconds, **arguments, **_tracing())
                if result.generations and all(result.generations):
                    self.account.count(
                        {"llm_calls": sum(map(len, result.generations)), "requests": 1, **token_counts(result)}
                    )
                    return result
                failure: Exception = ValueError("the model returned no generation")
            except Exception as error:
                failure = error
            self.account.count({"llm_calls": calls, "requests": 1, "failed_requests": 1})
            if self.account.seconds_left() == 0:
                raise self.account.refuse("seconds") from failure
            if attempt >= self.retry.attempts or not is_transient(failure):
                raise ModelCallError(
                    f"{type(model).__name__} failed {attempt} time(s); the last failure was "
                    f"{type(failure).__name__}: {str(failure)[:300]}"
                ) from failure
            delay = max(self.retry.delay * 2 ** (attempt - 1), retry_after(failure))
            if delay:
                left = self.account.seconds_left()
                await self.io.sleep(delay if left is None else min(delay, left))
            if self.account.grant_completions(calls) < calls:
                raise self.account.refuse("completions") from failure
        raise AssertionError("unreachable: the loop above only returns or raises")


class ModelEnvironment(Environment):
    """An environment whose steps are model calls: they are awaited, counted and budgeted like any other.

    Subclasses write `model_step`; `step` is it, run without a planner.
    """

    async def model_step(self, action: str, caller: Caller) -> Transition:
        """Take one action by asking a model through `caller`."""
        raise NotImplementedError(f"{type(self).__name__} must define model_step(action, caller)")

    def step(self, action: str) -> Transition:
        """Take one action, outside of any planner and budget."""
        return drive(self.model_step(action, Caller(SyncIO())))


def _tracing() -> dict[str, Any]:
    """Callbacks, tags and metadata of the surrounding run: nested in traces, kept out of message streams."""
    config = ensure_config()
    return {
        "callbacks": config.get("callbacks"),
        "tags": [*(config.get("tags") or []), TAG_NOSTREAM],
        "metadata": config.get("metadata"),
    }


def _completions(result: LLMResult) -> list[Completion]:
    completions = []
    for generation in result.generations[0] if result.generations else []:
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
            message = generation.message
            text, tokens = message.text[-MAX_TEXT:], token_logprobs(message)
            completions.append(Completion(text, message, tokens, answer_fault(message)))
    return completions


def token_counts(result: LLMResult) -> dict[str, int]:
    """Tokens of one request. Each message carries the whole request's usage, so the first one counts."""
    first = result.generations[0][0]
    reported = getattr(getattr(first, "message", None), "usage_metadata", None)
    if reported:
        return {"prompt_tokens": reported["input_tokens"], "completion_tokens": reported["output_tokens"]}
    total = (result.llm_output or {}).get("token_usage") or {}
    return {
        "prompt_tokens": int(total.get("prompt_tokens") or 0),
        "completion_tokens": int(total.get("completion_tokens") or 0),
    }


def _echoed_log_prob(info: dict[str, Any], start: int) -> float:
    logprobs = info.get("logprobs") or {}
    offsets, values = logprobs.get("text_offset"), logprobs.get("token_logprobs")
    if not offsets or not values:
        raise ModelCallError("the completions model echoed no token log-probabilities; set logprobs=1 and echo=True")
    return math.fsum(
        float(value) for offset, value in zip(offsets, values, strict=True) if offset >= start and value is not None
    )
