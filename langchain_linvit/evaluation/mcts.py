"""Monte-Carlo tree search with UCT, apart from what its nodes stand for: the core that RAP and LATS share.

Nodes are plain data. The tree selects, grows and backs up; what a node is worth and what follows it is asked
from a `Simulator`. Source: UCT (Kocsis and Szepesvari, 2006), in the form of RAP (arXiv 2305.14992, section 3.3
and algorithm 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Aggregate = Literal["mean", "max"]
"""What Q is of the returns that were backed up: their mean, or the largest of them."""
Returns = Callable[[Sequence[float]], list[float]]
"""From the rewards along a path to what is backed up to each of its nodes."""


@dataclass(slots=True)
class MCTSNode:
    """One node.

    Attributes:
        parent: Index of its parent; None for the root.
        depth: Edges from the root.
        guess: What it is taken to be worth before its first visit.
        reward: Of arriving here; known once it was reached.
        reached: Whether its reward is known.
        terminal: Whether nothing can follow.
        closed: Whether everything below it has come to an end, so that another visit finds out nothing.
        children: Indices of its children in the order proposed; None where it was not expanded.
        visits: Returns that were backed up to it.
        total: Their sum.
        best: The largest of them.
    """

    parent: int | None
    depth: int
    guess: float = 0.0
    reward: float = 0.0
    reached: bool = False
    terminal: bool = False
    closed: bool = False
    children: list[int] | None = None
    visits: int = 0
    total: float = 0.0
    best: float = -math.inf


class Simulator(Protocol):
    """What a tree's nodes stand for."""

    @property
    def finished(self) -> bool:
        """Whether the search has found what it looks for."""

    async def reach(self, node: int) -> tuple[float, bool]:
        """The reward of arriving at a node, and whether nothing can follow it; asked once for each node."""

    async def expand(self, node: int) -> Sequence[float] | None:
        """What each child of a node is taken to be worth before its first visit; None where that failed this time."""


@dataclass(slots=True)
class MCTSTree:
    """A search tree with UCT.

    Attributes:
        exploration: w, the weight of the exploration term.
        aggregate: What Q is of the returns.
        returns: What is backed up along a path.
        revisit: Whether closed nodes are selected as well, as in plain UCT. In a world without chance that only repeats
            what is known.
        nodes: All of them; the root is the first.
    """

    exploration: float = 1.0
    aggregate: Aggregate = "mean"
    returns: Returns = field(default=lambda rewards: reward_to_go(rewards))
    revisit: bool = False
    nodes: list[MCTSNode] = field(default_factory=lambda: [MCTSNode(None, 0)])

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing left to find out."""
        return self.nodes[0].closed and not self.revisit

    def q(self, index: int) -> float:
        """Q of a node: its guess before the first visit, then the aggregate of its returns."""
        node = self.nodes[index]
        if not node.visits:
            return node.guess
        return node.best if self.aggregate == "max" else node.total / node.visits

    def uct(self, index: int) -> float:
        """Q plus `exploration * sqrt(ln(visits of the parent) / visits)`, an unvisited node counted as visited once."""
        node = self.nodes[index]
        tries = 1 if node.parent is None else max(self.nodes[node.parent].visits, 1)
        return self.q(index) + self.exploration * math.sqrt(math.log(tries) / max(node.visits, 1))

    def select(self) -> list[int]:
        """The path of the highest UCT from the root to a node without children; ties go to the first."""
        path = [0]
        while children := self.eligible(path[-1]):
            path.append(max(children, key=self.uct))
        return path

    def eligible(self, index: int) -> list[int]:
        """The children of a node that may be visited; none before it is expanded."""
        return [child for child in self.nodes[index].children or () if self.revisit or not self.nodes[child].closed]

    def grow(self, index: int, guesses: Sequence[float]) -> None:
        """Give a node its children."""
        depth, first = self.nodes[index].depth + 1, len(self.nodes)
        self.nodes += [MCTSNode(index, depth, guess) for guess in guesses]
        self.nodes[index].children = list(range(first, len(self.nodes)))

    def likeliest(self, index: int) -> int | None:
        """The child with the highest guess, the first of equals; None where there is none."""
        return max(self.eligible(index), key=lambda child: self.nodes[child].guess, default=None)

    def back_up(self, path: Sequence[int]) -> None:
        """Add the returns of a path to its nodes."""
        for index, value in zip(path, self.returns([self.nodes[index].reward for index in path]), strict=True):
            node = self.nodes[index]
            node.visits += 1
            node.total += value
            node.best = max(node.best, value)
        for index in reversed(path):
            node = self.nodes[index]
            below = node.children is not None and all(self.nodes[child].closed for child in node.children)
            node.closed = node.terminal or below


async def iterate(tree: MCTSTree, simulator: Simulator) -> list[int]:
    """One iteration: select a leaf, go on from it by the highest guess to an end, and back up.

    Returns:
        The path; its end is terminal, has no children, or could not be expanded this time.
    """
    path = tree.select()
    while True:
        node = tree.nodes[path[-1]]
        if not node.reached:
            node.reward, node.terminal = await simulator.reach(path[-1])
            node.reached = True
        if node.terminal or simulator.finished:
            break
        if node.children is None:
            guesses = await simulator.expand(path[-1])
            if guesses is None:
                break
            tree.grow(path[-1], guesses)
        child = tree.likeliest(path[-1])
        if child is None or simulator.finished:
            break
        path.append(child)
    tree.back_up(path)
    return path


def reward_to_go(rewards: Sequence[float]) -> list[float]:
    """At each place the sum of the rewards from there on: what RAP backs up."""
    sums: list[float] = []
    for reward in reversed(rewards):
        sums.append(reward + (sums[-1] if sums else 0.0))
    return sums[::-1]


def final_reward(rewards: Sequence[float]) -> list[float]:
    """The reward of the path's end at every place: what LATS backs up."""
    return [rewards[-1]] * len(rewards)
