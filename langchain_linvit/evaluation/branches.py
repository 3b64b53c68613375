"""Searches over forks: proposals of the prior carried out, rated and remembered, for Tree of Thoughts, RAP and LATS."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from langchain_linvit.calls import Caller, ModelEnvironment
from langchain_linvit.environments.base import Environment, Transition
from langchain_linvit.environments.imagined import ImaginedEnvironment
from langchain_linvit.errors import BudgetExhaustedError, InvalidSettingError, ModelCallError
from langchain_linvit.evaluation.method import Episode, EpisodeMethod, commit
from langchain_linvit.planner.graph import make_prior
from langchain_linvit.planner.parts import Simulation
from langchain_linvit.planner.result import TreeNode
from langchain_linvit.planner.tree import log_sum_exp
from langchain_linvit.priors import PolicyPrior, PriorMethod, Proposal, Provenance
from langchain_linvit.prompts import Situation
from langchain_linvit.values import Leaf, ValueEstimate, ValueEstimator

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class Branch:
    """A plan, and what came of it in a fork; a dead one can't be carried out.

    Attributes:
        id: Where it stands among its siblings, and theirs: `0.2.1`; empty for the root.
        parent: The branch that it goes on from; None for the root.
        plan: The actions from the root on.
        history: (action, observation) pairs from the episode's start on.
        log_prob: log pi_LLM of its last action among what was proposed with it.
        environment: Live, at its state; None where it is dead.
        key: Equal states have equal keys.
        last: The last transition.
        agreement: The prior's mass, in [0, 1], of its live siblings (itself included) that reached the same state.
        error: Why it is dead.
        value: V^ as far as it is known.
    """

    id: str = ""
    parent: Branch | None = None
    plan: list[str] = field(default_factory=list)
    history: list[tuple[str, str]] = field(default_factory=list)
    log_prob: float = 0.0
    provenance: Provenance = "uniform"
    environment: Environment | None = None
    key: str = ""
    last: Transition = field(default_factory=lambda: Transition(""))
    agreement: float = 1.0
    error: str | None = None
    value: float | None = None

    @property
    def live(self) -> Environment:
        """Its environment; a dead branch has none, and is never asked."""
        assert self.environment is not None, "a dead branch has no environment"  # noqa: S101 - for the type checker
        return self.environment

    @property
    def solved(self) -> bool:
        """Whether the task is plainly solved there."""
        return self.environment is not None and bool(self.environment.solved)


class ForkSearch:
    """What the tree searches among the baselines share: one prior, one estimator, forks, and a memory of values.

    Units of work (a proposal request, a rating) run at once on equal shares of the budget. A unit whose share was
    too small goes on with what the others left, so that a budget is spent to its last completion.

    Args:
        episode: The real episode, not begun yet.
        prior: Proposes actions.
        value: Rates states; bound to a model already.
        candidates: Proposals asked per state; None scores every admissible action.
        opened: Closes every fork in the end.
    """

    def __init__(
        self, episode: Episode, prior: PolicyPrior, value: ValueEstimator, candidates: int | None, opened: ExitStack
    ) -> None:  # fmt: skip
        self.episode = episode
        self.prior = prior
        self.solved: Branch | None = None
        self.branches: list[Branch] = []
        self._value = value
        self._candidates = candidates
        self._opened = opened
        self._prepared: dict[str, Any] = {}
        self._values: dict[str, float] = {}

    async def start(self, environment: Environment) -> Branch:
        """The root, at the state of `environment`; also prepares the estimator, whose failure is noted.

        Raises:
            BudgetExhaustedError: A budget has run out.
        """
        episode = self.episode
        fork = self._opened.enter_context(closing(await episode.caller.fork(environment)))
        root = Branch(history=list(episode.history), environment=fork, key=fork.state_key() or "")
        self.branches.append(root)
        try:
            self._prepared = await self._value.prepare(Situation.of(fork, []), episode.caller)
        except ModelCallError as failure:
            episode.failed(failure)
        return root

    def is_over(self, branch: Branch) -> bool:
        """Whether nothing can follow: the episode is over there, its steps are used up, or it is dead."""
        done = branch.error is not None or branch.last.done or branch.solved
        return done or len(branch.plan) >= self.episode.horizon

    async def expand(self, parents: Sequence[Branch]) -> list[list[Branch] | None]:
        """The children of each parent, dead ones included; None where the model or the budget failed it.

        Raises:
            BudgetExhaustedError: Nothing could be proposed, or nothing carried out.
            ModelCallError: Too many calls in a row failed.
        """
        proposed = await self._units(parents, self._propose)
        families = [
            None if found is None else self._family(parent, found)
            for parent, found in zip(parents, proposed, strict=True)
        ]
        born = [child for family in families for child in family or ()]
        await self._carry_out([child for child in born if child.error is None])
        for family in families:
            _count_agreement([child for child in family or () if child.environment is not None])
        self.branches += born
        self.solved = self.solved or next((child for child in born if child.solved), None)
        return families

    async def rate(self, branches: Sequence[Branch]) -> None:
        """V^ of each branch: 1 where solved, 0 where dead or plainly failed, else the estimate of its state.

        Equal states are rated once. A branch that the model or the budget failed stays without a value.

        Raises:
            BudgetExhaustedError: Nothing could be rated.
            ModelCallError: Too many calls in a row failed.
        """
        wanted: dict[str, Branch] = {}
        for branch in branches:
            branch.value = self._known(branch)
            if branch.value is None:
                wanted.setdefault(self._memo_key(branch), branch)
        waiting = list(wanted.values())
        estimates: Sequence[ValueEstimate | None] = []
        if self._value.per_leaf:
            estimates = await self._units(waiting, self._estimate)
        elif waiting:
            leaves = [self._leaf(branch) for branch in waiting]
            estimates = await self._value.estimate(leaves, self.episode.caller, self._prepared)
        for branch, estimate in zip(waiting, estimates, strict=True):
            if estimate is not None:
                self._values[self._memo_key(branch)] = estimate.value
                if estimate.error:
                    self.episode.notes.append(estimate.error)
        for branch in branches:
            branch.value = self._known(branch)

    def _known(self, branch: Branch) -> float | None:
        if branch.solved:
            return 1.0
        if branch.environment is None or (branch.last.done and branch.environment.solved is False):
            return 0.0
        return self._values.get(self._memo_key(branch))

    def _memo_key(self, branch: Branch) -> str:
        return f"{branch.key}@{len(branch.plan)}" if self._value.uses_horizon else branch.key

    def _leaf(self, branch: Branch) -> Leaf:
        return Leaf(
            branch.id,
            Situation.of(branch.live, branch.history),
            branch.live,
            self.episode.horizon - len(branch.plan),
            parent=branch.parent.id if branch.parent else "",
            log_prob=branch.log_prob,
            observation=branch.last.observation,
            agreement=branch.agreement,
        )

    async def _estimate(self, branch: Branch, caller: Caller) -> ValueEstimate:
        return (await self._value.estimate([self._leaf(branch)], caller, self._prepared))[0]

    async def _propose(self, parent: Branch, caller: Caller) -> list[Proposal]:
        situation = Situation.of(parent.live, parent.history)
        return await self.prior.propose(situation, self._candidates, caller, path=["branch", parent.id])

    def _family(self, parent: Branch, proposals: Sequence[Proposal]) -> list[Branch]:
        family = []
        counts = self.episode.prior
        for index, proposal in enumerate(proposals):
            counts[proposal.provenance] = counts.get(proposal.provenance, 0) + 1
            child = Branch(f"{parent.id}.{index}".lstrip("."), parent, [*parent.plan, proposal.text])
            child.log_prob, child.provenance, child.error = proposal.log_prob, proposal.provenance, proposal.error
            family.append(child)
        return family

    async def _carry_out(self, pending: Sequence[Branch]) -> None:
        """Take each branch's last action in a fork of its parent; imagined steps, which are calls, all at once."""
        if pending and isinstance(pending[0].parent and pending[0].parent.environment, ModelEnvironment):
            await self._units(pending, self._step)
        else:
            await self._step_in_turn(pending)
        for child in pending:
            if child.environment is not None:
                self.episode.seen.add(child.key)
            elif child.error is None:
                child.error = "the budget ran out before it was carried out"

    async def _step_in_turn(self, pending: Sequence[Branch]) -> None:
        """One step after the other, until no more is granted; that raises only where not one was."""
        for number, child in enumerate(pending):
            try:
                await self._step(child, self.episode.caller)
            except BudgetExhaustedError:
                if number == 0:
                    raise
                return

    async def _step(self, child: Branch, caller: Caller) -> None:
        parent = child.parent or child
        with ExitStack() as unless_kept:
            fork = unless_kept.enter_context(closing(await caller.fork(parent.live)))
            child.last = await caller.step(fork, child.plan[-1])
            if child.last.error is not None:
                child.error = child.last.error
                return
            child.history = [*parent.history, (child.plan[-1], child.last.observation)]
            child.key = fork.state_key() or child.id
            child.environment = fork
            self._opened.push(unless_kept.pop_all())

    async def _units(
        self, items: Sequence[Item], unit: Callable[[Item, Caller], Awaitable[Result]]
    ) -> list[Result | None]:  # fmt: skip
        """The result of each item's unit, run at once; None where it failed for good, or no budget was left for it."""
        results: list[Result | None] = [None] * len(items)
        waiting, answered, failures = list(range(len(items))), 0, []
        while waiting:
            outcomes = await self.episode.caller.gather([_caught(unit, items[index]) for index in waiting])
            refused = []
            for index, outcome in zip(waiting, outcomes, strict=True):
                if isinstance(outcome, BudgetExhaustedError):
                    refused.append(index)
                elif isinstance(outcome, ModelCallError):
                    failures.append(outcome)
                else:
                    results[index], answered = outcome, answered + 1
            if len(refused) == len(items):
                raise next(outcome for outcome in outcomes if isinstance(outcome, BudgetExhaustedError))
            waiting = refused if len(refused) < len(waiting) else []
        self._note(failures, answered)
        return results

    def _note(self, failures: Sequence[ModelCallError], answered: int) -> None:
        """Note what failed; a round in which nothing was answered counts as one more failure in a row."""
        episode = self.episode
        episode.notes += [str(failure) for failure in (failures if answered else failures[:-1])]
        if answered:
            episode.failures = 0
        elif failures:
            episode.failed(failures[-1])

    def record(self, chosen: Branch) -> None:
        """Put the whole search into the episode's result; the branches that led to `chosen` are marked."""
        led: set[str] = set()
        branch: Branch | None = chosen
        while branch is not None:
            led.add(branch.id)
            branch = branch.parent
        self.episode.tree = [_tree_node(branch, branch.id in led) for branch in self.branches]


class ForkSearchMethod(EpisodeMethod):
    """A baseline that searches a tree of forks, and carries out the best branch that it found.

    Args:
        environment: A prototype or a factory.
        candidates: Proposals asked per state; None scores every admissible action.
        prior: A rung of the prior's ladder, or a prior of your own, as for `create_slinvit_planner`.
        simulation: Try actions in forks of the environment, or in the model's imagination of it.
        **options: Those of `EpisodeMethod`; `value` rates states.

    Raises:
        InvalidSettingError: `candidates` is below 1.
    """

    def __init__(
        self, environment: Any, *, candidates: int | None, prior: PolicyPrior | PriorMethod = "auto",
        simulation: Simulation = "fork", **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(environment, **options)
        if candidates is not None and candidates < 1:
            raise InvalidSettingError(f"candidates must be at least 1, or None for all actions; not {candidates}")
        self._candidates = candidates
        self._prior = prior
        self._simulation = simulation

    def value_name(self) -> str:
        """The estimator that rates states."""
        return self._value.name

    @abstractmethod
    async def search(self, search: ForkSearch, root: Branch, model: Any) -> None:
        """Grow the tree until it is solved or nothing is left to do; errors of budgets and calls may raise through."""

    def best(self, search: ForkSearch) -> Branch:
        """The branch to carry out where none is solved: the first of the highest V^, unrated ones last."""
        live = [branch for branch in search.branches if branch.parent and branch.environment]
        return max(live, key=lambda branch: -1.0 if branch.value is None else branch.value, default=search.branches[0])

    async def run(self, episode: Episode, model: Any) -> None:
        """Search, then carry out the best branch."""
        prior = make_prior(self._prior, model)
        start = episode.environment
        if self._simulation == "imagine":
            start = ImaginedEnvironment.of(start, model, episode.history)
        with ExitStack() as opened:
            search = ForkSearch(episode, prior, self._value.bound_to(prior, model), self._candidates, opened)
            try:
                root = await search.start(start)
                await self.search(search, root, model)
            except (BudgetExhaustedError, ModelCallError):
                pass  # the best so far is carried out
            best = search.solved or self.best(search)
            search.record(best)
        await commit(episode, best.plan)


def _caught(
    unit: Callable[[Item, Caller], Awaitable[Result]], item: Item
) -> Callable[[Caller], Awaitable[Result | BudgetExhaustedError | ModelCallError]]:
    """`unit` of `item` with its two expected errors as results, so that one failure loses no other's work."""

    async def run(caller: Caller) -> Result | BudgetExhaustedError | ModelCallError:
        try:
            return await unit(item, caller)
        except (BudgetExhaustedError, ModelCallError) as error:
            return error

    return run


def _count_agreement(live: Sequence[Branch]) -> None:
    total = log_sum_exp([branch.log_prob for branch in live])
    for branch in live:
        same = [other.log_prob for other in live if other.key == branch.key]
        branch.agreement = math.exp(log_sum_exp(same) - total)


def _tree_node(branch: Branch, chosen: bool) -> TreeNode:
    root = branch.parent is None
    return TreeNode(
        id=branch.id or "root",
        parent=None if branch.parent is None else branch.parent.id or "root",
        text="" if root else branch.plan[-1],
        decision=0,
        status="root" if root else "dead" if branch.error else "chosen" if chosen else "open",
        log_prob=None if root else branch.log_prob,
        provenance="" if root else branch.provenance,
        value=None if branch.error else branch.value,
        reward=branch.last.reward,
        solved=None if branch.environment is None else branch.environment.solved,
        error=branch.error,
        observation=branch.last.observation,
    )
