"""Speed of LINVIT's backward induction: dense numpy, scipy.sparse and ours, on the same counts in one run.

All of them compute V_hi, V_lo, pi_bar and Q_hi - Q_lo with the same recursion, the same operator and prepared inputs;
what it takes ours to prepare them from the counts is a row of its own. Where rlberry is installed (or
`RLBERRY_PYTHON` names an interpreter that has it), so is an episode of its UCBVI.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from langchain_linvit.linvit import LINVIT, UCBVI, TabularMDP, random_mdp, uniform
from langchain_linvit.regularised import soft_backup_unchecked

SIZES = ((100, 5, 10, 50), (100, 5, 10, 2000), (1000, 20, 20, 50), (1000, 20, 20, 200), (1000, 20, 20, 3000))
"""S, A, H and random episodes that were seen before the plan."""
REPEATS = 15

RLBERRY = """
import json, sys, time
import numpy as np
from rlberry.envs.finite_mdp import FiniteMDP
from rlberry_scool.agents.ucbvi import UCBVIAgent
S, A, H, episodes = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
P = np.zeros((S, A, S))
for s in range(S):
    for a in range(A):
        P[s, a, rng.choice(S, 3, replace=False)] = rng.dirichlet(np.ones(3))
env = FiniteMDP(rng.random((S, A)), P, initial_state_distribution=0)
agent = UCBVIAgent(env, gamma=1.0, horizon=H, stage_dependent=False)
agent.fit(budget=2)
start = time.perf_counter()
agent.fit(budget=episodes)
print((time.perf_counter() - start) / episodes)
"""


def run() -> list[dict[str, Any]]:
    """Rows for each size, for S = 20,000, and for rlberry where it is there."""
    rows = [row for size in SIZES for row in _side_by_side(*size)]
    rows += [row for episodes in (50, 2500) for row in _large(episodes)]
    return rows + _rlberry()


def _seen(mdp: TabularMDP, episodes: int) -> LINVIT:
    """A learner that has counted `episodes` random episodes."""
    learner = LINVIT(mdp, uniform(mdp), eps=1.0, kl_coef=0.3, certify=False)
    rng, simulator = learner.rng, learner.simulator
    for _ in range(episodes):
        state = simulator.reset(rng)
        for h in range(mdp.horizon):
            action = int(rng.integers(mdp.actions))
            reward, following = simulator.step(h, state, action, rng)
            learner.counts.add(h, state, action, reward, following)
            state = following
    return learner


def _side_by_side(S: int, A: int, H: int, episodes: int) -> list[dict[str, Any]]:
    learner = _seen(random_mdp(S, A, H), episodes)
    stages = learner._stages()
    empirical, bonus = _full(learner)
    dense = empirical.toarray().reshape(S, A, S)
    ways: dict[str, Callable[[], Any]] = {
        "ours": lambda: learner._optimistic_plan(stages),
        "scipy.sparse": lambda: _plain(lambda V: (empirical @ V).reshape(S, A), bonus, learner),
        "dense numpy": lambda: _plain(lambda V: dense @ V, bonus, learner),
    }
    ours = ways["ours"]()
    for way in ("scipy.sparse", "dense numpy"):
        upper, lower, policy, _ = ways[way]()
        np.testing.assert_allclose((upper, lower), (ours.upper, ours.lower), rtol=1e-9)
        np.testing.assert_allclose(policy, ours.policy(), atol=1e-9)
    best = _interleaved(ways)
    size = f"S={S} A={A} H={H}, {learner.counts.triples} triples seen"
    rows = [_row(f"{way} / ours", best[way] / best["ours"], "x", size) for way in ("dense numpy", "scipy.sparse")]
    rows.append(_row("plan, ours", best["ours"] * 1e3, "ms", size))
    extra = _interleaved({"prepare": learner._stages})
    rows.append(_row("prepare from counts", extra["prepare"] * 1e3, "ms", size))
    return rows


def _full(learner: LINVIT) -> tuple[sparse.csr_array, Any]:
    """The empirical model of all pairs, and `bonus / rest` of each (1 where unseen)."""
    (model,) = learner.counts.models()
    S, A = learner.simulator.states, learner.simulator.actions
    pairs = model.states[model.cells % len(model.states)] * A + model.cells // len(model.states)
    seen = sparse.coo_array(model.P)
    empirical = sparse.csr_array((seen.data, (pairs[seen.row], seen.col)), shape=(S * A, S))
    bonus = np.ones(S * A)
    bonus[pairs] = learner.bonus.radius(model.visits)
    return empirical, bonus.reshape(S, A)


def _plain(backup: Callable[[Any], Any], bonus: Any, learner: LINVIT) -> tuple[Any, Any, list[Any], list[Any]]:
    """The recursion over all states and actions, as one would write it down: V_hi, V_lo, pi_bar, Q_hi - Q_lo."""
    H, rewards = learner.simulator.horizon, learner.simulator.rewards[0]
    log_prior = np.log(learner.prior[0])
    V_hi = V_lo = np.zeros(learner.simulator.states)
    policy, widths = [], []
    for h in reversed(range(H)):
        rest = H - 1 - h
        Q_hi = rewards + np.clip(backup(V_hi) + rest * bonus, 0, rest)
        Q_lo = rewards + np.clip(backup(V_lo) - rest * bonus, 0, rest)
        V_hi, pi_bar = soft_backup_unchecked(Q_hi, log_prior, learner.lam)
        V_lo, _ = soft_backup_unchecked(Q_lo, log_prior, learner.lam)
        policy.append(pi_bar)
        widths.append(Q_hi - Q_lo)
    return V_hi, V_lo, policy[::-1], widths[::-1]


def _large(episodes: int) -> list[dict[str, Any]]:
    """S = 20,000, where a dense model would take 64 GB."""
    S, A, H, successors = 20_000, 20, 20, 3
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(S * A), successors)
    P = sparse.csr_array((np.full(len(rows), 1 / successors), (rows, rng.integers(S, size=len(rows)))), (S * A, S))
    learner = _seen(TabularMDP(P, rng.random((S, A)), H), episodes)
    stages = learner._stages()
    best = _interleaved({"plan": lambda: learner._optimistic_plan(stages)}, repeats=3)
    note = f"S={S} A={A} H={H}, {learner.counts.triples} triples seen"
    return [_row("plan, ours", best["plan"] * 1e3, "ms", note)]


def _rlberry() -> list[dict[str, Any]]:
    S, A, H, episodes = 50, 4, 10, 20
    mdp = random_mdp(S, A, H)
    learner = UCBVI(mdp, eps=1.0, certify=False)
    start = time.perf_counter()
    learner.run(episodes, stop=False)
    ours = (time.perf_counter() - start) / episodes
    python = os.environ.get("RLBERRY_PYTHON", sys.executable)
    done = subprocess.run(
        [python, "-c", RLBERRY, str([S, A, H, episodes])], capture_output=True, text=True, timeout=600, check=False
    )
    note = f"S={S} A={A} H={H}, {episodes} episodes, planned after each"
    if done.returncode:
        missing = "rlberry-scool is not installed; RLBERRY_PYTHON may name an interpreter that has it"
        return [_row("rlberry UCBVI / ours", None, "x", missing)]
    theirs = float(done.stdout.split()[-1])
    return [
        _row("rlberry UCBVI / ours", theirs / ours, "x", f"{note}; rlberry as pip installs it"),
        _row("episode, ours", ours * 1e3, "ms", note),
    ]


def _interleaved(ways: dict[str, Callable[[], Any]], repeats: int = REPEATS) -> dict[str, float]:
    """Seconds of each way: the least of several calls, taken in turn."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def _row(measure: str, value: float | None, unit: str, note: str) -> dict[str, Any]:
    return {"benchmark": "linvit", "measure": measure, "value": value, "unit": unit, "note": note}
