"""Rendering of TextWorld's context-sensitive grammars, with everything that can be parsed once parsed once.

`ContextSensitiveGrammar.derive` parses its start symbol and every condition again at each call, and copies
the whole context for every symbol: 10 ms a sentence. This walks the same rules in the same order, over
the same symbols and the same fact queries, in a twentieth of that; the tests compare both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from langchain_linvit.environments.alfworld.parts import engine_parts


@dataclass(frozen=True, slots=True)
class Scene:
    """What a text is rendered from.

    Attributes:
        state: TextWorld's state, for its queries over the facts.
        mapping: Placeholders bound so far, to the variables they stand for.
        entities: The entities' display information, by the name of their variable.
    """

    state: Any
    mapping: Mapping[Any, Any]
    entities: Mapping[str, Any]

    def bound(self, mapping: Mapping[Any, Any]) -> Scene:
        """The same scene with these placeholders bound as well."""
        return replace(self, mapping={**self.mapping, **mapping})

    def matches(self, condition: str) -> Iterator[Mapping[Any, Any]]:
        """Every way to bind the condition's placeholders so that it holds."""
        found: Iterator[Mapping[Any, Any]] = self.state.all_assignments(_query(condition), self.mapping)
        return found


class Renderer:
    """One grammar's sentences.

    Args:
        grammar: A parsed `ContextSensitiveGrammar`; it is only read.
        fixed: Symbols that are a constant text here, such as a game's own task sentence.
    """

    def __init__(self, grammar: Any, fixed: Mapping[str, str] | None = None) -> None:
        self._rules = grammar._rules
        self._fixed = dict(fixed or {})

    def render(self, start: str, scene: Scene) -> str:
        """The sentence that `start` (symbols of the grammar and literal text) stands for in `scene`."""
        return "".join(self._text(symbol, scene) for symbol in _symbols(start))

    def _text(self, symbol: Any, scene: Scene) -> str:
        textgen = engine_parts().textgen
        if isinstance(symbol, textgen.TerminalSymbol):
            return str(symbol)
        if isinstance(symbol, textgen.NonterminalSymbol):
            return self._nonterminal(str(symbol), scene)
        if isinstance(symbol, textgen.ListSymbol):
            return self._enumeration(self._each(symbol.symbol, scene), scene)
        return "".join(self._each(symbol, scene))

    def _nonterminal(self, name: str, scene: Scene) -> str:
        if name in self._fixed:
            return self._fixed[name]
        for rule in self._rules.get(name) or ():
            if not rule.condition or next(scene.matches(rule.condition), None) is not None:
                return "".join(self._text(symbol, scene) for symbol in rule.rhs)
        raise engine_parts().textgen.CSGUnknownSymbolError(name)

    def _each(self, symbol: Any, scene: Scene) -> list[str]:
        """The texts of a symbol that may stand for several: one for each way its condition holds."""
        textgen = engine_parts().textgen
        if isinstance(symbol, textgen.EvalSymbol):  # Python of the game's author, as TextWorld runs it
            variables = {placeholder.name: scene.entities[var.name] for placeholder, var in scene.mapping.items()}
            return [str(part) for part in symbol.derive({"variables": variables})]
        if isinstance(symbol, textgen.ConditionalSymbol):
            scenes = [scene.bound(found) for found in scene.matches(symbol.given)] if symbol.given else [scene]
            return [self._text(symbol.expression, each) for each in scenes]
        return [self._text(symbol, scene)]

    def _enumeration(self, items: list[str], scene: Scene) -> str:
        if not items:
            return self._nonterminal("list_empty", scene)
        if len(items) == 1:
            return items[0]
        separator = self._nonterminal("list_separator", scene)
        return separator.join(items[:-1]) + self._nonterminal("list_last_separator", scene) + items[-1]


@lru_cache(maxsize=4_096)
def _query(condition: str) -> Any:
    return engine_parts().logic.Rule.parse_conjunctive_query(condition)


@lru_cache(maxsize=4_096)
def _symbols(text: str) -> tuple[Any, ...]:
    return tuple(engine_parts().textgen._parse_and_convert(text, rule_name="symbols"))
