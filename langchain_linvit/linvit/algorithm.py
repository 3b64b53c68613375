"""LINVIT: optimistic value iteration, regularised towards the prior of a language model.

Read it from top to bottom: `run` (of `Learner`) repeats `play` until the certificate says that the policy is
good enough. `play` follows a plan for one episode, counts what it sees, and plans again. `_optimistic_plan`,
`_certify` and `_empirical_plan` are the three backward inductions of the paper's algorithm, over the visited
transitions only.

Notation: h is a step, 0 to H-1; `rest` = H-1-h is the number of steps that follow it; p is pi_LLM; lam weighs
`KL(pi || p)`; n counts visits; P^ is the empirical model; b is the bonus.

Source: "How Can LLM Guide RL? A Value-Based Approach" (arXiv 2402.16181), section 5; the machinery is that of
Tiapkin et al., "Demonstration-Regularized RL" (arXiv 2310.17303, UCBVI-Ent+).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit.bonuses import Bonus, BonusName
from langchain_linvit.linvit.counts import Counts, EmpiricalModel
from langchain_linvit.linvit.exact import checked_policy
from langchain_linvit.linvit.learner import Certificate, Learner, sample
from langchain_linvit.linvit.mdp import Simulator, TabularMDP, checked_rewards
from langchain_linvit.linvit.planning import Plan, Stage, Unseen, at_step
from langchain_linvit.linvit.priors import smooth
from langchain_linvit.regularised import soft_backup_unchecked

Floats = NDArray[np.float64]

SMOOTHING = 0.1
"""Share of the uniform policy in a prior whose divergence from the optimal policy is not known."""


class LINVIT(Learner):
    """Finds an eps-optimal policy from samples, in fewer episodes the better its prior is.

    Args:
        problem: A `TabularMDP`, of which only samples (and known rewards) are used, or any `Simulator`.
        prior: pi_LLM: `[S, A]`, or `[H, S, A]` where it depends on the step; rows sum to 1.
        eps: How far from optimal the returned policy may be, in units of return.
        eps_llm: Upper bound on `KL(pi* || pi_LLM)` (Definition 5.1). It sets `lam = eps / (2 * eps_llm)`, at most
            H, so that the regularisation costs at most eps/2. With 0 the prior itself is returned.
        kl_coef: lam itself, instead of `eps_llm`. With neither, the prior is smoothed by 10% of the uniform
            policy, for which `H * log(A / 0.1)` bounds the divergence, and lam follows from that.
        delta: Probability with which the bounds may fail.
        bonus: "simple", "bernstein" or "hoeffding"; see `Bonus`.
        bonus_scale: Factor on the bonus. 1 is theory, and hopelessly cautious; 0.03 to 0.1 is practice.
        exploration: "mixed" takes, in one random step of each episode, the action whose bounds are
            furthest apart, and follows the plan in all others; "pi_bar" always follows the plan.
        replan: "always" plans after each episode; "doubling" when the visits of some pair have doubled.
        certify: Whether to compute the bounds of the certificate, which takes about half of the time.
            Without, a run ends at `max_episodes` only.
        stage_dependent: Whether the model is learnt for each step apart; None: as the problem is.
        known_rewards: Whether mean rewards are known; only for a `TabularMDP`.
        seed: Of everything random.

    Raises:
        InvalidSettingError: A setting out of range, or a prior with a bad row; the message names it.
    """

    def __init__(
        self,
        problem: TabularMDP | Simulator,
        prior: ArrayLike,
        *,
        eps: float,
        eps_llm: float | None = None,
        kl_coef: float | None = None,
        delta: float = 0.1,
        bonus: BonusName = "simple",
        bonus_scale: float = 0.1,
        exploration: Literal["mixed", "pi_bar"] = "mixed",
        replan: Literal["always", "doubling"] = "always",
        certify: bool = True,
        stage_dependent: bool | None = None,
        known_rewards: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(problem, known_rewards=known_rewards, seed=seed)
        S, A, H = self.simulator.states, self.simulator.actions, self.simulator.horizon
        if exploration not in ("mixed", "pi_bar"):
            raise InvalidSettingError(f"exploration must be 'mixed' or 'pi_bar', not {exploration!r}")
        if replan not in ("always", "doubling"):
            raise InvalidSettingError(f"replan must be 'always' or 'doubling', not {replan!r}")
        if not 0 < eps < math.inf:
            raise InvalidSettingError(f"eps must be positive, not {eps}")
        self.prior = checked_policy(prior, S, A, H, "prior")
        if kl_coef is None and eps_llm is None:
            self.prior, eps_llm = smooth(self.prior, SMOOTHING), H * math.log(A / SMOOTHING)
        self.eps, self.eps_llm = eps, eps_llm
        self.lam = temperature(eps, eps_llm, kl_coef, H)
        self.bonus = Bonus(bonus, bonus_scale, delta / 2 if self.simulator.rewards is None else delta, S, A, H)
        self.exploration, self.replan, self.certify = exploration, replan, certify
        rewards = None if self.simulator.rewards is None else checked_rewards(self.simulator.rewards, H)
        lowest = np.zeros((1, S, A)) if rewards is None else rewards
        highest = np.ones((1, S, A)) if rewards is None else rewards
        self._unseen = Unseen.of(self.prior, self.lam, lowest, highest)
        with np.errstate(divide="ignore"):
            self._log_prior = np.log(self.prior).transpose(0, 2, 1).copy()
        self._lowest = lowest.transpose(0, 2, 1).copy()
        self._highest = self._lowest if rewards is not None else highest.transpose(0, 2, 1)
        by_stage = self.simulator.stage_dependent if stage_dependent is None else stage_dependent
        if self.simulator.stage_dependent and not by_stage:
            raise InvalidSettingError(
                "this problem depends on the step: its counts can't be pooled; leave stage_dependent out"
            )
        self.counts = Counts(S, A, H if by_stage else 1)
        self.update()

    # ---- one episode -------------------------------------------------------------------------------------

    def play(self) -> float:
        """Play one episode with the current plan, count what it shows, and plan again."""
        H = self.simulator.horizon
        deviation = self.rng.integers(H) if self.exploration == "mixed" else -1
        state, earned, doubled = self.simulator.reset(self.rng), 0.0, False
        for h in range(H):
            action = self._widest(h, state) if h == deviation else sample(self.plan.row(h, state), self.rng)
            reward, following = self.simulator.step(h, state, action, self.rng)
            n = self.counts.add(h, state, action, reward, following)
            doubled |= n & (n - 1) == 0
            state, earned = following, earned + reward
        if doubled or self.replan == "always":
            self.update()
        return earned

    def update(self) -> None:
        """Plan on what has been counted so far, and certify the plan."""
        stages = self._stages()
        self.plan = self._optimistic_plan(stages)
        self._empirical: Plan | None = None
        self._certificate = self._certify(stages) if self.certify else None

    @property
    def empirical_plan(self) -> Plan:
        """The plan without any bonus, on the same counts as `plan`; made when it is asked for."""
        if self._empirical is None:
            self._empirical = self._empirical_plan(self.plan.stages)
        return self._empirical

    def _widest(self, h: int, state: int) -> int:
        """The action of the prior's support whose value is least certain; ties are broken at random."""
        support = at_step(self.prior, h)[state] > 0
        width = self.plan.width(h, state)
        if width is not None:
            support &= width >= width[support].max() - 1e-12
        return int(self.rng.choice(np.flatnonzero(support)))

    # ---- the three backward inductions -------------------------------------------------------------------

    def _optimistic_plan(self, stages: list[Stage]) -> Plan:
        """Optimism and pessimism about the regularised problem: V_hi >= V*_lam >= V_lo, and pi_bar."""
        lam, H, unseen = self.lam, self.simulator.horizon, self._unseen
        V_hi = V_lo = np.zeros(self.simulator.states)
        rows, widths = [], []
        for h in reversed(range(H)):
            stage, rest = stages[h], H - 1 - h
            Q_hi = stage.q(stage.reward_hi + stage.upper(V_hi, rest), stage.unseen_hi, rest)
            Q_lo = stage.q(stage.reward_lo + stage.lower(V_lo, rest), stage.unseen_lo)
            V_hi, V_lo = at_step(unseen.soft_hi, h) + rest, at_step(unseen.soft_lo, h).copy()
            V_hi[stage.states], pi_bar = soft_backup_unchecked(Q_hi, stage.log_prior, lam)
            V_lo[stage.states], _ = soft_backup_unchecked(Q_lo, stage.log_prior, lam)
            rows.append(pi_bar)
            widths.append(Q_hi - Q_lo)
        return Plan(stages, rows[::-1], unseen.policy, V_hi, V_lo, widths[::-1])

    def _empirical_plan(self, stages: list[Stage]) -> Plan:
        """The soft policy of the model as it was seen, without any bonus; unseen actions are worth their reward."""
        H = self.simulator.horizon
        V = np.zeros(self.simulator.states)
        rows = []
        for h in reversed(range(H)):
            stage = stages[h]
            Q = stage.q(stage.reward + stage.expected(V), stage.unseen_lo)
            V = at_step(self._unseen.soft_lo, h).copy()
            V[stage.states], pi = soft_backup_unchecked(Q, stage.log_prior, self.lam)
            rows.append(pi)
        return Plan(stages, rows[::-1], self._unseen.policy, V, V)

    def _certify(self, stages: list[Stage]) -> Certificate:
        """U_hi >= V*, and W <= V^pi for both policies, of the problem without regularisation."""
        H, unseen = self.simulator.horizon, self._unseen
        U_hi = W = W_empirical = np.zeros(self.simulator.states)
        for h in reversed(range(H)):
            stage, rest = stages[h], H - 1 - h
            Q_hi = stage.q(stage.reward_hi + stage.upper(U_hi, rest), stage.unseen_hi, rest)
            Q_W = stage.q(stage.reward_lo + stage.lower(W, rest), stage.unseen_lo)
            Q_We = stage.q(stage.reward_lo + stage.lower(W_empirical, rest), stage.unseen_lo)
            U_hi = at_step(unseen.best, h) + rest
            W, W_empirical = at_step(unseen.expected_lo, h).copy(), at_step(unseen.expected_lo, h).copy()
            U_hi[stage.states] = Q_hi.max(axis=1)
            W[stage.states] = (self.plan.rows[h] * Q_W).sum(axis=1)
            W_empirical[stage.states] = (self.empirical_plan.rows[h] * Q_We).sum(axis=1)
        start = self.simulator.start
        return Certificate(
            v_hi=float(start @ self.plan.upper),
            v_lo=float(start @ self.plan.lower),
            u_hi=float(start @ U_hi),
            w=float(start @ W),
            w_empirical=float(start @ W_empirical),
            v_empirical=float(start @ self.empirical_plan.upper),
            bias=self._bias(),
            eps=self.eps,
            guaranteed=self.bonus.scale >= 1 and self.bonus.name != "simple",
        )

    # ---- what the backward inductions stand on -----------------------------------------------------------

    def _stages(self) -> list[Stage]:
        """The visited part of every step; one object for all steps where nothing depends on the step."""
        models = self.counts.models()
        radii = [self.bonus.radius(model.visits) for model in models]
        apart = max(len(models), len(self.prior), len(self._lowest))
        stages = [self._stage(h, models[h % len(models)], radii[h % len(models)]) for h in range(apart)]
        return stages * (self.simulator.horizon // apart)

    def _stage(self, h: int, model: EmpiricalModel, radius: Floats) -> Stage:
        lowest = at_step(self._lowest, h).take(model.states, axis=1)
        highest = lowest if self._highest is self._lowest else at_step(self._highest, h).take(model.states, axis=1)
        if self.simulator.rewards is None:
            b = self.bonus.reward(model.visits)
            mean, low, high = model.rewards, np.maximum(model.rewards - b, 0), np.minimum(model.rewards + b, 1)
        else:
            mean = low = high = lowest.reshape(-1)[model.cells]
        return Stage(
            model=model,
            bonus=self.bonus,
            radius=radius,
            log_prior=at_step(self._log_prior, h).take(model.states, axis=1).T,
            unseen_hi=highest.T,
            unseen_lo=lowest.T,
            reward_hi=high,
            reward_lo=low,
            reward=mean,
        )

    def _bias(self) -> float:
        """What the regularisation may cost: `lam * eps_llm`."""
        if self.eps_llm is None:
            return math.inf
        return self.lam * self.eps_llm if self.eps_llm > 0 else 0.0

    # ---- results, and resuming ---------------------------------------------------------------------------

    @property
    def certificate(self) -> Certificate | None:
        """The bounds after the last plan; None with `certify=False`."""
        return self._certificate

    def policies(self) -> tuple[Floats, Floats]:
        """pi_bar, and the empirical policy, each `[H, S, A]`."""
        return self.plan.policy(), self.empirical_plan.policy()

    def save(self, path: str | Path) -> None:
        """Write counts, trace and random state to a file `.npz`, from which `load` goes on."""
        state = {"episodes": self.episodes, "random": self.rng.bit_generator.state}
        trace = {f"trace_{name}": np.array(values) for name, values in self._trace.items()}
        with Path(path).open("wb") as file:
            np.savez_compressed(file, state=np.array(json.dumps(state)), **self.counts.arrays(), **trace)  # type: ignore[arg-type]

    def load(self, path: str | Path) -> None:
        """Go on from a file that `save` wrote; with `replan="always"`, exactly as if it had never stopped.

        Raises:
            InvalidSettingError: The file is none of `save`, or of a problem of another size.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as file:
                arrays = dict(file)
            state = json.loads(str(arrays["state"]))
            counts = Counts.from_arrays(arrays)
            random = state["random"]
            episodes = int(state["episodes"])
            trace = {n.removeprefix("trace_"): v.tolist() for n, v in arrays.items() if n.startswith("trace_")}
        except (OSError, KeyError, TypeError, ValueError, EOFError, BadZipFile) as error:
            raise InvalidSettingError(f"{path} can't be resumed from: {error}") from error
        if counts.sizes != self.counts.sizes:
            raise InvalidSettingError(
                f"{path} holds counts of (S, A, stages) = {counts.sizes}, but this problem has {self.counts.sizes}"
            )
        self.counts, self.episodes, self._trace = counts, episodes, trace
        self.rng.bit_generator.state = random
        self.update()

    def _finished(self, stop: bool) -> str | None:
        return "prior is optimal" if stop and self.eps_llm == 0 else super()._finished(stop)


def temperature(eps: float, eps_llm: float | None, kl_coef: float | None, horizon: int) -> float:
    """lam: `kl_coef`, or `eps / (2 * eps_llm)` and at most H; infinite where the prior is known to be optimal.

    Raises:
        InvalidSettingError: Both, neither, or one out of range.
    """
    if kl_coef is not None and eps_llm is None:
        if not kl_coef >= 0:
            raise InvalidSettingError(f"kl_coef must be at least 0, not {kl_coef}")
        return kl_coef
    if kl_coef is not None or eps_llm is None:
        raise InvalidSettingError("give either kl_coef or eps_llm, not both")
    if not 0 <= eps_llm < math.inf:
        raise InvalidSettingError(
            f"eps_llm must be finite and at least 0, not {eps_llm}; smooth a prior that excludes every optimal policy"
        )
    return min(eps / (2 * eps_llm), float(horizon)) if eps_llm > 0 else math.inf
