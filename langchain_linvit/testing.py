"""The environment contract as a checker, for the environments of this library and of its users."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from langchain_linvit.environments.base import ActionTool, Environment, Outcome, ParsedAction, Task, Transition, shorten
from langchain_linvit.errors import EnvironmentContractError, EnvironmentStateError, InvalidSettingError

CLAUSES: Final[dict[str, str]] = {
    "use before reset": "let step, fork, snapshot and goal raise EnvironmentStateError until reset was called; "
    "reading `self.task` first does that",
    "reset": "set up everything from the task in `reset`, as if the instance were new",
    "reading": "state_text, goal, state_key, admissible_actions, snapshot and evaluate must not change anything",
    "transition": "return Transition(observation: str, reward in [0, 1], done: bool, solved: bool or None, "
    "error: non-empty str or None, info: plain data)",
    "bad input": "check the action before anything is changed, and return Transition(..., error=...); never raise",
    "admissible actions": "list each action that can be taken now, once, in a fixed order, as `step` and "
    "`parse_action` take it, and nothing else; or return None",
    "action tools": "for each action exactly one tool must `parse` it to arguments that its schema takes and that "
    "`render` to the same action; describe each argument",
    "fork": "copy whatever `step` changes, or leave `fork` to the base class",
    "snapshot": "put all that the state depends on into `snapshot` as JSON data, copied, and let `restore` rebuild "
    "from nothing else; refuse foreign data with EnvironmentStateError",
    "replay": "let the task and the actions alone determine what happens; seed what is random from the task",
    "state key": "derive the key from all that the future depends on, and from nothing else; or return None",
    "evaluate": "return an Outcome; where a transition said solved=True, it must be a success (environments with "
    "`records_history = False` write their own `evaluate`)",
    "close": "`close` may be called twice, and must leave to forks what they still need",
}
"""The clauses of the contract, and how a broken one is mended."""

_LONG = 10_000_000
_BAD_INPUT: Final = (
    "", "   ", "\n\n\n", "xyzzy frobnicate", "Action:", "Action: xyzzy frobnicate", "first line\nsecond line",
    "\x00\x07\x1b[31mred\x1b[0m", "🦄 — ١٢٣ \u202eevil", "{}[]()<>'\"`;$(%s)", "x" * _LONG, "x y\n" * (_LONG // 4),
)  # fmt: skip


class _View(NamedTuple):
    """What can be read of a state."""

    state: str
    goal: str
    key: str | None
    actions: tuple[str, ...] | None


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
    check.use_before_reset()
    check.resets(other_task)
    for episode in range(episodes):
        check.walk(random.Random(f"{seed}/{episode}"), steps)
    check.bad_input()
    check.closing()


class _Checker:
    """The clauses, and what the walks have seen so far."""

    def __init__(
        self, factory: Callable[[], Environment], task: Task | str, actions: Sequence[str], deterministic: bool
    ) -> None:
        self.factory = factory
        self.task = task
        self.actions = tuple(actions)
        self.deterministic = deterministic
        self.seen_actions: dict[str, None] = {}
        self.seen_keys: dict[str, _View] = {}
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
            with _clause("use before reset", f"{name} before reset"):
                try:
                    use(self.factory())
                except EnvironmentStateError:
                    continue
                _broken("use before reset", f"{name} before reset did not raise")

    def resets(self, other_task: Task | str | None) -> None:
        """A reset forgets all that was before it."""
        env = self.started()
        first = self.view(env)
        self._take_some(env)
        for task in (self.task, other_task, self.task):
            if task is None:
                continue
            with _clause("reset", "a second reset"):
                _demand("reset", isinstance(env.reset(task), str), "reset returned no string")
                expected = first if task is self.task else self.view(self.started(task))
                _same("reset", self.view(env), expected, "a used instance after reset, and a new one")
            self._take_some(env)

    def walk(self, rng: random.Random, steps: int) -> None:
        """A random walk that checks every state it comes through."""
        env = self.started()
        path: list[tuple[str, Transition, _View]] = []
        for _ in range(steps):
            view = self.view(env)
            self._reading(env, view)
            self._state_key(view)
            choices = self._choices(view)
            if not choices:
                break
            self._admissible(env, view, rng)
            self._tools(env.action_tools(), rng.sample(choices, min(4, len(choices))))
            self._fork(env, view, rng.choice(choices), rng.choice(choices))
            self._snapshot(env, view, rng.choice(choices))
            action = rng.choice(choices)
            transition = self.step(env, action)
            path.append((action, transition, self.view(env)))
            self._step_of_key(view.key, action, path[-1][2].key)
            if transition.done:
                break
        self._evaluate(env, path[-1][1] if path else None)
        self._replay(path)

    def bad_input(self) -> None:
        """What no environment understands is answered by an error and changes nothing."""
        env = self.started()
        view = self.view(env)
        for text in _BAD_INPUT:
            with _clause("bad input", f"{shorten(text, 40)!r}"):
                parsed: Any = env.parse_action(text)
                exclusive = isinstance(parsed, ParsedAction) and (parsed.action is None) != (parsed.error is None)
                _demand("bad input", exclusive, f"parse_action({shorten(text, 40)!r}) gave neither action nor error")
                fork = env.fork()
                transition = self.step(fork, text)
                if view.actions is not None:
                    _demand("bad input", bool(transition.error), f"step took {shorten(text, 40)!r} without an error")
                if transition.error:
                    _same("bad input", self.view(fork), view, f"the state before and after {shorten(text, 40)!r}")

    def closing(self) -> None:
        """Closing can be repeated, and spares forks."""
        with _clause("close", "closing"):
            parent = self.started()
            view = self.view(parent)
            child, other = parent.fork(), parent.fork()
            other.close()
            _same("close", self.view(parent), view, "the parent before and after the closing of its fork")
            parent.close()
            parent.close()
            _same("close", self.view(child), view, "a fork before and after the closing of its parent")
            self._take_some(child)
            child.close()

    def started(self, task: Task | str | None = None) -> Environment:
        """A new instance at the start of the task."""
        with _clause("reset", "reset of a new instance"):
            env = self.factory()
            _demand("reset", isinstance(env.reset(task or self.task), str), "reset returned no string")
            return env

    def view(self, env: Environment) -> _View:
        """What can be read of the current state, with its types checked."""
        with _clause("reading", "reading the state"):
            actions = env.admissible_actions()
            view = _View(env.state_text(), env.goal, env.state_key(), None if actions is None else tuple(actions))
            texts = all(isinstance(text, str) for text in (view.state, view.goal, *(view.actions or ())))
            _demand("reading", texts, "state_text, goal or an admissible action is no string")
            _demand("reading", view.key is None or isinstance(view.key, str), "state_key is no string")
            _demand("reading", env.horizon is None or env.horizon > 0, f"horizon is {env.horizon}")
            return view

    def step(self, env: Environment, action: str) -> Transition:
        """One step, with the types of its transition checked."""
        with _clause("bad input", f"step({shorten(action, 40)!r})"):
            transition = env.step(action)
        with _clause("transition", f"step({shorten(action, 40)!r})"):
            _demand("transition", isinstance(transition, Transition), f"step returned {type(transition).__name__}")
            found = f"step({shorten(action, 40)!r}) returned {shorten(repr(transition))}"
            _demand("transition", _well_formed(transition), found)
            json.dumps(transition.info)
        return transition

    def _choices(self, view: _View) -> tuple[str, ...]:
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

    def _reading(self, env: Environment, view: _View) -> None:
        _same("reading", self.view(env), view, "two readings of one state")
        with _clause("reading", "reading"):
            env.snapshot()
            env.action_tools()
            env.evaluate()
            _same("reading", self.view(env), view, "the state before and after snapshot and evaluate")

    def _state_key(self, view: _View) -> None:
        if view.key is not None:
            _same("state key", view, self.seen_keys.setdefault(view.key, view), "two states with one key")

    def _step_of_key(self, key: str | None, action: str, reached: str | None) -> None:
        if self.deterministic and key is not None:
            expected = self.seen_steps.setdefault((key, action), reached)
            _demand(
                "state key", reached == expected, f"{action!r} led from key {key!r} to {reached!r} and {expected!r}"
            )

    def _admissible(self, env: Environment, view: _View, rng: random.Random) -> None:
        if view.actions is None:
            return
        with _clause("admissible actions", "trying them"):
            _demand("admissible actions", len(set(view.actions)) == len(view.actions), "an action is listed twice")
            for action in rng.sample(view.actions, min(4, len(view.actions))):
                for text in (action, f"Action: {action}"):
                    parsed = env.parse_action(text).action
                    _demand("admissible actions", parsed == action, f"parse_action({text!r}) gave {parsed!r}")
                error = self.step(env.fork(), action).error
                _demand("admissible actions", error is None, f"{action!r} is listed, but step says: {error}")
            unlisted = [action for action in self.seen_actions if action not in view.actions]
            for action in rng.sample(unlisted, min(4, len(unlisted))):
                fork = env.fork()
                _demand(
                    "admissible actions", bool(self.step(fork, action).error), f"{action!r} is possible, not listed"
                )
                _same("bad input", self.view(fork), view, f"the state before and after the impossible {action!r}")

    def _tools(self, tools: Sequence[ActionTool], actions: Sequence[str]) -> None:
        with _clause("action tools", "a round trip"):
            names = [tool.name for tool in tools]
            _demand("action tools", len(set(names)) == len(names), f"two tools have one name: {names}")
            for tool in tools:
                fields = tool.args_schema.model_fields.items()
                bare = [name for name, field in fields if not field.description]
                _demand("action tools", not bare, f"{tool.name} doesn't describe {bare}")
            for action in actions:
                parsed = [(tool, args) for tool in tools if (args := tool.parse(action)) is not None]
                takers = [tool.name for tool, _ in parsed]
                _demand("action tools", len(takers) == 1, f"{action!r} is taken by {takers or 'no tool'}")
                tool, args = parsed[0]
                rendered = tool.render(tool.args_schema.model_validate(args))
                _demand("action tools", rendered == action, f"{tool.name}({args}) renders {rendered!r}, not {action!r}")

    def _fork(self, env: Environment, view: _View, ours: str, theirs: str) -> None:
        with _clause("fork", "forking"):
            child = env.fork()
            _demand("fork", child is not env, "fork returned the instance itself")
            _same("fork", self.view(child), view, "a state and its fork")
            grandchild = child.fork()
            self.step(child, theirs)
            after = self.view(child)
            for name, other in (("parent", env), ("fork of the fork", grandchild)):
                _same("fork", self.view(other), view, f"the {name} before and after a step of the fork")
            _same("fork", self._restored(env), view, "a state and its snapshot after a step of its fork")
            self.step(grandchild, ours)
            _same("fork", self.view(child), after, "a fork before and after a step of its own fork")
            self._fork_of_stepped_parent(env, view, ours)

    def _fork_of_stepped_parent(self, env: Environment, view: _View, action: str) -> None:
        parent = env.fork()
        child = parent.fork()
        self.step(parent, action)
        _same("fork", self.view(child), view, "a fork before and after a step of its parent")
        self.step(child, action)
        if self.deterministic:
            _same("fork", self.view(child), self.view(parent), "parent and fork after the same step")

    def _snapshot(self, env: Environment, view: _View, action: str) -> None:
        with _clause("snapshot", "a round trip through JSON"):
            snapshot = env.snapshot()
            saved = json.dumps(snapshot)
            original = env.fork()
            self.step(original, action)
            _demand("snapshot", json.dumps(snapshot) == saved, "a snapshot changed by a later step")
            for restored in (self.factory(), original):
                restored.restore(json.loads(saved))
                _same("snapshot", self.view(restored), view, "a state and what its snapshot restored")
            _same("snapshot", self._restored(restored), view, "a state and the second generation of its snapshots")
            self._foreign_snapshot(restored, view)
            if self.deterministic:
                twin = env.fork()
                same = _plain(self.step(restored, action)) == _plain(self.step(twin, action))
                _demand("snapshot", same, f"{action!r} brings about something else after a restore")

    def _restored(self, env: Environment) -> _View:
        """What a new instance makes of the snapshot of `env`."""
        restored = self.factory()
        restored.restore(json.loads(json.dumps(env.snapshot())))
        return self.view(restored)

    def _foreign_snapshot(self, env: Environment, view: _View) -> None:
        try:
            env.restore({"foreign": True})
        except EnvironmentStateError:
            _same("snapshot", self.view(env), view, "the state before and after a refused snapshot")
            return
        _broken("snapshot", "restore took foreign data without EnvironmentStateError")

    def _replay(self, path: list[tuple[str, Transition, _View]]) -> None:
        if not self.deterministic:
            return
        env = self.started()
        for number, (action, expected, view) in enumerate(path, 1):
            same = _plain(self.step(env, action)) == _plain(expected)
            _demand("replay", same, f"step {number}, {action!r}, brought about something else the second time")
            _same("replay", self.view(env), view, f"the states after step {number} of two equal episodes")

    def _evaluate(self, env: Environment, last: Transition | None) -> None:
        with _clause("evaluate", "evaluating"):
            outcome = env.evaluate()
            _demand("evaluate", isinstance(outcome, Outcome), f"evaluate returned {type(outcome).__name__}")
            claimed = last is not None and last.solved is True
            _demand("evaluate", outcome.success or not claimed, "the transition said solved=True, evaluate says no")


def _well_formed(transition: Any) -> bool:
    reward = transition.reward
    return (
        isinstance(transition.observation, str)
        and isinstance(reward, int | float)
        and math.isfinite(reward)
        and 0 <= reward <= 1
        and isinstance(transition.done, bool)
        and (transition.solved is None or isinstance(transition.solved, bool))
        and (transition.error is None or (isinstance(transition.error, str) and bool(transition.error)))
    )


def _plain(transition: Transition) -> tuple[Any, ...]:
    return transition.observation, transition.reward, transition.done, transition.solved, transition.error


def _demand(clause: str, condition: bool, found: str) -> None:
    if not condition:
        _broken(clause, found)


def _same(clause: str, found: _View, expected: _View, what: str) -> None:
    for name, one, other in zip(_View._fields, found, expected, strict=True):
        if one != other:
            texts = f"{shorten(repr(other), 120)} and {shorten(repr(one), 120)}"
            _broken(clause, f"{what} differ in their {name}: {texts}")


def _broken(clause: str, found: str) -> None:
    raise EnvironmentContractError(clause, found, CLAUSES[clause])


@contextmanager
def _clause(clause: str, doing: str) -> Iterator[None]:
    """Whatever is raised inside is a breach of `clause`."""
    try:
        yield
    except (EnvironmentContractError, InvalidSettingError):
        raise
    except Exception as error:
        found = f"{doing} raised {type(error).__name__}: {shorten(str(error))}"
        raise EnvironmentContractError(clause, found, CLAUSES[clause]) from error
