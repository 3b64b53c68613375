"""What an experiment runs: methods by name, SLINVIT by preset, and any graph, agent or function of a user.

    as_method("slinvit", environment)
    as_method("paper-alfworld", environment)
    as_method(my_agent, environment)
    as_method(lambda inputs: {"plan": ["go right"]}, environment)

Everything becomes a `Method`, so that it is seeded, budgeted, judged and counted alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.runnables import Runnable

from langchain_linvit.applications import Application, planner_settings
from langchain_linvit.environments.base import Environment
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.baselines import BeamSearch, BestOfN, BreadthFirst, Greedy
from langchain_linvit.evaluation.branches import ForkSearchMethod
from langchain_linvit.evaluation.lats import LATS
from langchain_linvit.evaluation.method import Method, SlinvitMethod
from langchain_linvit.evaluation.plan_and_solve import PlanAndSolve
from langchain_linvit.evaluation.rap import RAP
from langchain_linvit.evaluation.react import ReAct
from langchain_linvit.evaluation.reflexion import Reflexion
from langchain_linvit.evaluation.tree_of_thoughts import TreeOfThoughts
from langchain_linvit.evaluation.try_again import TryAgain
from langchain_linvit.evaluation.user_methods import FunctionMethod, RunnableMethod
from langchain_linvit.planner.settings import PRESETS

METHODS: dict[str, Callable[..., Method]] = {
    "slinvit": SlinvitMethod,
    "greedy": Greedy,
    "best_of_n": BestOfN,
    "react": ReAct,
    "try_again": TryAgain,
    "plan_and_solve": PlanAndSolve,
    "reflexion": Reflexion,
    "tot": TreeOfThoughts,
    "rap": RAP,
    "lats": LATS,
    "breadth_first": BreadthFirst,
    "beam_search": BeamSearch,
}
"""By name: called with an environment and settings. A method of yours joins by one more entry."""

SHARED_SETTINGS = ("value", "horizon")
"""Settings of an application that every method gets; the others are the planner's own."""

SEARCH_SETTINGS = (*SHARED_SETTINGS, "candidates")
"""Those that the other tree searches get: the same proposals at every state."""


def as_method(
    target: Any,
    environment: Environment | Callable[[], Environment],
    *,
    application: Application | None = None,
    **settings: Any,
) -> Method:
    """A target as a method.

    Args:
        target: A name of `METHODS`, a preset of SLINVIT (`PRESETS`), a `Method`, a graph or agent that takes
            `{"task": ...}` or `{"messages": [...]}`, or a function of an example's inputs.
        environment: A prototype or a factory, on which plans are made and judged.
        application: Whose settings a method that is made by name begins with.
        **settings: Keyword arguments of a method that is made by name.

    Raises:
        InvalidSettingError: There is no such method, or settings were given for one that is made already.
    """
    if isinstance(target, str):
        return _by_name(target, environment, application, settings)
    if settings:
        raise InvalidSettingError(
            f"settings ({', '.join(sorted(settings))}) go to methods that are made by name; give them to yours directly"
        )
    if isinstance(target, Method):
        return target
    if isinstance(target, Runnable):
        return RunnableMethod(target, environment)
    if callable(target):
        return FunctionMethod(target, environment)
    raise InvalidSettingError(
        f"a target is the name of a method, a Method, a graph, an agent or a function, not {type(target).__name__}"
    )


def _by_name(
    name: str, environment: Environment | Callable[[], Environment], application: Application | None,
    settings: dict[str, Any],
) -> Method:  # fmt: skip
    if name not in METHODS and name not in PRESETS:
        raise InvalidSettingError(
            f"no method {name!r}; there are {', '.join(METHODS)}, and SLINVIT's presets {', '.join(PRESETS)}"
        )
    if name == "slinvit" or name not in METHODS:
        preset = None if name == "slinvit" else name
        if application is not None:
            settings = planner_settings(application, preset, settings)
        elif preset is not None:
            settings = {"preset": preset, **settings}
        return SlinvitMethod(environment, name=name, **settings)
    own = application.settings if application is not None else {}
    method = METHODS[name]
    searches = isinstance(method, type) and issubclass(method, ForkSearchMethod)
    shared = {key: own[key] for key in (SEARCH_SETTINGS if searches else SHARED_SETTINGS) if key in own}
    try:
        return method(environment, **{**shared, **settings})
    except TypeError as error:
        raise InvalidSettingError(f"{name} can't be made with {', '.join(sorted(settings))}: {error}") from error
