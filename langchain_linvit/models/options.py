"""The options of a simulated call: the model's own, with those of the call put over them."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from langchain_linvit.errors import InvalidSettingError


class SamplingOptions(BaseModel):
    """How replies are drawn. Each option is also taken by every call, and by `bind`."""

    model_config = ConfigDict(populate_by_name=True)

    model_name: str = Field(default="policy", validation_alias=AliasChoices("model", "model_name"))
    """The name that responses and traces carry."""

    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Log-probabilities of replies are divided by it; 0 takes the most probable reply, the first if tied."""

    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Replies are drawn from the fewest most probable ones that have this mass."""

    n: Annotated[int, Field(ge=1, le=128)] = 1
    """Independent samples per request, one generation each. `invoke` returns the first."""

    seed: int | None = None
    """The same seed and messages give the same replies. None: see `PolicyChatModel.random_state`."""

    logprobs: bool = False
    """Whether `response_metadata["logprobs"]` has the log-probability of every token, as OpenAI's has."""

    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    """How many alternatives each token's entry lists; needs `logprobs`."""

    stop: list[str] | None = None
    """A text ends before the first of these strings."""

    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """A text ends after so many tokens, with the finish reason `length`. Tool calls are never cut."""

    @model_validator(mode="after")
    def _logprobs_for_top_logprobs(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs=True")
        return self


OPTION_NAMES = tuple(SamplingOptions.model_fields)

WITHOUT_EFFECT = frozenset({"parallel_tool_calls", "strict", "stream", "stream_usage", "timeout"})
"""Options of calls that are common, and mean nothing to a model that is a function."""


def call_options(model: SamplingOptions, given: dict[str, Any]) -> SamplingOptions:
    """The options of one call: the model's, with what was given to the call or bound before.

    Raises:
        InvalidSettingError: An option that is unknown or out of its range.
    """
    changes = {"model_name" if name == "model" else name: value for name, value in given.items()}
    unknown = sorted(changes.keys() - WITHOUT_EFFECT - set(OPTION_NAMES))
    if unknown:
        raise InvalidSettingError(f"unknown options {unknown}; a call takes {', '.join(OPTION_NAMES)} and tools")
    values = {name: changes.get(name, getattr(model, name)) for name in OPTION_NAMES}
    try:
        return SamplingOptions.model_validate(values)
    except ValidationError as error:
        raise InvalidSettingError(f"invalid options of a call: {'; '.join(map(_problem, error.errors()))}") from error


def _problem(error: ErrorDetails) -> str:
    where = "".join(f"{part} = {error['input']!r:.80}: " for part in error["loc"])
    return where + error["msg"]
