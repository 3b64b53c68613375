"""The environment contract as a checker, for the environments of this library and of its users."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from langchain_linvit.environments.base import ActionTool, Environment, Outcome, ParsedAction, Task, Transition, shorten
from langchain_linvit.errors import EnvironmentStateError, InvalidSettingError
from langchain_linvit.testing.clauses import View, broken, demand, held_to, observed, same_view, well_formed

_LONG = 10_000_000
_BAD_INPUT: Final = (
    "", "   ", "\n\n\n", "xyzzy frobnicate", "Action:", "Action: xyzzy frobnicate", "first line\nsecond line",
    "\x00\x07\x1b[31mred\x1b[0m", "🦄 — ١٢٣ \u202eevil", "{}[]()<>'\"`;$(%s)", "x" * _LONG, "x y\n" * (_LONG // 4),
)  # fmt: skip


def check_environment(
    factory: Callable[[], Environment],
    task: Task | str,
    *,
    other_task: Task | str | None = None,
    actions: Sequence[str] = (),
    deterministic: bool = True,
    seed: int = 0,
    episodes: int = 3,
    steps: int = 8,
) -> None:
    """Hold an environment to the contract of `langchain_linvit.environments.base`.

    Random walks visit states; in each of them the environment is read, forked, saved, restored and given
    impossible actions. The number of steps taken grows with `episodes * steps ** 2`.

    Args:
        factory: Makes a new instance, not reset yet; the class itself where it takes no arguments.
        task: A task to play.
        other_task: Another one, to check that `reset` leaves nothing of the last task behind.
        actions: Actions to try where `admissible_actions` gives None.
        deterministic: Whether the same actions always lead to the same state. False leaves out the replays.
        seed: Seed of the walks.
        episodes: Number of walks.
        steps: Longest walk.

    Raises:
        EnvironmentContractError: A clause is broken; the message says which, what was found, and a remedy.
        InvalidSettingError: The actions are open-ended and none were given to try.
    """
    check = _Checker(factory, task, actions, deterministic)
    # Each check relies on those before it, so that a breach is named by the clause it belongs to.
    try:
        check.use_before_reset()
        check.first_reading()
        check.resets(other_task)
        check.bad_input()
        for episode in range(episodes):
            check.walk(random.Random(f"{seed}/{episode}"), steps)
        check.closing()
    finally:
        check.close_all()


class _Step(NamedTuple):
    """One step of a walk, and the state that it led to."""

    action: str
    transition: Transition
    view: View


class _Checker:
    """The clauses, and what the walks have seen so far."""

    def __init__(
        self, factory: Callable[[], Environment], task: Task | str, actions: Sequence[str], deterministic: bool
    ) -> None:
        self.factory = factory
        self.task = task
        self.actions = tuple(actions)
        self.deterministic = deterministic
        self.made: list[Environment] = []
        self.seen_actions: dict[str, None] = {}
        self.seen_keys: dict[str, View] = {}
        self.seen_steps: dict[tuple[str, str], str | None] = {}

    def use_before_reset(self) -> None:
        """Nothing can be done before there is a task."""
        uses: dict[str, Callable[[Environment], Any]] = {
            "step": lambda env: env.step("look"),
            "fork": lambda env: env.fork(),
            "snapshot": lambda env: env.snapshot(),
            "goal": lambda env: env.goal,
        }
        for name, use in uses.items():
            with held_to("use before reset", f"{name} before reset"):
                try:
                    use(self.new())
                except EnvironmentStateError:
                    continue
                broken("use before reset", f"{name} before reset did not raise")

    def first_reading(self) -> None:
        """A state can be read, and stays what it is."""
        env = self.started()
        self._reading(env, self.view(env))

    def resets(self, other_task: Task | str | None) -> None:
        """A reset forgets all that was before it."""
        env = self.started()
        first = self.view(env)
        self._take_some(env)
        for task in (self.task, other_task, self.task):
            if task is None:
                continue
            with held_to("reset", "a second reset"):
                demand("reset", isinstance(env.reset(task), str), "reset returned no string")
                expected = first if task is self.task else self.view(self.started(task))
                same_view("reset", self.view(env), expected, "a used instance after reset, and a new one")
            self._take_some(env)

    def walk(self, rng: random.Random, steps: int) -> None:
        """A random walk that checks every state it comes through."""
        env = self.started()
        path: list[_Step] = []
        while len(path) < steps and not (path and path[-1].transition.done):
            step = self._visit(env, rng)
            self.close_all(but=env)
            if step is None:
                break
            path.append(step)
        self._evaluate(env, path)
        self._replay(path)
        self.close_all()

    def _visit(self, env: Environment, rng: random.Random) -> _Step | None:
        """Check the current state, and take one step; None where there is nothing to do."""
        view = self.view(env)
        self._reading(env, view)
        self._state_key(view)
        choices = self._choices(view)
        if not choices:
            return None
        restored = self._snapshot(env, view, rng.choice(choices))
        self._fork(env, view, rng.choice(choices), rng.choice(choices))
        self._admissible(env, view, rng)
        self._tools(env.action_tools(), rng.sample(choices, min(4, len(choices))))
        action = rng.choice(choices)
        step = _Step(action, self.step(env, action), self.view(env))
        self._goes_on(restored, step)
        self._step_of_key(view.key, action, step.view.key)
        return step

    def bad_input(self) -> None:
        """What no environment understands is answered by an error and changes nothing."""
        env = self.started()
        view = self.view(env)
        for text in _BAD_INPUT:
            with held_to("bad input", f"{shorten(text, 40)!r}"):
                parsed: Any = env.parse_action(text)
                exclusive = isinstance(parsed, ParsedAction) and (parsed.action is None) != (parsed.error is None)
                demand("bad input", exclusive, f"parse_action({shorten(text, 40)!r}) gave neither action nor error")
                transition = self.step(env, text)
                if view.actions is not None:
                    demand("bad input", bool(transition.error), f"step took {shorten(text, 40)!r} without an error")
                after = self.view(env)
                if transition.error:
                    same_view("bad input", after, view, f"the state before and after {shorten(text, 40)!r}")
                view = after

    def closing(self) -> None:
        """Closing can be repeated, and spares forks."""
        with held_to("close", "closing"):
            parent = self.started()
            view = self.view(parent)
            child, other = self.fork(parent), self.fork(parent)
            other.close()
            same_view("close", self.view(parent), view, "the parent before and after the closing of its fork")
            parent.close()
            parent.close()
            same_view("close", self.view(child), view, "a fork before and after the closing of its parent")
            self._take_some(child)
            child.close()

    def new(self) -> Environment:
        """A new instance, closed by `close_all`."""
        env = self.factory()
        self.made.append(env)
        return env

    def fork(self, env: Environment) -> Environment:
        """A fork, closed by `close_all`."""
        child = env.fork()
        self.made.append(child)
        return child

    def close_all(self, but: Environment | None = None) -> None:
        """Close what was made so far: environments may hold processes or connections."""
        with held_to("close", "closing"):
            for env in self.made:
                if env is not but:
                    env.close()
        self.made = [] if but is None else [but]

    def started(self, task: Task | str | None = None) -> Environment:
        """A new instance at the start of the task."""
        with held_to("reset", "reset of a new instance"):
            env = self.new()
            demand("reset", isinstance(env.reset(task or self.task), str), "reset returned no string")
            return env

    def view(self, env: Environment) -> View:
        """What can be read of the current state, with its types checked."""
        with held_to("reading", "reading the state"):
            actions = env.admissible_actions()
            view = View(env.state_text(), env.goal, env.state_key(), None if actions is None else tuple(actions))
            texts = all(isinstance(text, str) for text in (view.state, view.goal, *(view.actions or ())))
            demand("reading", texts, "state_text, goal or an admissible action is no string")
            demand("reading", view.key is None or isinstance(view.key, str), "state_key is no string")
            demand("reading", env.horizon is None or env.horizon > 0, f"horizon is {env.horizon}")
            return view

    def step(self, env: Environment, action: str) -> Transition:
        """One step, with the types of its transition checked."""
        with held_to("bad input", f"step({shorten(action, 40)!r})"):
            transition = env.step(action)
        with held_to("transition", f"step({shorten(action, 40)!r})"):
            demand("transition", isinstance(transition, Transition), f"step returned {type(transition).__name__}")
            found = f"step({shorten(action, 40)!r}) returned {shorten(repr(transition))}"
            demand("transition", well_formed(transition), found)
            json.dumps(transition.info)
        return transition

    def _choices(self, view: View) -> tuple[str, ...]:
        choices = self.actions if view.actions is None else view.actions
        if view.actions is None and not choices:
            raise InvalidSettingError("admissible_actions() gives None: pass check_environment some `actions=` to try")
        self.seen_actions.update(dict.fromkeys(choices))
        return choices

    def _take_some(self, env: Environment) -> None:
        for _ in range(2):
            choices = self._choices(self.view(env))
            if not choices or self.step(env, choices[-1]).done:
                break

    def _reading(self, env: Environment, view: View) -> None:
        same_view("reading", self.view(env), view, "two readings of one state")
        with held_to("reading", "reading"):
            env.snapshot()
            env.action_tools()
            env.evaluate()
            same_view("reading", self.view(env), view, "the state before and after snapshot and evaluate")

    def _state_key(self, view: View) -> None:
        if view.key is not None:
            same_view("state key", view, self.seen_keys.setdefault(view.key, view), "two states with one key")

    def _step_of_key(self, key: str | None, action: str, reached: str | None) -> None:
        if self.deterministic and key is not None:
            expected = self.seen_steps.setdefault((key, action), reached)
            demand("state key", reached == expected, f"{action!r} led from key {key!r} to {reached!r} and {expected!r}")

    def _admissible(self, env: Environment, view: View, rng: random.Random) -> None:
        if view.actions is None:
            return
        with held_to("admissible actions", "trying them"):
            demand("admissible actions", len(set(view.actions)) == len(view.actions), "an action is listed twice")
            for action in rng.sample(view.actions, min(4, len(view.actions))):
                for text in (action, f"Action: {action}"):
                    parsed = env.parse_action(text).action
                    demand("admissible actions", parsed == action, f"parse_action({text!r}) gave {parsed!r}")
                error = self.step(self.fork(env), action).error
                demand("admissible actions", error is None, f"{action!r} is listed, but step says: {error}")
            unlisted = [action for action in self.seen_actions if action not in view.actions]
            for action in rng.sample(unlisted, min(4, len(unlisted))):
                fork = self.fork(env)
                demand("admissible actions", bool(self.step(fork, action).error), f"{action!r} is possible, not listed")
                same_view("bad input", self.view(fork), view, f"the state before and after the impossible {action!r}")

    def _tools(self, tools: Sequence[ActionTool], actions: Sequence[str]) -> None:
        with held_to("action tools", "a round trip"):
            names = [tool.name for tool in tools]
            demand("action tools", len(set(names)) == len(names), f"two tools have one name: {names}")
            for tool in tools:
                fields = tool.args_schema.model_fields.items()
                bare = [name for name, field in fields if not field.description]
                demand("action tools", not bare, f"{tool.name} doesn't describe {bare}")
            for action in actions:
                parsed = [(tool, args) for tool in tools if (args := tool.parse(action)) is not None]
                takers = [tool.name for tool, _ in parsed]
                demand("action tools", len(takers) == 1, f"{action!r} is taken by {takers or 'no tool'}")
                tool, args = parsed[0]
                rendered = tool.render(tool.args_schema.model_validate(args))
                demand("action tools", rendered == action, f"{tool.name}({args}) renders {rendered!r}, not {action!r}")

    def _fork(self, env: Environment, view: View, ours: str, theirs: str) -> None:
        with held_to("fork", "forking"):
            child = self.fork(env)
            demand("fork", child is not env, "fork returned the instance itself")
            same_view("fork", self.view(child), view, "a state and its fork")
            grandchild = self.fork(child)
            self.step(child, theirs)
            after = self.view(child)
            for name, other in (("parent", env), ("fork of the fork", grandchild)):
                same_view("fork", self.view(other), view, f"the {name} before and after a step of the fork")
            same_view("fork", self._restored(env), view, "a state and its snapshot after a step of its fork")
            self.step(grandchild, ours)
            same_view("fork", self.view(child), after, "a fork before and after a step of its own fork")
            self._fork_of_stepped_parent(env, view, ours)

    def _fork_of_stepped_parent(self, env: Environment, view: View, action: str) -> None:
        parent = self.fork(env)
        child = self.fork(parent)
        self.step(parent, action)
        same_view("fork", self.view(child), view, "a fork before and after a step of its parent")
        self.step(child, action)
        if self.deterministic:
            same_view("fork", self.view(child), self.view(parent), "parent and fork after the same step")

    def _snapshot(self, env: Environment, view: View, action: str) -> Environment:
        """Round trips through JSON; returns a restored instance."""
        with held_to("snapshot", "a round trip through JSON"):
            saved = json.dumps(env.snapshot())
            used, restored = self.new(), self.new()
            for instance in (used, restored):
                instance.restore(json.loads(saved))
                same_view("snapshot", self.view(instance), view, "a state and what its snapshot restored")
            snapshot = used.snapshot()
            before = json.dumps(snapshot)
            self.step(used, action)
            demand("snapshot", json.dumps(snapshot) == before, "a snapshot changed by a later step")
            used.restore(json.loads(saved))
            same_view("snapshot", self.view(used), view, "a state and what its snapshot restored in a used instance")
            same_view("snapshot", self._restored(used), view, "a state and the second generation of its snapshots")
            self._foreign_snapshot(used, view)
            return restored

    def _goes_on(self, restored: Environment, expected: _Step) -> None:
        """After a restore everything goes on as it would have."""
        if self.deterministic:
            action = expected.action
            same = observed(self.step(restored, action)) == observed(expected.transition)
            demand("snapshot", same, f"{action!r} brings about something else after a restore")
            what = f"the states after {action!r} with and without a restore"
            same_view("snapshot", self.view(restored), expected.view, what)

    def _restored(self, env: Environment) -> View:
        """What a new instance makes of the snapshot of `env`."""
        restored = self.new()
        restored.restore(json.loads(json.dumps(env.snapshot())))
        return self.view(restored)

    def _foreign_snapshot(self, env: Environment, view: View) -> None:
        try:
            env.restore({"foreign": True})
        except EnvironmentStateError:
            same_view("snapshot", self.view(env), view, "the state before and after a refused snapshot")
            return
        broken("snapshot", "restore took foreign data without EnvironmentStateError")

    def _replay(self, path: list[_Step]) -> None:
        if not self.deterministic:
            return
        env = self.started()
        for number, (action, expected, view) in enumerate(path, 1):
            same = observed(self.step(env, action)) == observed(expected)
            demand("replay", same, f"step {number}, {action!r}, brought about something else the second time")
            same_view("replay", self.view(env), view, f"the states after step {number} of two equal episodes")

    def _evaluate(self, env: Environment, path: list[_Step]) -> None:
        with held_to("evaluate", "evaluating"):
            outcome = env.evaluate()
            demand("evaluate", isinstance(outcome, Outcome), f"evaluate returned {type(outcome).__name__}")
            claimed = bool(path) and path[-1].transition.solved is True
            demand("evaluate", outcome.success or not claimed, "the transition said solved=True, evaluate says no")
