"""Offline BlocksWorld models: simulated chat models that read the prompt's text and never the environment.

They are priors of a known quality for experiments without a key: a plausible but myopic `novice`, the same at
five noise levels (`novice-0` is the novice itself), `uniform` over the possible actions, and `adversarial`,
which prefers moves away from the goal. `VERSION` changes whenever one of their numbers does.
"""

from __future__ import annotations

from typing import Any, Final

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.blocksworld.preferences import VERSION
from langchain_linvit.models.blocksworld.replies import CRITIC_ERROR, IMAGINE_ERROR, BlocksWorldPolicy
from langchain_linvit.models.policy import PolicyChatModel

NOISE_LEVELS: Final = (0.0, 0.15, 0.3, 0.45, 0.6)
"""Share of the mass that `novice-0` to `novice-4` spread evenly over all that the novice considers."""

POLICIES: Final[dict[str, BlocksWorldPolicy]] = {
    "novice": BlocksWorldPolicy("novice"),
    **{f"novice-{level}": BlocksWorldPolicy("novice", noise) for level, noise in enumerate(NOISE_LEVELS)},
    "uniform": BlocksWorldPolicy("uniform"),
    "adversarial": BlocksWorldPolicy("adversarial"),
}
"""The policies by name."""


def blocksworld_model(name: str = "novice", **fields: Any) -> PolicyChatModel:
    """An offline chat model for BlocksWorld.

    Args:
        name: One of `POLICIES`.
        **fields: Fields of `PolicyChatModel`, e.g. `temperature=0`, `latency=0.05`, `failure_rate=0.3`.

    Raises:
        InvalidSettingError: There is no policy of that name.
    """
    if name not in POLICIES:
        raise InvalidSettingError(f"no BlocksWorld policy {name!r}; there are {', '.join(POLICIES)}")
    return PolicyChatModel(**{"policy": POLICIES[name], "model": f"blocksworld-{name}", **fields})


__all__ = [
    "CRITIC_ERROR",
    "IMAGINE_ERROR",
    "NOISE_LEVELS",
    "POLICIES",
    "VERSION",
    "BlocksWorldPolicy",
    "blocksworld_model",
]
