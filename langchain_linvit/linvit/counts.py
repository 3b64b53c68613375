"""What a learner has seen: counts of visited transitions, and the empirical model made of them.

Memory and time go with the visited triples (s, a, s'), not with S * A * S.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from langchain_linvit.errors import InvalidSettingError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DENSE_SHARE, _DENSE_SIZE = 0.1, 50_000
"""Share of non-zero transitions from which on, and size up to which, a dense product is faster than a sparse one."""


@dataclass(frozen=True)
class EmpiricalModel:
    """The visited part of one step's empirical model: M visited states, R visited pairs (s, a).

    Attributes:
        states: The states with a visited action, `[M]`.
        position: Place of each state in `states`, `[S]`; -1 where no action of it was visited.
        cells: Place of each visited pair in a flat `[A, M]` array, `[R]`, ascending.
        P: Empirical transitions of the visited pairs, `[R, S]`, sparse or dense.
        visits: n(s, a) of the visited pairs, `[R]`.
        rewards: Empirical mean rewards of the visited pairs, `[R]`.
    """

    states: Ints
    position: Ints
    cells: Ints
    P: Any
    visits: Floats
    rewards: Floats


class Counts:
    """n(s, a), n(s, a, s') and summed rewards, pooled over the steps of the episode or for each step.

    Args:
        states: Number of states S.
        actions: Number of actions A.
        stages: 1 to pool the steps of the episode (stationary MDPs), else H.
    """

    def __init__(self, states: int, actions: int, stages: int = 1) -> None:
        self.states, self.actions = states, actions
        self._tables = [_Table(states, actions) for _ in range(stages)]

    @property
    def stages(self) -> int:
        """1 where the steps of the episode are pooled, else H."""
        return len(self._tables)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """S, A and the number of stages."""
        return self.states, self.actions, self.stages

    @property
    def triples(self) -> int:
        """Number of distinct visited triples, over all stages."""
        return sum(table.size for table in self._tables)

    def add(self, h: int, state: int, action: int, reward: float, following: int) -> int:
        """Count one transition of step `h`; returns n(s, a) after it."""
        return self._tables[h % len(self._tables)].add(state, action, reward, following)

    def visits(self, h: int = 0) -> Ints:
        """n(s, a) of step `h`, shape `[S, A]`."""
        table = self._tables[h % len(self._tables)]
        flat = np.zeros(self.states * self.actions, np.int64)
        flat[table.pairs[: table.rows]] = table.visits[: table.rows]
        return flat.reshape(self.states, self.actions)

    def models(self) -> list[EmpiricalModel]:
        """The empirical model of each stage."""
        return [table.model() for table in self._tables]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything as plain arrays, for a file; `from_arrays` reads them."""
        parts: dict[str, NDArray[Any]] = {"sizes": np.array([self.states, self.actions, self.stages])}
        for stage, table in enumerate(self._tables):
            parts.update({f"{name}_{stage}": array for name, array in table.arrays().items()})
        return parts

    @classmethod
    def from_arrays(cls, arrays: Any) -> Counts:
        """Counts as `arrays` wrote them.

        Raises:
            InvalidSettingError: Something is missing, or out of range.
        """
        try:
            counts = cls(*(int(size) for size in arrays["sizes"]))
            for stage, table in enumerate(counts._tables):
                table.fill({name: arrays[f"{name}_{stage}"] for name in _Table.SAVED})
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InvalidSettingError(f"the saved counts can't be read: {error}") from error
        return counts


class _Table:
    """The counts of one stage, as growing arrays: one entry for each visited pair, one for each triple."""

    SAVED = ("pairs", "visits", "reward_sums", "rows_of", "next_states", "counts")

    def __init__(self, states: int, actions: int) -> None:
        self.states, self.actions = states, actions
        self.rows = self.size = 0
        self.row_index: dict[int, int] = {}
        self.slot_index: dict[int, int] = {}
        self.pairs = np.zeros(16, np.int64)
        self.visits = np.zeros(16, np.int64)
        self.reward_sums = np.zeros(16)
        self.rows_of = np.zeros(16, np.int64)
        self.next_states = np.zeros(16, np.int64)
        self.counts = np.zeros(16, np.int64)
        self._layout: _Layout | None = None

    def add(self, state: int, action: int, reward: float, following: int) -> int:
        row = self._row(state * self.actions + action)
        slot = self._slot(row, following)
        self.visits[row] += 1
        self.reward_sums[row] += reward
        self.counts[slot] += 1
        return int(self.visits[row])

    def _row(self, pair: int) -> int:
        row = self.row_index.get(pair)
        if row is None:
            row = self.row_index[pair] = self.rows
            self.rows += 1
            self.pairs, self.visits, self.reward_sums = (
                _grown(array, self.rows) for array in (self.pairs, self.visits, self.reward_sums)
            )
            self.pairs[row] = pair
        return row

    def _slot(self, row: int, following: int) -> int:
        key = row * self.states + following
        slot = self.slot_index.get(key)
        if slot is None:
            slot = self.slot_index[key] = self.size
            self.size += 1
            self.rows_of, self.next_states, self.counts = (
                _grown(array, self.size) for array in (self.rows_of, self.next_states, self.counts)
            )
            self.rows_of[slot], self.next_states[slot] = row, following
        return slot

    def model(self) -> EmpiricalModel:
        if self._layout is None or self._layout.size != self.size:
            self._layout = _Layout(self)
        layout = self._layout
        visits = self.visits[layout.rows].astype(float)
        counts, rows_of = self.counts[: self.size], self.rows_of[: self.size]
        return EmpiricalModel(
            states=layout.states,
            position=layout.position,
            cells=layout.cells,
            P=layout.transitions(counts / self.visits[rows_of]),
            visits=visits,
            rewards=self.reward_sums[layout.rows] / visits,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        ends = (self.rows, self.rows, self.rows, self.size, self.size, self.size)
        return {name: getattr(self, name)[:end] for name, end in zip(self.SAVED, ends, strict=True)}

    def fill(self, saved: dict[str, NDArray[Any]]) -> None:
        pairs, rows_of, following = saved["pairs"], saved["rows_of"], saved["next_states"]
        for name, values, limit in (
            ("pairs", pairs, self.states * self.actions),
            ("rows_of", rows_of, len(pairs)),
            ("next_states", following, self.states),
        ):
            if len(values) and (values.min() < 0 or values.max() >= limit):
                raise ValueError(f"{name} holds values outside of 0 to {limit - 1}")
        if not len(pairs) == len(saved["visits"]) == len(saved["reward_sums"]):
            raise ValueError("pairs, visits and reward_sums differ in length")
        for name in self.SAVED:
            setattr(self, name, np.array(saved[name]))
        self.rows, self.size = len(pairs), len(rows_of)
        self.row_index = {int(pair): row for row, pair in enumerate(pairs)}
        self.slot_index = {int(key): slot for slot, key in enumerate(rows_of * self.states + following)}
        if (np.bincount(rows_of, saved["counts"], minlength=self.rows) != saved["visits"]).any():
            raise ValueError("counts and visits don't add up")


class _Layout:
    """The sparsity pattern of a table, its pairs in the order of their cells: it changes with new triples only."""

    def __init__(self, table: _Table) -> None:
        pairs, rows_of = table.pairs[: table.rows], table.rows_of[: table.size]
        self.size = table.size
        self.states, places = np.unique(pairs // table.actions, return_inverse=True)
        self.position = np.full(table.states, -1)
        self.position[self.states] = np.arange(len(self.states))
        cells = pairs % table.actions * len(self.states) + places
        self.rows = np.argsort(cells)
        self.cells = cells[self.rows]
        ranks = np.empty_like(self.rows)
        ranks[self.rows] = np.arange(table.rows)
        self.order = np.argsort(ranks[rows_of], kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(ranks[rows_of], minlength=table.rows))])
        indices = table.next_states[: table.size][self.order]
        shape = (table.rows, table.states)
        self.matrix = sparse.csr_array((np.ones(self.size), indices, indptr), shape=shape)
        self.dense = table.rows * table.states <= max(self.size / _DENSE_SHARE, _DENSE_SIZE)

    def transitions(self, probabilities: Floats) -> Any:
        self.matrix.data[:] = probabilities[self.order]
        return self.matrix.toarray() if self.dense else self.matrix


def _grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    return array if size <= len(array) else np.concatenate([array, np.zeros_like(array)])
