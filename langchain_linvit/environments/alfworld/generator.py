"""Household games of our own, for tests and demonstrations: solvable by construction, seeded, no download.

A game is a room with places, things in them, and a goal of one of the six types. Only the PDDL problem is made
here; domain and grammar are those of the installed `alfworld`, and the game is played on the real engine.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from langchain_linvit.environments.alfworld.rooms import BATHROOM, BEDROOM, KITCHEN, LIVING_ROOM, Room
from langchain_linvit.environments.alfworld.source import TASK_TYPES, TaskType
from langchain_linvit.environments.base import Task
from langchain_linvit.errors import InvalidSettingError

_ROOMS: Mapping[TaskType, Sequence[Room]] = {
    "pick": (KITCHEN, BATHROOM, BEDROOM, LIVING_ROOM),
    "look": (BEDROOM, LIVING_ROOM),
    "clean": (KITCHEN, BATHROOM),
    "heat": (KITCHEN,),
    "cool": (KITCHEN,),
    "two": (KITCHEN, BATHROOM, BEDROOM, LIVING_ROOM),
}
_CHANGES: Mapping[TaskType, tuple[str, str, str]] = {
    "clean": ("SinkBasin", "isClean", "cleanable"),
    "heat": ("Microwave", "isHot", "heatable"),
    "cool": ("Fridge", "isCool", "coolable"),
}
"""Where a thing is changed, the fact that this sets, and the fact that allows it."""

_SENTENCES: Mapping[TaskType, tuple[str, ...]] = {
    "pick": ("put a {thing} in {place}", "put some {thing} on {place}"),
    "look": ("look at {thing} under the {place}", "examine the {thing} with the {place}"),
    "clean": ("put a clean {thing} in {place}", "clean some {thing} and put it in {place}"),
    "heat": ("put a hot {thing} in {place}", "heat some {thing} and put it in {place}"),
    "cool": ("put a cool {thing} in {place}", "cool some {thing} and put it in {place}"),
    "two": ("put two {thing} in {place}", "find two {thing} and put them in {place}"),
}


@dataclass(frozen=True)
class Household:
    """One arrangement.

    Attributes:
        places: Every place with whether it can be closed, by its shown name, e.g. `drawer 2`.
        things: Every thing with the place it lies in, by its shown name, e.g. `cloth 1`.
        types: The type of every place and thing, by its shown name.
        room: What kind of room it is.
    """

    places: Mapping[str, bool]
    things: Mapping[str, str]
    types: Mapping[str, str]
    room: Room


@dataclass(frozen=True)
class Goal:
    """What is asked for: `thing` and `place` are types; for `look`, the place is the lamp."""

    kind: TaskType
    thing: str
    place: str
    sentence: str


def own_game(kind: TaskType, seed: int = 0) -> Task:
    """A generated game of one of the six types; equal seeds give equal games.

    Its walkthrough, in the task's metadata, wins it.

    Raises:
        InvalidSettingError: There is no such type.
    """
    if kind not in TASK_TYPES:
        raise InvalidSettingError(f"there is no task type {kind!r}; choose one of {', '.join(TASK_TYPES)}")
    rng = random.Random(f"{kind}-{seed}")
    room = rng.choice(_ROOMS[kind])
    goal = _drawn_goal(kind, room, rng)
    return household_task(f"own-{kind}-{seed}", _arranged(room, goal, rng), goal)


def own_games(count: int, *, kinds: Iterable[TaskType] | None = None, seed: int = 0) -> list[Task]:
    """`count` generated games, the types in turn."""
    chosen = list(kinds or TASK_TYPES)
    return [own_game(chosen[i % len(chosen)], seed + i // len(chosen)) for i in range(count)]


def towel_or_cloth() -> Task:
    """The paper's own example (arXiv 2402.16181, figure 2) as a game: clean a cloth, where a towel is at hand.

    The towel lies on the countertop; the cloth is in a closed cabinet.
    """
    openable = {"cabinet 1": True, "cabinet 2": True, "drawer 1": True}
    surfaces = ("countertop 1", "sinkbasin 1", "toilet 1", "towelholder 1", "garbagecan 1")
    places = {**openable, **dict.fromkeys(surfaces, False)}
    things = {
        "cloth 1": "cabinet 2",
        "towel 1": "countertop 1",
        "soapbar 1": "countertop 1",
        "candle 1": "countertop 1",
        "toiletpaper 1": "toilet 1",
        "spraybottle 1": "cabinet 1",
    }
    spelled = {kind.lower(): kind for kind in (*BATHROOM.places, *BATHROOM.things)}
    types = {name: spelled[name.rsplit(" ", 1)[0]] for name in (*places, *things)}
    goal = Goal("clean", "Cloth", "CounterTop", "clean a cloth and put it on countertop")
    return household_task("towel-or-cloth", Household(places, things, types, BATHROOM), goal)


def household_task(name: str, household: Household, goal: Goal) -> Task:
    """The game in which `goal` is to be reached in `household`."""
    walkthrough = _walkthrough(household, goal)
    return Task(
        id=name,
        text=f"{goal.sentence}.",
        data={"problem": _problem(name, household, goal)},
        metadata={"kind": goal.kind, "walkthrough": walkthrough, "optimal": len(walkthrough)},
    )


def _drawn_goal(kind: TaskType, room: Room, rng: random.Random) -> Goal:
    sentence = rng.choice(_SENTENCES[kind])
    things = [name for name, thing in room.things.items() if kind not in _CHANGES or kind in thing.can]
    if kind == "look":
        thing, place = rng.choice(things), str(room.lamp)
    else:
        places = {name: _possible(room, name, avoid=_CHANGES.get(kind, ("",))[0]) for name in things}
        thing = rng.choice([name for name in things if len(places[name]) > 1])
        place = rng.choice(places[thing])
    return Goal(kind, thing, place, sentence.format(thing=thing.lower(), place=place.lower()))


def _possible(room: Room, thing: str, avoid: str = "") -> list[str]:
    """The types of place that such a room always has and that `thing` may be in."""
    return [name for name in room.things[thing].kept if name != avoid and room.places[name].fewest > 0]


def _arranged(room: Room, goal: Goal, rng: random.Random) -> Household:
    """A room with its things laid out; none that the goal asks for lies where it is asked for."""
    places, types = {}, {}
    for kind, place in room.places.items():
        for number in range(1, rng.randint(place.fewest, place.most) + 1):
            places[f"{kind.lower()} {number}"] = place.openable
            types[f"{kind.lower()} {number}"] = kind
    things: dict[str, str] = {}
    needed = {"two": 2}.get(goal.kind, 1)
    for kind, thing in room.things.items():
        count = rng.randint(needed, needed + 1) if kind == goal.thing else rng.choice((0, 1, 1, 2))
        kept = [name for name in thing.kept if not (kind == goal.thing and name == goal.place)]
        spots = [name for name in places if types[name] in kept]
        for number in range(1, count + 1):
            things[f"{kind.lower()} {number}"] = rng.choice(spots)
            types[f"{kind.lower()} {number}"] = kind
    if room.lamp and room.lamp_place:
        things[f"{room.lamp.lower()} 1"] = rng.choice([name for name in places if types[name] == room.lamp_place])
        types[f"{room.lamp.lower()} 1"] = room.lamp
    return Household(places, things, types, room)


def _walkthrough(household: Household, goal: Goal) -> list[str]:
    """Commands that win: the first things of the type are fetched, changed and put into one place."""
    first = {kind: name for name, kind in reversed(list(household.types.items()))}
    things = [name for name in household.things if household.types[name] == goal.thing]
    opened: set[str] = set()
    here = [""]
    commands: list[str] = []

    def go(place: str, *, into: bool = True) -> None:
        if here[-1] != place:
            commands.append(f"go to {place}")
            here.append(place)
        if into and household.places[place] and place not in opened:
            commands.append(f"open {place}")
            opened.add(place)

    for thing in things[: 2 if goal.kind == "two" else 1]:
        go(household.things[thing])
        commands.append(f"take {thing} from {household.things[thing]}")
        if goal.kind in _CHANGES:
            station = first[_CHANGES[goal.kind][0]]
            go(station, into=False)
            commands.append(f"{goal.kind} {thing} with {station}")
        if goal.kind == "look":
            go(household.things[first[goal.place]])
            commands.append(f"use {first[goal.place]}")
        else:
            go(first[goal.place])
            commands.append(f"move {thing} to {first[goal.place]}")
    return commands


def _problem(name: str, household: Household, goal: Goal) -> str:
    """The PDDL problem. Types that the domain's actions name are declared even where the room lacks them."""
    ids = _identifiers(household.types)
    placed = {kind for place, kind in household.types.items() if place in household.places}
    contents = sorted({household.types[thing] for thing in household.things})
    place_types = sorted(placed | {"SinkBasin", "Microwave", "Fridge"})
    thing_types = sorted({*contents, "Knife", "ButterKnife"})
    locations = {place: f"loc_{number}" for number, place in enumerate(household.places, 1)}
    objects = ["agent1 - agent", "loc_0 - location"]
    objects += [f"{location} - location" for location in locations.values()]
    objects += [f"{kind}Type - rtype" for kind in place_types] + [f"{kind}Type - otype" for kind in thing_types]
    objects += [f"{ids[place]} - receptacle" for place in household.places]
    objects += [f"{ids[thing]} - object" for thing in household.things]
    facts = [
        "atLocation agent1 loc_0",
        *_place_facts(household, ids, locations),
        *_thing_facts(household, ids, locations),
    ]
    return "\n".join(
        [f"(define (problem {name})", "(:domain alfred)", "(:objects", *objects, ")", "(:init"]
        + [f"({fact})" for fact in facts]
        + [")", f"(:goal {_goal_formula(goal)}))", ""]
    )


def _place_facts(household: Household, ids: Mapping[str, str], locations: Mapping[str, str]) -> list[str]:
    facts = []
    for place, openable in household.places.items():
        facts.append(f"receptacleType {ids[place]} {household.types[place]}Type")
        facts.append(f"receptacleAtLocation {ids[place]} {locations[place]}")
        if openable:
            facts.append(f"openable {ids[place]}")
    for kind, thing in household.room.things.items():
        if kind in household.types.values():
            present = [place for place in thing.kept if place in household.types.values()]
            facts += [f"canContain {place}Type {kind}Type" for place in present]
    return facts


def _thing_facts(household: Household, ids: Mapping[str, str], locations: Mapping[str, str]) -> list[str]:
    facts = []
    for thing, place in household.things.items():
        kind = household.types[thing]
        facts.append(f"objectType {ids[thing]} {kind}Type")
        facts.append(f"inReceptacle {ids[thing]} {ids[place]}")
        facts.append(f"objectAtLocation {ids[thing]} {locations[place]}")
        if kind == household.room.lamp:
            facts.append(f"toggleable {ids[thing]}")
            continue
        facts.append(f"pickupable {ids[thing]}")
        facts += [
            f"{_CHANGES[change][2]} {ids[thing]}" for change in _CHANGES if change in household.room.things[kind].can
        ]
    return facts


def _identifiers(types: Mapping[str, str]) -> dict[str, str]:
    """Identifiers from which ALFWorld derives the shown names: it numbers a type's sorted identifiers downwards."""
    counts: dict[str, int] = {}
    for kind in types.values():
        counts[kind] = counts.get(kind, 0) + 1
    ids = {}
    for name, kind in types.items():
        number = f"{counts[kind] + 1 - int(name.rsplit(' ', 1)[1]):02d}"
        base = kind.removesuffix("Basin")
        ids[name] = f"{base}_bar_{number}" + (f"_bar_{kind}" if base != kind else "")
    return ids


def _goal_formula(goal: Goal) -> str:
    thing, place = f"{goal.thing}Type", f"{goal.place}Type"
    if goal.kind == "look":
        return (
            f"(and (exists (?t - object ?r - receptacle ?a - agent ?l - location) (and (objectType ?t {place}) "
            "(toggleable ?t) (isToggled ?t) (receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?t ?r))) "
            f"(exists (?o - object ?a - agent) (and (objectType ?o {thing}) (holds ?a ?o))))"
        )
    if goal.kind == "two":
        lies = "(objectType {0} {1}) (receptacleType ?r {2}) (inReceptacle {0} ?r)"
        second = f"(exists (?o2 - object) (and (not (= ?o1 ?o2)) {lies.format('?o2', thing, place)}))"
        first = f"(exists (?o1 - object) (and {lies.format('?o1', thing, place)} {second}))"
        return f"(and (exists (?r - receptacle) {first}))"
    changed = "({2} ?o) ({1} ?o) ".format(*_CHANGES[goal.kind]) if goal.kind in _CHANGES else ""
    return (
        f"(and (exists (?r - receptacle) (exists (?o - object) (and {changed}(inReceptacle ?o ?r) "
        f"(objectType ?o {thing}) (receptacleType ?r {place})))))"
    )
