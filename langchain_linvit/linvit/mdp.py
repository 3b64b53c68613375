"""Finite episodic Markov decision processes, and the only view of them that a learner gets: samples.

A `TabularMDP` is built from arrays, from a Gymnasium toy-text environment (`from_gymnasium`), or from any
environment of this library with finitely many reachable states (`from_environment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from langchain_linvit.errors import InvalidSettingError

Floats = NDArray[np.float64]

_TOLERANCE = 1e-6


class Simulator(Protocol):
    """What a learner may know of a problem: its sizes, where it starts, its rewards, and samples of it.

    Attributes:
        states: Number of states S.
        actions: Number of actions A.
        horizon: Steps of an episode, H.
        start: Distribution of the first state, shape `[S]`.
        rewards: Mean rewards in [0, 1], shape `[1, S, A]` or `[H, S, A]`; None where they must be learnt.
        stage_dependent: Whether transitions or rewards depend on the step of the episode.
    """

    states: int
    actions: int
    horizon: int
    start: Floats
    rewards: Floats | None
    stage_dependent: bool

    def reset(self, rng: np.random.Generator) -> int:
        """The first state of a new episode."""

    def step(self, h: int, state: int, action: int, rng: np.random.Generator) -> tuple[float, int]:
        """Reward in [0, 1] and next state of one action, taken in step `h` (0 to H-1)."""


class TabularMDP:
    """An episodic MDP with S states, A actions, H steps and rewards in [0, 1].

    Transitions are kept sparse, whatever form they come in.

    Args:
        transitions: `P(s'|s, a)`: dense `[S, A, S]`, or sparse `[S*A, S]` with row `s*A + a`. Where they
            depend on the step: dense `[H, S, A, S]`, or a list of H sparse matrices.
        rewards: Mean rewards, `[S, A]`, or `[H, S, A]` where they depend on the step.
        horizon: Steps of an episode, H.
        start: The first state, or a distribution over states `[S]`.
        bernoulli_rewards: Whether a sampled reward is 0 or 1 with the given mean, instead of the mean itself.
        state_names: A text for each state.
        action_names: A text for each action.
        admissible: Which actions exist in which state, `[S, A]`; information for priors only (what an
            inadmissible action does is in `transitions`). None: all.

    Raises:
        InvalidSettingError: Shapes that don't fit, or a row that is no distribution; the message names it.
    """

    def __init__(
        self,
        transitions: Any,
        rewards: ArrayLike,
        horizon: int,
        start: int | ArrayLike = 0,
        *,
        bernoulli_rewards: bool = False,
        state_names: Sequence[str] | None = None,
        action_names: Sequence[str] | None = None,
        admissible: ArrayLike | None = None,
    ) -> None:
        if horizon < 1:
            raise InvalidSettingError(f"horizon must be at least 1, not {horizon}")
        self.horizon = int(horizon)
        self.rewards = checked_rewards(rewards, self.horizon)
        self.states, self.actions = self.rewards.shape[1:]
        self._stages = _as_stages(transitions, self.states, self.actions, self.horizon)
        self.start = _start_distribution(start, self.states)
        self.bernoulli_rewards = bernoulli_rewards
        self.state_names = _checked_names(state_names, self.states, "state")
        self.action_names = _checked_names(action_names, self.actions, "action")
        shape = (self.states, self.actions)
        self.admissible = np.ones(shape, bool) if admissible is None else np.asarray(admissible, bool)
        if self.admissible.shape != shape or not self.admissible.any(axis=1).all():
            raise InvalidSettingError(f"admissible must have shape {shape}, with at least one action in every state")

    def __repr__(self) -> str:
        kind = "stage-dependent" if self.stage_dependent else "stationary"
        return f"TabularMDP(states={self.states}, actions={self.actions}, horizon={self.horizon}, {kind})"

    @property
    def stage_dependent(self) -> bool:
        """Whether transitions or rewards depend on the step of the episode."""
        return len(self._stages) > 1 or len(self.rewards) > 1

    def reward(self, h: int) -> Floats:
        """Mean rewards of step `h`, shape `[S, A]`."""
        return np.asarray(self.rewards[h if len(self.rewards) > 1 else 0])

    def transition(self, h: int) -> sparse.csr_array:
        """Transitions of step `h`, sparse `[S*A, S]` with row `s*A + a`."""
        return self._stages[h if len(self._stages) > 1 else 0]

    def backup(self, h: int, values: Floats) -> Floats:
        """`E[values(s') | s, a]` in step `h`, shape `[S, A]`, of next values `[S]`."""
        return np.asarray(self.transition(h) @ values).reshape(self.states, self.actions)

    def simulator(self, *, known_rewards: bool = True) -> Simulator:
        """The learner's view of this MDP: samples, and the mean rewards only if `known_rewards`."""
        return _MDPSimulator(self, known_rewards)


class _MDPSimulator:
    """Samples of a `TabularMDP`; its transitions are private to it."""

    def __init__(self, mdp: TabularMDP, known_rewards: bool) -> None:
        self.states, self.actions, self.horizon = mdp.states, mdp.actions, mdp.horizon
        self.start, self.stage_dependent = mdp.start, mdp.stage_dependent
        self.rewards = mdp.rewards if known_rewards else None
        self.__mdp = mdp
        self.__start = np.cumsum(mdp.start)

    def reset(self, rng: np.random.Generator) -> int:
        return int(np.searchsorted(self.__start[:-1], rng.random() * self.__start[-1], side="right"))

    def step(self, h: int, state: int, action: int, rng: np.random.Generator) -> tuple[float, int]:
        mdp, row = self.__mdp, state * self.actions + action
        matrix = mdp.transition(h)
        first, last = matrix.indptr[row], matrix.indptr[row + 1]
        if last - first > 1:
            cumulative = np.cumsum(matrix.data[first:last])
            first += np.searchsorted(cumulative[:-1], rng.random() * cumulative[-1], side="right")
        reward = float(mdp.reward(h)[state, action])
        if mdp.bernoulli_rewards:
            reward = float(rng.random() < reward)
        return reward, int(matrix.indices[first])


def checked_rewards(rewards: ArrayLike, horizon: int) -> Floats:
    """Mean rewards as `[1, S, A]` (the same in every step) or `[H, S, A]`.

    Raises:
        InvalidSettingError: The wrong shape, or a reward outside of [0, 1]; the message names it.
    """
    array = np.asarray(rewards, float)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or len(array) not in (1, horizon) or 0 in array.shape:
        raise InvalidSettingError(
            f"rewards must have shape [S, A] or [H, S, A] with H = {horizon}, not {np.shape(rewards)}"
        )
    wrong = ~((array >= 0) & (array <= 1))
    if wrong.any():
        h, s, a = (int(i) for i in np.argwhere(wrong)[0])
        stage = f"step {h}, " if len(array) > 1 else ""
        raise InvalidSettingError(
            f"the reward of {stage}state {s}, action {a} is {array[h, s, a]:g}; "
            "rewards must lie in [0, 1]: rescale them"
        )
    return array


def _as_stages(transitions: Any, states: int, actions: int, horizon: int) -> list[sparse.csr_array]:
    if sparse.issparse(transitions):
        matrices = [transitions]
    elif isinstance(transitions, list | tuple) and all(sparse.issparse(m) for m in transitions):
        matrices = list(transitions)
    else:
        dense = np.asarray(transitions, float)
        if dense.ndim not in (3, 4) or dense.shape[-3:] != (states, actions, states):
            raise InvalidSettingError(
                f"transitions must have shape [S, A, S] = {(states, actions, states)}, or [H, S, A, S], "
                f"to fit the rewards; not {dense.shape}"
            )
        dense = dense[None] if dense.ndim == 3 else dense
        matrices = [stage.reshape(states * actions, states) for stage in dense]
    if len(matrices) not in (1, horizon):
        raise InvalidSettingError(
            f"transitions are given for {len(matrices)} steps; give one for all, or H = {horizon}"
        )
    return [
        _checked_stage(matrix, (states * actions, states), actions, f"step {h}, " if len(matrices) > 1 else "")
        for h, matrix in enumerate(matrices)
    ]


def _checked_stage(matrix: Any, shape: tuple[int, int], actions: int, stage: str) -> sparse.csr_array:
    csr = sparse.csr_array(matrix, dtype=float)
    if csr.shape != shape:
        raise InvalidSettingError(f"sparse transitions must have shape [S*A, S] = {shape}, not {csr.shape}")
    csr.sum_duplicates()
    wrong = ~(np.isfinite(csr.data) & (csr.data >= 0))
    if wrong.any():
        row = int(np.searchsorted(csr.indptr, np.argmax(wrong), side="right")) - 1
        s, a = divmod(row, actions)
        raise InvalidSettingError(f"transitions have NaN, infinite or negative entries in {stage}state {s}, action {a}")
    totals = np.asarray(csr.sum(axis=1)).ravel()
    off = np.abs(totals - 1) > _TOLERANCE
    if off.any():
        s, a = divmod(int(np.argmax(off)), actions)
        raise InvalidSettingError(
            f"transitions sum to {totals[np.argmax(off)]:g}, not 1, in {stage}state {s}, action {a}"
        )
    csr.eliminate_zeros()
    return csr


def _start_distribution(start: int | ArrayLike, states: int) -> Floats:
    given = np.asarray(start, float)
    if given.ndim == 0:
        index = int(given)
        if not 0 <= index < states:
            raise InvalidSettingError(f"start state {index} does not exist; there are {states} states, from 0")
        return np.asarray(np.eye(1, states, index)[0])
    if given.shape != (states,) or not (given >= 0).all() or abs(given.sum() - 1) > _TOLERANCE:
        raise InvalidSettingError(f"start must be a state, or a distribution over the {states} states that sums to 1")
    return given


def _checked_names(names: Sequence[str] | None, count: int, kind: str) -> tuple[str, ...]:
    if names is None:
        return tuple(f"{kind} {i}" for i in range(count))
    if len(names) != count:
        raise InvalidSettingError(f"{len(names)} {kind} names are given for {count} {kind}s")
    return tuple(names)
