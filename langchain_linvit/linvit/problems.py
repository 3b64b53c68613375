"""Small problems with a known solution, on which exploration is hard in different ways."""

from __future__ import annotations

import numpy as np

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit.mdp import TabularMDP


def river_swim(length: int = 6, horizon: int | None = None) -> TabularMDP:
    """A river of `length` states: swimming right is hard and pays 1 at the end, the left bank pays 0.05.

    Actions: 0 left, 1 right. Horizon 4 * length by default. Source: Strehl and Littman (2008), with the left bank's
    reward on the scale of Osband et al., "(More) Efficient Reinforcement Learning via Posterior Sampling" (2013).
    """
    _at_least(length, 2, "length")
    P, rewards = np.zeros((length, 2, length)), np.zeros((length, 2))
    for s in range(length):
        P[s, 0, max(s - 1, 0)] = 1
        P[s, 1, max(s - 1, 0)] += 0.05
        P[s, 1, s] += 0.6
        P[s, 1, min(s + 1, length - 1)] += 0.35
    rewards[0, 0], rewards[-1, 1] = 0.05, 1.0
    return TabularMDP(P, rewards, horizon or 4 * length, action_names=("left", "right"))


def deep_sea(size: int = 10) -> TabularMDP:
    """A `size` x `size` sea: each step sinks one row; only `size` steps to the right reach the treasure.

    A step to the right costs a little, so that a greedy learner turns away: rewards are shifted by that cost, to lie
    in [0, 1]. Actions: 0 left, 1 right. Horizon `size`. Source: Osband et al., "Behaviour Suite" (2019).
    """
    _at_least(size, 2, "size")
    cost = 0.01 / size
    index = np.arange(size * size).reshape(size, size)
    P, rewards = np.zeros((size * size, 2, size * size)), np.zeros((size * size, 2))
    for row in range(size):
        below = min(row + 1, size - 1)
        for column in range(size):
            s = index[row, column]
            P[s, 0, index[below, max(column - 1, 0)]] = 1
            P[s, 1, index[below, min(column + 1, size - 1)]] = 1
            rewards[s] = cost, 0.0
    rewards[index[-1, -1], 1] = 1.0
    return TabularMDP(P, rewards, size, action_names=("left", "right"))


def grid(size: int = 5, slip: float = 0.1, horizon: int | None = None) -> TabularMDP:
    """A `size` x `size` grid from one corner to the opposite one, which pays 1 in every step spent there.

    A move goes to a random neighbour with probability `slip`; walls are stayed at. Actions: 0 up, 1 right, 2 down,
    3 left. Horizon 4 * size by default.
    """
    _at_least(size, 2, "size")
    if not 0 <= slip <= 1:
        raise InvalidSettingError(f"slip must lie in [0, 1], not {slip}")
    moves = ((-1, 0), (0, 1), (1, 0), (0, -1))
    P, rewards = np.zeros((size * size, 4, size * size)), np.zeros((size * size, 4))
    for s in range(size * size):
        row, column = divmod(s, size)
        reached = [
            min(max(row + down, 0), size - 1) * size + min(max(column + right, 0), size - 1) for down, right in moves
        ]
        for action, following in enumerate(reached):
            P[s, action, following] += 1 - slip
            for other in reached:
                P[s, action, other] += slip / 4
    rewards[-1] = 1.0
    return TabularMDP(P, rewards, horizon or 4 * size, action_names=("up", "right", "down", "left"))


def random_mdp(
    states: int, actions: int, horizon: int, *, successors: int = 3, stage_dependent: bool = False, seed: int = 0
) -> TabularMDP:
    """A random MDP with `successors` next states for each pair (a Garnet), and uniform random rewards."""
    rng = np.random.default_rng(seed)
    stages = horizon if stage_dependent else 1
    P = np.zeros((stages, states, actions, states))
    for index in np.ndindex(stages, states, actions):
        chosen = rng.choice(states, size=min(successors, states), replace=False)
        P[index][chosen] = rng.dirichlet(np.ones(len(chosen)))
    rewards = rng.random((stages, states, actions))
    return TabularMDP(P if stage_dependent else P[0], rewards, horizon)


def _at_least(value: int, least: int, name: str) -> None:
    if value < least:
        raise InvalidSettingError(f"{name} must be at least {least}, not {value}")
