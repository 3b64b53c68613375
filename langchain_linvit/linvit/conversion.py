"""Tabular MDPs from environments: Gymnasium's toy-text ones, and this library's, explored through forks."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from langchain_linvit.environments.base import Environment, Task
from langchain_linvit.errors import InvalidSettingError, MissingDependencyError
from langchain_linvit.linvit.mdp import TabularMDP


def from_gymnasium(
    env: str | Any, horizon: int, *, reward_range: tuple[float, float] | None = None, **make_kwargs: Any
) -> TabularMDP:
    """The MDP of a Gymnasium toy-text environment, from its table `P`.

    A transition that ends the episode leads to one more, absorbing state (the last). Its reward is 0, before
    rescaling.

    Args:
        env: A Gymnasium id such as "FrozenLake-v1" (needs the package `gymnasium`), or an environment with `P`.
        horizon: Steps of an episode, H.
        reward_range: Lowest and highest reward, mapped to 0 and 1. An affine map: it doesn't change which
            policy is best over H steps. None: rewards must lie in [0, 1] already.
        **make_kwargs: Passed to `gymnasium.make`.

    Raises:
        InvalidSettingError: The environment has no table `P`, or rewards outside of the range.
        MissingDependencyError: An id was given, and Gymnasium is not installed.
    """
    env = _make(env, make_kwargs) if isinstance(env, str) else env
    env = getattr(env, "unwrapped", env)
    table = getattr(env, "P", None)
    if not table:
        raise InvalidSettingError(f"{type(env).__name__} has no transition table P; toy-text environments have one")
    states, actions = len(table), len(table[0])
    low, high = reward_range or (0.0, 1.0)
    P = sparse.lil_array(((states + 1) * actions, states + 1))
    P[states * actions :, states] = 1.0
    rewards = np.zeros((states + 1, actions))
    for s in range(states):
        for a in range(actions):
            for probability, following, reward, terminated in table[s][a]:
                P[s * actions + a, states if terminated else following] += probability
                rewards[s, a] += probability * reward
    rewards = (rewards - low) / (high - low)
    if rewards.min() < -1e-9 or rewards.max() > 1 + 1e-9:
        found = rewards * (high - low) + low
        raise InvalidSettingError(
            f"rewards of {type(env).__name__} go from {found.min():g} to {found.max():g}, outside of "
            f"{(low, high)}; pass reward_range=(lowest, highest)"
        )
    start = np.append(getattr(env, "initial_state_distrib", np.eye(1, states)[0]), 0.0)
    return TabularMDP(P.tocsr(), np.clip(rewards, 0, 1), horizon, start)


def from_environment(
    environment: Environment, task: Task | str | None = None, *, horizon: int | None = None, max_states: int = 20_000
) -> TabularMDP:
    """The MDP of a deterministic environment with finitely many reachable states, explored through forks.

    The action set is the union of all admissible actions. An action that is not admissible in a state leaves
    it as it is and earns 0, as the environment's contract has it. States in which the episode is over are
    absorbing. The reward is the transition's own, and 1 where it solves the task.

    Args:
        environment: The environment; it is only forked.
        task: The task to start; None starts at the environment's current state.
        horizon: Steps of an episode; None takes the environment's own.
        max_states: More reachable states than this is an error.

    Raises:
        InvalidSettingError: The environment doesn't name its states or actions, or has too many states.
    """
    if task is None:
        root = environment.fork()
    else:
        root = environment.spawn()
        root.reset(task)
    horizon = horizon or root.horizon
    if horizon is None:
        raise InvalidSettingError(f"{type(root).__name__} has no horizon of its own; pass horizon=")
    exploration = _Exploration(max_states)
    exploration.visit(root)
    return exploration.mdp(horizon)


class _Exploration:
    """Breadth-first search over the states of an environment, each numbered when it is first seen."""

    def __init__(self, max_states: int) -> None:
        self.max_states = max_states
        self.index: dict[tuple[str, bool], int] = {}
        self.texts: list[str] = []
        self.actions: dict[str, int] = {}
        self.edges: list[tuple[int, int, int, float]] = []
        self.admissible: list[list[int]] = []

    def visit(self, root: Environment) -> None:
        frontier = [(self.number(root, over=False), root)]
        while frontier:
            following = []
            for state, environment in frontier:
                for child, is_new in self.expand(state, environment):
                    if is_new:
                        following.append((self.index[_key(child), False], child))
            frontier = following

    def expand(self, state: int, environment: Environment) -> list[tuple[Environment, bool]]:
        names = environment.admissible_actions()
        if names is None:
            raise InvalidSettingError(f"{type(environment).__name__} doesn't name its admissible actions")
        numbers = [self.actions.setdefault(name, len(self.actions)) for name in names]
        self.admissible[state] = numbers
        children = []
        for name, action in zip(names, numbers, strict=True):
            child = environment.fork()
            transition = child.step(name)
            if transition.error is not None:
                continue
            over = transition.done or bool(transition.solved)
            known = len(self.index)
            reward = max(transition.reward, float(bool(transition.solved)))
            self.edges.append((state, action, self.number(child, over), reward))
            children.append((child, len(self.index) > known and not over))
        return children

    def number(self, environment: Environment, over: bool) -> int:
        key = (_key(environment), over)
        if key not in self.index:
            if len(self.index) >= self.max_states:
                raise InvalidSettingError(
                    f"{type(environment).__name__} has more than {self.max_states} reachable states; raise "
                    "max_states, or take a smaller task"
                )
            self.index[key] = len(self.index)
            self.texts.append(environment.state_text())
            self.admissible.append([])
        return self.index[key]

    def mdp(self, horizon: int) -> TabularMDP:
        states, actions = len(self.index), len(self.actions)
        following = np.repeat(np.arange(states), actions)
        rewards = np.zeros((states, actions))
        admissible = np.zeros((states, actions), bool)
        for state, action, child, reward in self.edges:
            following[state * actions + action] = child
            rewards[state, action] = reward
        for state, numbers in enumerate(self.admissible):
            admissible[state, numbers or slice(None)] = True
        rows = np.arange(states * actions)
        P = sparse.csr_array((np.ones(len(rows)), (rows, following)), shape=(len(rows), states))
        return TabularMDP(
            P, rewards, horizon, state_names=self.texts, action_names=list(self.actions), admissible=admissible
        )


def _key(environment: Environment) -> str:
    key = environment.state_key()
    if key is None:
        raise InvalidSettingError(f"{type(environment).__name__} has no state keys: its states can't be told apart")
    return key


def _make(name: str, kwargs: dict[str, Any]) -> Any:
    try:
        import gymnasium
    except ImportError as error:
        raise MissingDependencyError(f"{name!r} needs Gymnasium: pip install gymnasium") from error
    return gymnasium.make(name, **kwargs)
