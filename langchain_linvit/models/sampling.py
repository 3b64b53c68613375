"""A chat model prepared for sampling: what it can take per call, and the token log-probabilities it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableBinding

from langchain_linvit.errors import InvalidSettingError, MissingDependencyError


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One sampled token, its natural log-probability, and the likeliest tokens at its place."""

    token: str
    logprob: float
    top: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SamplingModel:
    """A chat model, and which per-call arguments it takes.

    Attributes:
        model: A copy that never streams: candidates must not reach a user, and streaming merges `n` choices.
        bound: Arguments that the user bound to it.
        takes_n, takes_seed, takes_logprobs: Whether a call may carry `n`, `seed`, `logprobs`.
        temperature, top_p: What defines pi_LLM; None leaves the model's own setting.
    """

    model: BaseChatModel
    bound: dict[str, Any] = field(default_factory=dict)
    takes_n: bool = False
    takes_seed: bool = False
    takes_logprobs: bool = False
    temperature: float | None = None
    top_p: float | None = None

    @classmethod
    def of(
        cls, model: BaseChatModel | Runnable[Any, Any] | str, *, temperature: float | None = None,
        top_p: float | None = None,
    ) -> SamplingModel:  # fmt: skip
        """Prepare a chat model, a bound one (`model.bind(...)`), or a name for `init_chat_model`.

        Raises:
            InvalidSettingError: It is no chat model, or no provider knows the name.
        """
        bound: dict[str, Any] = {}
        if isinstance(model, str):
            model = named_model(model)
        while isinstance(model, RunnableBinding):
            bound = {**model.kwargs, **bound}
            model = model.bound
        if not isinstance(model, BaseChatModel):
            raise InvalidSettingError(
                f"model must be a LangChain chat model or a name like 'openai:gpt-4o-mini', not {type(model).__name__}"
            )
        fields = type(model).model_fields
        responses_api = _takes_responses_api(model, bound)
        takes_seed = "seed" in fields and not responses_api
        update: dict[str, Any] = {"disable_streaming": True}
        if "streaming" in fields:  # ChatOpenAI(streaming=True) would still ask the server for a stream, and choke on it
            update["streaming"] = False
        if not takes_seed:
            update["cache"] = False  # equal prompts would otherwise give equal samples
        return cls(
            model.model_copy(update=update),
            bound,
            takes_n="n" in fields and not responses_api,
            takes_seed=takes_seed,
            takes_logprobs="logprobs" in fields and "top_logprobs" in fields and not responses_api,
            temperature=temperature,
            top_p=top_p,
        )

    def call_arguments(self, *, n: int, seed: int, options: dict[str, Any]) -> dict[str, Any]:
        """The keyword arguments of one request: what was bound, pi_LLM's settings, and what the model takes."""
        arguments = {**self.bound, **options}
        if self.takes_n and (n > 1 or arguments.get("n", getattr(self.model, "n", None)) not in {None, 1}):
            arguments["n"] = n
        if self.takes_seed:
            arguments["seed"] = seed
        defining = {"temperature": self.temperature, "top_p": self.top_p}
        taken = {name: v for name, v in defining.items() if v is not None and name in type(self.model).model_fields}
        return {**arguments, **taken}


def _takes_responses_api(model: BaseChatModel, bound: dict[str, Any]) -> bool:
    """Whether an OpenAI client answers by the Responses API, which takes no `n`, `seed` or `logprobs`.

    The client also decides so by itself, e.g. for a model with `reasoning`: only it can say.
    """
    decides = getattr(model, "_use_responses_api", None)
    if callable(decides):
        return bool(decides({**getattr(model, "_default_params", {}), **bound}))
    return bool(getattr(model, "use_responses_api", None))


def named_model(name: str) -> BaseChatModel:
    """The chat model of that name, by LangChain's `init_chat_model`.

    Raises:
        InvalidSettingError: No provider knows it, or its key is missing.
        MissingDependencyError: Its provider's package is absent.
    """
    from langchain.chat_models import init_chat_model

    try:
        model = init_chat_model(name)
    except ImportError as error:
        raise MissingDependencyError(f"model {name!r} needs a package that is not installed: {error}") from error
    except Exception as error:
        raise InvalidSettingError(f"model {name!r} can't be used: {str(error)[:300]}") from error
    if not isinstance(model, BaseChatModel):
        raise InvalidSettingError(f"model {name!r} is no plain chat model; pass a provider, as in 'openai:gpt-4o-mini'")
    return model


def token_logprobs(message: AIMessage) -> list[TokenLogprob] | None:
    """The tokens of an answer with their log-probabilities (OpenAI's format); None where there are none."""
    content = (message.response_metadata.get("logprobs") or {}).get("content")
    if not content:
        return None
    return [
        TokenLogprob(
            entry["token"],
            float(entry["logprob"]),
            {item["token"]: float(item["logprob"]) for item in entry.get("top_logprobs") or []},
        )
        for entry in content
    ]
