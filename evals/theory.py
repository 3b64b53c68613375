"""Does a better prior need fewer episodes? Theorem 5.2 of arXiv 2402.16181, measured.

    python -m evals.theory                # everything: results/theory.json, then table and picture
    python -m evals.theory --parts chat   # only that part; the other rows of the file are kept
    python -m evals.theory --quick        # under a minute; writes nothing unless --json says where
    python -m evals.theory --plot-only    # table and picture again, from the committed results

On each problem, and for each prior, the number of episodes until the exact `V* - V^pi` of a returned policy
is and stays within eps = 10% of V*, out of `max_episodes`. The learners see samples only; the exact values
are the experimenter's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from rich.progress import track

from evals.common import RESULTS, parser, write_results
from evals.theory_report import draw, report
from langchain_linvit.environments.base import Task
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, generate_problems
from langchain_linvit.linvit import (
    LINVIT,
    UCBVI,
    TabularMDP,
    adversarial,
    chat_prior,
    deep_sea,
    evaluate,
    from_environment,
    grid,
    mix,
    optimal,
    prior_divergence,
    regularised_optimal,
    river_swim,
)
from langchain_linvit.linvit.exact import start_values
from langchain_linvit.models.blocksworld import blocksworld_model

ETAS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
SCALE = 0.1
"""Fixed on river-swim (6 states), which is not among the problems: `calibration` below, in the results."""
OTHER_SCALE = 0.03
"""For the sensitivity to that choice: the first two problems, half of the seeds."""
SCALES = (0.01, 0.03, 0.1, 0.3, 1.0)
SHARE = 0.1
"""eps as a share of V*."""
SETTLED = 0.9
"""A policy that comes within eps only later than this share of a run has not been seen to stay there."""
PARTS = ("episodes", "calibration", "coverage", "sensitivity", "chat")
Row = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """An MDP, and how many episodes its runs get."""

    name: str
    mdp: TabularMDP
    max_episodes: int

    @cached_property
    def best(self) -> float:
        """V* at the start."""
        return optimal(self.mdp).start_value


def problems(quick: bool) -> list[Problem]:
    """The three problems; smaller ones for a quick look."""
    if quick:
        return [Problem("deep sea 6", deep_sea(6), 40), Problem("grid 3x3", grid(3), 40), blocksworld(3, 4, 40)[1]]
    return [Problem("deep sea 10", deep_sea(10), 150), Problem("grid 5x5", grid(5), 100), blocksworld(4, 6, 400)[1]]


def blocksworld(blocks: int, steps: int, max_episodes: int) -> tuple[Task, Problem]:
    """The first generated problem of that size; the horizon allows two steps more than the shortest plan."""
    (task,) = generate_problems(blocks=blocks, steps=steps, count=1, seed=0)
    mdp = from_environment(BlocksWorldEnvironment(), task, horizon=steps + 2)
    return task, Problem(f"BlocksWorld {blocks}", mdp, max_episodes)


Candidate = tuple[dict[str, Any], Callable[[int], LINVIT], Any]
"""What is compared: a description, a function from a seed to a learner, and its prior."""


def fixed(problem: Problem, scale: float) -> dict[str, Any]:
    """The settings that all learners share; planning on doubled counts saves most of the time."""
    return {"eps": SHARE * problem.best, "bonus_scale": scale, "replan": "doubling", "certify": False}


def ucbvi(problem: Problem, scale: float, exploration: str, actions: Any = None) -> Candidate:
    """UCBVI: on all actions, or on those given."""
    about = {"method": "ucbvi", "prior": f"none, {exploration}", "kl": None, "kl_factor": None}
    settings = fixed(problem, scale) | {"exploration": exploration, "actions": actions}
    return about, lambda seed: UCBVI(problem.mdp, seed=seed, **settings), None


def linvit(problem: Problem, scale: float, name: str, prior: Any, factor: float | None = 1.0) -> Candidate:
    """LINVIT that takes eps_LLM for `factor` times what it is; None: it isn't told."""
    kl = prior_divergence(problem.mdp, prior)
    eps_llm = None if factor is None else kl * factor
    about = {"method": "linvit", "prior": name, "kl": kl, "kl_factor": factor}
    settings = fixed(problem, scale) | {"eps_llm": eps_llm}
    return about, lambda seed: LINVIT(problem.mdp, prior, seed=seed, **settings), prior


def candidates(problem: Problem, scale: float, misjudged: bool) -> Iterator[Candidate]:
    """UCBVI and every prior; with `misjudged`, two priors whose divergence is taken for another."""
    for exploration in ("pi_bar", "mixed"):
        yield ucbvi(problem, scale, exploration)
    priors = [(f"mix {eta:g}", mix(problem.mdp, eta)) for eta in ETAS]
    priors += [(f"adversarial {s:g}/A", adversarial(problem.mdp, s / problem.mdp.actions)) for s in (0.1, 0.01)]
    for name, prior in priors:
        told: tuple[float | None, ...] = (1.0,)
        if misjudged and name in ("mix 0.35", "adversarial 0.1/A"):
            told = (1.0, 0.25, 4.0, None)
        for factor in told:
            yield linvit(problem, scale, name, prior, factor)


def chat_candidates(problem: Problem, task: Any, scale: float) -> Iterator[Candidate]:
    """The embedded BlocksWorld models as priors over the admissible actions, and UCBVI on the same actions."""
    yield ucbvi(problem, scale, "pi_bar", problem.mdp.admissible)
    for name in ("novice", "novice-1", "novice-2", "novice-3", "novice-4", "uniform", "adversarial"):
        prior = chat_prior(problem.mdp, blocksworld_model(name), BlocksWorldEnvironment(), task)
        yield linvit(problem, scale, name, prior)


def episodes_needed(problem: Problem, learner: Any) -> tuple[int | None, int | None]:
    """Episodes until each returned policy is and stays within eps, for the last tenth of the run at least; else None.

    Looked at after each of the first 50 episodes, and after every fifth from then on.
    """
    gaps: list[Any] = [problem.best - start_values(problem.mdp, *learner.policies())]
    plan = learner.plan

    def record(learner: Any) -> None:
        nonlocal plan
        due = learner.episodes <= 50 or learner.episodes % 5 == 0
        if due and learner.plan is not plan:
            plan = learner.plan
            gaps.append(problem.best - start_values(problem.mdp, *learner.policies()))
        else:
            gaps.append(gaps[-1])

    learner.run(problem.max_episodes, stop=False, callback=record)
    outside = np.array(gaps) > SHARE * problem.best
    needed = [int(np.flatnonzero(column)[-1]) + 1 if column.any() else 0 for column in outside.T]
    first, second = (count if count <= SETTLED * problem.max_episodes else None for count in needed)
    return first, second


def comparison(part: str, problem: Problem, scale: float, found: Iterator[Candidate], seeds: range) -> Iterator[Row]:
    """Two rows for each candidate, one for each policy that it returns."""
    for about, make, prior in found:
        started = time.process_time()
        needed = [episodes_needed(problem, make(seed)) for seed in seeds]
        seconds = (time.process_time() - started) / len(seeds)
        alone = None if prior is None else problem.best - evaluate(problem.mdp, prior).start_value
        for index, policy in enumerate(("pi_bar", "empirical")):
            episodes = [pair[index] for pair in needed]
            yield {
                "part": part,
                "problem": problem.name,
                "bonus_scale": scale,
                **about,
                "policy": policy,
                "n": len(seeds),
                "episodes": episodes,
                **summary(episodes, problem.max_episodes),
                "max_episodes": problem.max_episodes,
                "prior_alone_gap": None if alone is None else alone / problem.best,
                "seconds": round(seconds, 3),
            }


def summary(episodes: list[int | None], limit: int) -> Row:
    """Mean, 10% and 90% quantiles; a run that didn't make it counts as `limit` + 1."""
    counts = np.array([limit + 1 if count is None else count for count in episodes])
    return {
        "mean": float(counts.mean()),
        "low": float(np.quantile(counts, 0.1)),
        "high": float(np.quantile(counts, 0.9)),
        "unfinished": sum(count is None for count in episodes),
    }


def coverage(name: str, mdp: TabularMDP, bonus: str, scale: float, seeds: range, episodes: int) -> Row:
    """How often the bounds held in every episode of a run, each by itself and all together."""
    prior, best = mix(mdp, 0.5), optimal(mdp).start_value
    kl = prior_divergence(mdp, prior)
    held = []
    for seed in seeds:
        learner = LINVIT(
            mdp, prior, eps=SHARE * best, eps_llm=kl, bonus=bonus, bonus_scale=scale, replan="doubling", seed=seed
        )  # type: ignore[arg-type]
        truth = regularised_optimal(mdp, prior, learner.lam).start_value
        ok = np.ones(5, bool)

        def check(learner: Any, truth: float = truth, ok: Any = ok) -> None:
            c, (followed, empirical) = learner.certificate, start_values(mdp, *learner.policies())
            slack = 1e-9
            ok[:] &= [
                c.v_hi + slack >= truth >= c.v_lo - slack,
                c.u_hi + slack >= best,
                c.v_hi + c.bias + slack >= best,
                c.w - slack <= followed,
                c.w_empirical - slack <= empirical,
            ]

        learner.run(episodes, stop=False, callback=check)
        held.append([*ok, ok.all()])
    names = ("v_hi_lo", "u_hi", "v_hi_plus_bias", "w", "w_empirical", "all")
    shares = dict(zip(names, np.mean(held, axis=0).tolist(), strict=True))
    return {"problem": name, "bonus": bonus, "bonus_scale": scale, "n": len(seeds), "max_episodes": episodes} | shares


def calibration(seeds: range, episodes: int) -> Iterator[Row]:
    """UCBVI and the bounds on river-swim, by bonus scale: what `SCALE` was chosen on."""
    problem = Problem("river swim 6", river_swim(6), episodes)
    for scale in SCALES:
        held = coverage(problem.name, problem.mdp, "simple", scale, seeds, episodes)["all"]
        for row in comparison("calibration", problem, scale, iter([ucbvi(problem, scale, "pi_bar")]), seeds):
            yield row | {"bounds_held": held}


def coverage_rows(seeds: range, episodes: int) -> Iterator[Row]:
    """(c): the bounds at scale 1, and at the scale of practice."""
    for name, mdp in (("river swim 4", river_swim(4)), ("deep sea 5", deep_sea(5)), ("grid 3x3", grid(3))):
        for bonus, scale in (("simple", 1.0), ("bernstein", 1.0), ("hoeffding", 1.0), ("simple", SCALE)):
            yield {"part": "coverage"} | coverage(name, mdp, bonus, scale, seeds, episodes)


def rows(parts: list[str], quick: bool, limit: int | None, seeds: range) -> Iterator[Row]:
    """Every row of the chosen parts, one by one."""
    chosen = problems(quick)[:limit]
    if "episodes" in parts:
        for problem in chosen:
            yield from comparison("episodes", problem, SCALE, candidates(problem, SCALE, misjudged=True), seeds)
    if "calibration" in parts:
        yield from calibration(seeds, 150)
    if "coverage" in parts:
        yield from coverage_rows(range(seeds.start, seeds.start + 2 * len(seeds)), 60)
    if "sensitivity" in parts:
        for problem in chosen[:2]:
            problem = replace(problem, max_episodes=problem.max_episodes * 3 // 2)
            found = candidates(problem, OTHER_SCALE, misjudged=False)
            yield from comparison("sensitivity", problem, OTHER_SCALE, found, seeds[: -(-len(seeds) // 2)])
    if "chat" in parts:
        task, problem = blocksworld(3, 4, 40) if quick else blocksworld(4, 6, 150)
        yield from comparison("chat", problem, SCALE, chat_candidates(problem, task, SCALE), seeds)


def main() -> None:
    arguments = parser("LINVIT against UCBVI, by the divergence of the prior from the optimal policy.")
    arguments.add_argument("--seeds", type=int, metavar="N", help="how many seeds from --seed on (10; quick: 3)")
    arguments.add_argument("--quick", action="store_true", help="small problems, under a minute")
    arguments.add_argument("--parts", nargs="+", choices=PARTS, help="only these; the file's other rows are kept")
    arguments.add_argument("--plot-only", action="store_true", help="table and picture from the results file")
    options = arguments.parse_args()
    path = options.json or (None if options.quick else RESULTS / "theory.json")
    parts = options.parts or (["episodes", "chat"] if options.quick else list(PARTS))
    if options.plot_only:
        found = json.loads((path or RESULTS / "theory.json").read_text())["rows"]
    else:
        seeds = range(options.seed, options.seed + (options.seeds or (3 if options.quick else 10)))
        settings = {"eps": f"{SHARE:g} V*", "delta": 0.1, "bonus": "simple", "replan": "doubling", "etas": ETAS}
        settings |= {"bonus_scale": SCALE, "seeds": list(seeds), "quick": options.quick}
        kept = json.loads(path.read_text())["rows"] if options.parts and path and path.exists() else []
        found = [row for row in kept if row["part"] not in parts]
        for row in track(rows(parts, options.quick, options.limit, seeds), "rows", total=None):
            found.append(row)
            write_results(path, "theory", settings, found)
    report(found)
    if path is not None:
        draw(found, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
