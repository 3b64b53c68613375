"""What every learner has in common: the loop over episodes, its trace, and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit.mdp import Simulator, TabularMDP

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Certificate:
    """What a learner can say about its policies at the start state, from its samples alone.

    The two gaps bound `V* - V^pi` as long as the bonus covers the error of the model (`guaranteed`).

    Attributes:
        v_hi, v_lo: Bounds on the regularised optimal value V*_lam.
        u_hi: Upper bound on the optimal value V*.
        w: Lower bound on the value of `policy`.
        w_empirical: Lower bound on the value of `empirical`.
        v_empirical: Regularised value of `empirical` in the empirical model: an estimate, no bound.
        bias: `lam * eps_llm`, what the regularisation may cost; infinite where eps_llm is not known.
        eps: The accuracy that was asked for.
        guaranteed: Whether the bonus is one that theory covers: at full scale, and for every value function.
    """

    v_hi: float
    v_lo: float
    u_hi: float
    w: float
    w_empirical: float
    v_empirical: float
    bias: float
    eps: float
    guaranteed: bool

    @property
    def gap(self) -> float:
        """Bound on `V* - V^pi` of `policy`: `min(V_hi + lam * eps_llm, U_hi) - W`."""
        return min(self.v_hi + self.bias, self.u_hi) - self.w

    @property
    def gap_empirical(self) -> float:
        """The same bound for `empirical`."""
        return min(self.v_hi + self.bias, self.u_hi) - self.w_empirical

    @property
    def certified(self) -> bool:
        """Whether `policy` is within `eps` of optimal, as far as the bounds hold."""
        return self.gap <= self.eps

    def row(self) -> dict[str, float]:
        """The numbers that a trace records."""
        names = ("v_hi", "v_lo", "u_hi", "w", "w_empirical", "v_empirical", "gap", "gap_empirical")
        return {name: float(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class LearningResult:
    """What a run returns.

    Attributes:
        policy: The policy that the learner followed last, pi_bar for LINVIT, `[H, S, A]`.
        empirical: The policy of the same model without any bonus, `[H, S, A]`: usually the better one.
        episodes: Episodes played in all, those before a resume included.
        stopped: Why the run ended: "certified", "max_episodes" or "prior is optimal".
        certificate: The bounds at the end; None for learners without.
        trace: One entry for each episode: `episode`, its `return`, and the certificate after it.
    """

    policy: Floats
    empirical: Floats
    episodes: int
    stopped: str
    certificate: Certificate | None
    trace: dict[str, Floats]


class Learner(ABC):
    """Base of LINVIT and the baselines: plays episodes with a simulator, and sees nothing but samples.

    Args:
        problem: A `TabularMDP`, of which only samples are used, or any `Simulator`.
        known_rewards: Whether mean rewards are known; only for a `TabularMDP`.
        seed: Of everything random: exploration and, for a `TabularMDP`, its transitions.
    """

    def __init__(self, problem: TabularMDP | Simulator, *, known_rewards: bool = True, seed: int = 0) -> None:
        if isinstance(problem, TabularMDP):
            problem = problem.simulator(known_rewards=known_rewards)
        self.simulator: Simulator = problem
        self.rng = np.random.default_rng(seed)
        self.episodes = 0
        self._trace: dict[str, list[float]] = {}

    @abstractmethod
    def play(self) -> float:
        """Play one episode, learn from it, and return the sum of its rewards."""

    @abstractmethod
    def policies(self) -> tuple[Floats, Floats]:
        """The two policies that would be returned now: `policy` and `empirical`, each `[H, S, A]`."""

    @property
    def certificate(self) -> Certificate | None:
        """The bounds after the last episode; None for learners without."""
        return None

    def run(
        self,
        max_episodes: int,
        *,
        stop: bool = True,
        progress: bool = False,
        callback: Callable[[Self], None] | None = None,
    ) -> LearningResult:
        """Play until certified, or until `max_episodes` have been played in all.

        Args:
            max_episodes: Total number, those of earlier calls and of a loaded file included.
            stop: Whether to stop as soon as the certificate's gap is at most eps.
            progress: Whether to show a progress bar with the gap on the terminal.
            callback: Called with the learner after each episode.

        Raises:
            InvalidSettingError: `max_episodes` is negative.
        """
        if max_episodes < 0:
            raise InvalidSettingError(f"max_episodes must be at least 0, not {max_episodes}")
        with _progress(progress, max_episodes, self.episodes) as advance:
            while (reason := self._finished(stop)) is None and self.episodes < max_episodes:
                earned = self.play()
                self.episodes += 1
                self._record(earned)
                advance(self.episodes, self.certificate)
                if callback is not None:
                    callback(self)
        policy, empirical = self.policies()
        trace = {name: np.array(values) for name, values in self._trace.items()}
        return LearningResult(policy, empirical, self.episodes, reason or "max_episodes", self.certificate, trace)

    def _finished(self, stop: bool) -> str | None:
        certificate = self.certificate if stop else None
        return "certified" if certificate is not None and certificate.certified else None

    def _record(self, earned: float) -> None:
        row = {"episode": float(self.episodes), "return": earned}
        if self.certificate is not None:
            row |= self.certificate.row()
        for name, value in row.items():
            self._trace.setdefault(name, []).append(value)


@contextmanager
def _progress(shown: bool, total: int, done: int) -> Iterator[Callable[[int, Certificate | None], None]]:
    if not shown:
        yield lambda *_: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("episodes"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.description}")) as bar:
        task = bar.add_task("", total=total, completed=done)

        def advance(episodes: int, certificate: Certificate | None) -> None:
            text = "" if certificate is None else f"gap {certificate.gap:.3g}, eps {certificate.eps:g}"
            bar.update(task, completed=episodes, description=text)

        yield advance


def sample(probabilities: Floats, rng: np.random.Generator) -> int:
    """A draw from a distribution `[A]`; an action of probability 0 is never drawn."""
    cumulative = np.cumsum(probabilities)
    return int(np.searchsorted(cumulative[:-1], rng.random() * cumulative[-1], side="right"))
