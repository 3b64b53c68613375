"""What the player knows of a household: where it is, what it carries, and what it has seen so far.

Everything here was shown by the game: the contents of a place count as known once it was looked into. The
text is what a model reads as the state, and a part of the state's key: two ways to the same
arrangement of objects differ as long as one of them has seen more.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from langchain_linvit.environments.alfworld.engine import Facts, LoadedGame, Operation, Position

LOOKED_INTO = {"gotolocation", "openobject", "examinereceptacle"}
"""Actions whose answer tells what a place holds, unless it is closed."""

TOLD_BY = {"cleanobject", "heatobject", "coolobject", "toggleobject", "sliceobject", "examineobject"}
"""Actions whose answer tells what a thing is like: some things are cool or hot at the start, which can't be seen."""

_CONDITIONS = {"isclean": "clean", "ishot": "hot", "iscool": "cool", "istoggled": "turned on", "issliced": "sliced"}
_NUMBERED = re.compile(r"(.*?)\s*(\d+)$")


@dataclass(frozen=True, eq=False)
class Places:
    """The places of one game; they never move.

    Attributes:
        names: What each place is called, by its identifier.
        at: The places at each location.
        openable: The places that can be closed.
    """

    names: Mapping[str, str]
    at: Mapping[str, tuple[str, ...]]
    openable: frozenset[str]

    @classmethod
    def of(cls, game: LoadedGame) -> Places:
        """The places of `game`."""
        pairs = [fact[:2] for fact in arguments(game.start.facts, "receptacleatlocation")]
        pairs.sort(key=lambda pair: natural(game.names[pair[0]]))
        at: dict[str, list[str]] = defaultdict(list)
        for place, location in pairs:
            at[location].append(place)
        return cls(
            names={place: game.names[place] for place, _ in pairs},
            at={location: tuple(places) for location, places in at.items()},
            openable=frozenset(place for (place,) in arguments(game.start.facts, "openable")),
        )


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What is known at one position.

    Attributes:
        game: The game.
        places: Its places.
        position: Where the player is in it.
        arrived: The place that was gone to last.
        visited: Places that were gone to.
        inside: Places whose contents were seen.
        handled: Things of which it was told what they are like.
    """

    game: LoadedGame
    places: Places
    position: Position
    arrived: str | None = None
    visited: frozenset[str] = field(default_factory=frozenset)
    inside: frozenset[str] = field(default_factory=frozenset)
    handled: frozenset[str] = field(default_factory=frozenset)

    def after(self, operation: Operation, position: Position) -> Knowledge:
        """What is known once `operation` has led to `position`."""
        place = operation.argument("r")
        known = replace(self, position=position)
        if place and operation.action == "gotolocation":
            known = replace(known, arrived=place, visited=self.visited | {place})
        if place and operation.action in LOOKED_INTO and not known.closed(place):
            known = replace(known, inside=self.inside | {place})
        thing = operation.argument("o") or operation.argument("co")
        if thing and operation.action in TOLD_BY:
            known = replace(known, handled=self.handled | {thing})
        return known

    def closed(self, place: str) -> bool:
        """Whether a place is closed now."""
        return place in self.places.openable and place not in self._open

    @cached_property
    def text(self) -> str:
        """The state as a model should read it."""
        lines = [f"You are at {self._here()}.", f"You carry {self._carried()}."]
        known = [place for place in self.places.names if place in self.visited or place in self.inside]
        if known:
            lines += ["Seen so far:", *(f"- {self._contents(place)}" for place in known)]
        unvisited = [name for place, name in self.places.names.items() if place not in known]
        if unvisited:
            lines.append(f"Not visited yet: {', '.join(unvisited)}.")
        states = [f"{self.game.names[item]} is {state}" for item, state in self._changed]
        if states:
            lines.append(f"Known of things: {', '.join(states)}.")
        return "\n".join(lines)

    @cached_property
    def key(self) -> str:
        """Equal where the same things are arranged equally and as much of them was seen, in every process."""
        changed = changes(self.game.start.facts, self.position.facts)
        parts = (
            self.game.source.key,
            str(self.arrived),
            *changed,
            "|",
            *sorted(self.visited),
            "|",
            *sorted(self.inside),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]

    def _here(self) -> str:
        if self.arrived is None:
            return "the middle of the room"
        location = next((fact[1] for fact in arguments(self.position.facts, "atlocation")), "")
        others = [place for place in self.places.at.get(location, ()) if place != self.arrived]
        names = sorted((self.places.names[place] for place in others), key=natural)
        return self.places.names[self.arrived] + (f" (within reach: {', '.join(names)})" if names else "")

    def _carried(self) -> str:
        return ", ".join(self.game.names[item] for _, item in arguments(self.position.facts, "holds")) or "nothing"

    def _contents(self, place: str) -> str:
        name = self.places.names[place]
        if self.closed(place):
            seen = f", holding {self._listed(place)}" if place in self.inside else ", not looked into"
            return f"{name} (closed{seen})"
        opened = " (open)" if place in self.places.openable else ""
        return f"{name}{opened}: {self._listed(place) if place in self.inside else 'not looked into'}"

    def _listed(self, place: str) -> str:
        return (
            ", ".join(sorted((self.game.names[item] for item in self._held_by.get(place, ())), key=natural))
            or "nothing"
        )

    @cached_property
    def _open(self) -> frozenset[str]:
        return frozenset(place for (place,) in arguments(self.position.facts, "opened"))

    @cached_property
    def _held_by(self) -> Mapping[str, list[str]]:
        held: dict[str, list[str]] = defaultdict(list)
        for item, place in arguments(self.position.facts, "inreceptacle"):
            held[place].append(item)
        return held

    @cached_property
    def _changed(self) -> list[tuple[str, str]]:
        facts = self.position.facts
        pairs = [(item, word) for name, word in _CONDITIONS.items() for (item,) in arguments(facts, name)]
        pairs = [(item, word) for item, word in pairs if item in self.handled]
        return sorted(pairs, key=lambda pair: (natural(self.game.names[pair[0]]), pair[1]))


def arguments(facts: Facts, predicate: str) -> Iterator[tuple[str, ...]]:
    """The arguments of every fact of a predicate, as names."""
    for signature, group in facts.items():
        if signature.name == predicate:
            for fact in group:
                yield tuple(variable.name for variable in fact.arguments)


def natural(name: str) -> tuple[str, int]:
    """Sorts `drawer 10` behind `drawer 2`."""
    match = _NUMBERED.match(name)
    return (match[1], int(match[2])) if match else (name, 0)


def changes(start: Facts, now: Facts) -> list[str]:
    """What has changed since the start, as sorted texts, as far as any answer of the game may depend on it."""
    lines = []
    for signature in {**start, **now}:
        before, after = start.get(signature, frozenset()), now.get(signature, frozenset())
        if before is not after and _matters(signature.name):
            lines += [f"-{fact}" for fact in before - after] + [f"+{fact}" for fact in after - before]
    return sorted(lines)


def _matters(predicate: str) -> bool:
    """Whether answers depend on it: of what is not so, only where a thing no longer lies (seen by `look`)."""
    return predicate == "not_inreceptacle" or not (predicate == "checked" or predicate.startswith("not_"))
