"""Games on the real engine: the planner library holds the state, TextWorld's grammar writes the text.

A `LoadedGame` is shared by every environment that plays it. A `Position` in it is immutable: forks share
positions, and moving to one costs microseconds, since the native library can return to a state that it has
numbered. Its numbers hold for one load of one game only: where another game has used the library in between,
or where the library can't return to a state, the operators that led to the position are applied again.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from langchain_linvit.environments.alfworld.grammar import Renderer, Scene
from langchain_linvit.environments.alfworld.parts import ENGINE_LOCK, engine_parts, pddl_to_sas
from langchain_linvit.environments.alfworld.source import GameSource
from langchain_linvit.environments.alfworld.tools import MOVE_TEMPLATE, PUT_TEMPLATE

Facts = Mapping[Any, frozenset[Any]]
"""The facts that hold, by their signature."""

LIBRARIES = 8
"""Native libraries kept, each holding one game; a game beyond them loads again in about 3 ms."""

LOADED_GAMES = 32
"""Loaded games kept for a next reset; those that an environment plays are kept anyway."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator of the planner with the command that stands for it.

    Attributes:
        id: The operator's number in its game, equal in every process.
        action: Name of its action in the domain, in lower case.
        mapping: The action's placeholders, to the objects it is applied to.
        command: What the player types.
        effects: How many facts it sets.
    """

    id: int
    action: str
    mapping: Mapping[Any, Any]
    command: str
    effects: int

    def argument(self, name: str) -> str | None:
        """The object that stands for the action's parameter `name`; None where it has no such parameter."""
        return next((str(var.name) for placeholder, var in self.mapping.items() if placeholder.name == name), None)


@dataclass(eq=False, slots=True)
class Position:
    """A state of a game, as reached by one path; immutable but for what it caches.

    Attributes:
        path: Numbers of the operators that lead here from the start.
        facts: What holds here.
        feedback: What the engine said when the position was reached.
        won: Whether the goal is reached.
    """

    path: tuple[int, ...]
    facts: Facts
    feedback: str
    won: bool
    _native: tuple[int, int] | None = None
    _commands: dict[str, int] | None = None


class NativeLibrary:
    """A private copy of fast-downward's library, which holds one game at a time.

    It is never unloaded (that crashes at exit), only loaded with the next game.
    """

    def __init__(self) -> None:
        self.lib = engine_parts().fast_downward.load_lib()
        self.can_return = hasattr(self.lib, "get_state_id") and hasattr(self.lib, "set_state_id")
        self.game: LoadedGame | None = None
        self.epoch = 0
        self.used = 0

    def load(self, game: LoadedGame) -> None:
        """Start `game` afresh; every state number from before is void."""
        self.lib.load_sas(game.sas)
        self.game = game
        self.epoch = next(_ticks)


_ticks = itertools.count(1)
_libraries: list[NativeLibrary] = []


def _take_library() -> NativeLibrary:
    """A new library, or beyond `LIBRARIES` the one that was used least recently, whatever game it holds."""
    if len(_libraries) >= LIBRARIES:
        return min(_libraries, key=lambda library: library.used)
    library = NativeLibrary()
    if not library.can_return and not _libraries:
        warnings.warn(
            "this build of fast-downward can't return to an earlier state (it lacks get_state_id and set_state_id): "
            "positions are rebuilt by applying their operators again, which is correct, and takes some 3 ms "
            "more for every change from one branch to another",
            RuntimeWarning,
            stacklevel=2,
        )
    _libraries.append(library)
    return library


class LoadedGame:
    """One game, translated and ready to be played from any of its positions.

    Raises:
        ValueError: The game's PDDL problem can't be parsed.
    """

    def __init__(self, source: GameSource) -> None:
        with ENGINE_LOCK:
            task, sas = pddl_to_sas(source.domain, source.problem)
            self.source = source
            self.sas = sas.encode()
            self._library: NativeLibrary | None = None
            self._types = {item.name: item.type_name for item in task.objects}
            self._parameters = {action.name: action.parameters for action in task.actions}
            self._logic = _game_logic(source.domain, source.grammar)
            _add_types(self._logic, task.types)
            self._renderer = Renderer(self._logic.grammar, {"task": f"Your task is to: {source.goal}."})
            self._operations: dict[int, Operation] = {}
            self._command_texts: dict[tuple[str, ...], str] = {}
            self._propositions: dict[bytes, Any] = {}
            self.put_template = _put_template(self._logic.actions)
            facts = self._initial_facts(task.init)
            self._entities = _entities(facts)
            self.names = {name: str(entity.name).strip() for name, entity in self._entities.items()}
            self.start = Position((), facts, self._render("#intro#", facts, {}), won=False)
            self.start.won = bool(self._go_to(self.start).lib.check_goal())

    def step(self, position: Position, command: str) -> tuple[Position, Operation] | None:
        """Where `command` leads from `position`, and by which operator; None where it is not possible."""
        with ENGINE_LOCK:
            library = self._go_to(position)
            number = self._commands(library, position).get(command)
            if number is None:
                return None
            operation = self._operations[number]
            facts = _after(position.facts, self._apply(library, operation))
            feedback = self._render(self._logic.actions[operation.action].feedback_rule, facts, operation.mapping)
            reached = Position((*position.path, number), facts, feedback, bool(library.lib.check_goal()))
            self._note(library, reached)
            return reached, operation

    def commands(self, position: Position) -> list[str]:
        """Every command that is possible at `position`, sorted."""
        if position._commands is None:
            with ENGINE_LOCK:
                self._commands(self._go_to(position), position)
        return sorted(position._commands or ())

    def path(self, position: Position) -> list[str]:
        """The commands that lead to `position` from the start."""
        return [self._operations[number].command for number in position.path]

    def _go_to(self, position: Position) -> NativeLibrary:
        """Bring a native library to `position`: by its number, where that still holds, else by its path."""
        library = self._load_library()
        if position._native is not None and position._native[0] == library.epoch:
            library.lib.set_state_id(position._native[1])
            return library
        library.load(self)
        for number in position.path:
            self._apply(library, self._operations[number])
        self._note(library, position)
        return library

    def _load_library(self) -> NativeLibrary:
        library = self._library
        if library is None or library.game is not self:
            library = self._library = _take_library()
            library.load(self)
        library.used = next(_ticks)
        return library

    def _note(self, library: NativeLibrary, position: Position) -> None:
        if library.can_return:
            position._native = (library.epoch, library.lib.get_state_id())

    def _apply(self, library: NativeLibrary, operation: Operation) -> list[Any]:
        """Apply an operator in the native library; the facts that it set."""
        effects = (engine_parts().pddl_logic.Atom * operation.effects)()
        library.lib.apply_operator(operation.id, effects)
        return [self._proposition(effect) for effect in effects]

    def _proposition(self, atom: Any) -> Any:
        known = self._propositions.get(atom._name)
        if known is None:
            known = self._propositions[atom._name] = atom.get_fact(self._types)
        return known

    def _commands(self, library: NativeLibrary, position: Position) -> dict[str, int]:
        """The operator of every possible command; read from the library the first time."""
        if position._commands is None:
            operators = (engine_parts().fast_downward.Operator * library.lib.get_applicable_operators_count())()
            library.lib.get_applicable_operators(operators)
            commands: dict[str, int] = {}
            for operator in operators:
                operation = self._operations.get(operator.id) or self._operation(operator, position.facts)
                commands.setdefault(operation.command, operation.id)
            position._commands = commands
        return position._commands

    def _operation(self, operator: Any, facts: Facts) -> Operation:
        """An operator with its command, made once."""
        logic = engine_parts().logic
        action, *arguments = operator.name.split()
        mapping = {
            logic.Placeholder(parameter.name.strip("?"), parameter.type_name): logic.Variable(name, parameter.type_name)
            for parameter, name in zip(self._parameters[action], arguments, strict=False)
        }
        command = self._command(action, mapping, facts)
        operation = Operation(operator.id, action, mapping, command, operator.nb_effect_atoms)
        self._operations[operator.id] = operation
        return operation

    def _command(self, action: str, mapping: Mapping[Any, Any], facts: Facts) -> str:
        """Render a command, once for equal arguments: its template asks only for facts that never change."""
        template = self._logic.actions[action].template
        words = _words(template)
        key = (action, *(variable.name for placeholder, variable in mapping.items() if placeholder.name in words))
        command = self._command_texts.get(key)
        if command is None:
            command = self._command_texts[key] = self._render(template, facts, mapping)
        return command

    def _render(self, text: str, facts: Facts, mapping: Mapping[Any, Any]) -> str:
        return self._renderer.render(text, Scene(_queryable(self._logic, facts), mapping, self._entities))

    def _initial_facts(self, init: Iterable[Any]) -> Facts:
        """What the problem states, and what the native library adds to it."""
        logic = engine_parts().logic
        atoms = [atom for atom in init if getattr(atom, "predicate", "=") != "="]  # the rest are costs and equalities
        facts = [
            logic.Proposition(atom.predicate, [logic.Variable(name, self._types[name]) for name in atom.args])
            for atom in atoms
        ]
        library = self._load_library()
        state = (engine_parts().pddl_logic.Atom * library.lib.get_state_size())()
        library.lib.get_state(state)
        facts += [fact for fact in map(self._proposition, state) if not fact.is_negation]
        signatures: dict[Any, set[Any]] = defaultdict(set)
        for fact in facts:
            signatures[fact.signature].add(fact)
        return {signature: frozenset(group) for signature, group in signatures.items()}


def _after(facts: Facts, effects: Iterable[Any]) -> Facts:
    """The facts once `effects` are set: changed groups are new, the others are shared with `facts`."""
    after = dict(facts)
    for effect in effects:
        opposite = effect.negate()
        after[opposite.signature] = after.get(opposite.signature, frozenset()) - {opposite}
        after[effect.signature] = after.get(effect.signature, frozenset()) | {effect}
    return after


def _queryable(logic: Any, facts: Facts) -> Any:
    """TextWorld's state over `facts`, for queries only."""
    kind = engine_parts().pddl_logic.PddlState
    state = kind.__new__(kind)
    state._logic, state._facts = logic, facts
    return state


def _entities(facts: Facts) -> dict[str, Any]:
    """Every object of the game with the name that ALFWorld shows for it."""
    parts = engine_parts()
    variables = {variable.name: variable for group in facts.values() for fact in group for variable in fact.arguments}
    entities = {name: parts.entity_info(name, variable.type) for name, variable in variables.items()}
    names = parts.demangler(game_infos=entities)
    for entity in entities.values():
        entity.name = names.demangle_alfred_name(entity.id)
        entity.definite, entity.indefinite = "the", "a"
    return entities


@lru_cache(maxsize=256)
def _words(template: str) -> frozenset[str]:
    """The identifiers in a command's template; the placeholders among them are what it depends on."""
    return frozenset(re.findall(r"\w+", template))


@lru_cache(maxsize=4)
def _game_logic(domain: str, grammar: str) -> Any:
    """The parsed rules of a game's texts; games of one release share them."""
    return engine_parts().pddl_logic.GameLogic(domain, grammar)


def _put_template(actions: Mapping[str, Any]) -> str:
    """How this game's dialect puts a thing down."""
    return PUT_TEMPLATE if str(actions["putobject"].template).startswith("put") else MOVE_TEMPLATE


def _add_types(game_logic: Any, types: Iterable[Any]) -> None:
    for item in types:
        with contextlib.suppress(ValueError):  # known already
            game_logic.types.add(engine_parts().logic.Type(item.name, item.supertype_names))


_loaded: OrderedDict[str, LoadedGame] = OrderedDict()


def load_game(source: GameSource) -> LoadedGame:
    """The game of `source`, loaded once as long as it is among the `LOADED_GAMES` used last."""
    with ENGINE_LOCK:
        game = _loaded.pop(source.key, None) or LoadedGame(source)
        _loaded[source.key] = game
        while len(_loaded) > LOADED_GAMES:
            _loaded.popitem(last=False)
        return game
