"""What the household policy reads in a prompt: the goal and the state, as ALFWorld's environment words them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from langchain_linvit.models.household.commonsense import STATES, STATIONS

_WHERE = r"(?:in|on) (?P<place>\w+)"
_GOALS = (
    ("two", re.compile(rf"(?:put|find) two (?P<thing>\w+) (?:and put them )?{_WHERE}")),
    ("change", re.compile(rf"put an? (?P<state>clean|hot|cool) (?P<thing>\w+) {_WHERE}")),
    ("change", re.compile(rf"(?P<verb>clean|heat|cool) (?:some|an?|the) (?P<thing>\w+) and put it {_WHERE}")),
    ("look", re.compile(r"(?:look at|examine) (?:the |an? )?(?P<thing>\w+) (?:under|with) (?:the )?(?P<place>\w+)")),
    ("pick", re.compile(rf"put (?:an?|some|the) (?P<thing>\w+) {_WHERE}")),
)
_VERBS = {"clean": "clean", "hot": "heat", "cool": "cool"}
_PLACE = re.compile(r"- (?P<name>[^:(]+?)(?: \((?P<note>[^)]*)\))?(?:: (?P<items>.*))?")


@dataclass(frozen=True, slots=True)
class HouseholdGoal:
    """A task, understood.

    Attributes:
        kind: `pick`, `two`, `change` or `look`.
        thing: The type of thing that is asked for.
        place: The type of place where it shall be put; for `look`, the type of lamp.
        verb: `clean`, `heat` or `cool`, where the thing must be changed; empty otherwise.
    """

    kind: str
    thing: str
    place: str
    verb: str = ""

    @property
    def state(self) -> str:
        """What the thing must be once it was changed, e.g. `hot`."""
        return STATES.get(self.verb, "")

    @property
    def station(self) -> str:
        """The type of place where it is changed."""
        return STATIONS.get(self.verb, "")


@dataclass(frozen=True)
class Household:
    """What the state's text says.

    Attributes:
        here: The place where the player is; empty in the middle of the room.
        near: Other places within reach there.
        carried: The thing in hand; empty if none.
        contents: What each place is known to hold; None where it was not looked into.
        closed: Places that are closed.
        unvisited: Places that were never gone to.
        states: What is known of things, such as that one is clean.
    """

    here: str
    near: tuple[str, ...]
    carried: str
    contents: Mapping[str, tuple[str, ...] | None]
    closed: frozenset[str]
    unvisited: tuple[str, ...]
    states: frozenset[tuple[str, str]]

    @property
    def places(self) -> list[str]:
        """Every place of the room, visited ones first."""
        return [*self.contents, *self.unvisited]

    def of_type(self, kind: str) -> list[str]:
        """The places of a type, lowest number first."""
        return sorted((place for place in self.places if kind_of(place) == kind), key=_number)

    def lying(self, kinds: set[str]) -> list[tuple[str, str]]:
        """The (thing, place) pairs of these types that are known to lie about."""
        return [
            (item, place) for place, items in self.contents.items() for item in items or () if kind_of(item) in kinds
        ]


def kind_of(name: str) -> str:
    """The type in a numbered name: `cloth` of `cloth 2`."""
    return name.rsplit(" ", 1)[0] if name[-1:].isdigit() else name


@lru_cache(maxsize=512)
def read_goal(text: str) -> HouseholdGoal | None:
    """The task in a goal's text; None where it is none of ALFWorld's six."""
    folded = text.lower()
    for kind, pattern in _GOALS:
        match = pattern.search(folded)
        if match:
            parts = match.groupdict()
            verb = parts.get("verb") or _VERBS.get(parts.get("state") or "", "")
            return HouseholdGoal(kind, parts["thing"], parts["place"], verb)
    return None


@lru_cache(maxsize=4_096)
def read_state(text: str) -> Household:
    """The household that a state's text describes; what it doesn't mention is empty."""
    contents: dict[str, tuple[str, ...] | None] = {}
    closed = set()
    for line in text.splitlines():
        match = _PLACE.fullmatch(line)
        if match:
            name, note = match["name"], match["note"] or ""
            contents[name] = _items(match["items"] or note.partition("holding ")[2])
            if note.startswith("closed"):
                closed.add(name)
    here = re.search(r"^You are at ([^(.\n]+?)(?: \(within reach: ([^)]*)\))?\.$", text, re.MULTILINE)
    return Household(
        here="" if here is None or here[1].startswith("the middle") else here[1],
        near=tuple(here[2].split(", ")) if here and here[2] else (),
        carried=_after("You carry ", text).removesuffix("nothing"),
        contents=contents,
        closed=frozenset(closed),
        unvisited=tuple(name for name in _after("Not visited yet: ", text).split(", ") if name),
        states=frozenset(re.findall(r"([a-z]+(?: \d+)?) is ([a-z ]+)", _after("Known of things: ", text))),
    )


def _after(mark: str, text: str) -> str:
    """The rest of the line that begins with `mark`, without its full stop."""
    match = re.search(rf"^{mark}(.*)\.$", text, re.MULTILINE)
    return match[1] if match else ""


def _items(text: str) -> tuple[str, ...] | None:
    """The things in a list; None where it says that nobody has looked."""
    if not text or text == "not looked into":
        return None
    return () if text == "nothing" else tuple(text.split(", "))


def _number(name: str) -> tuple[str, int]:
    kind, _, number = name.rpartition(" ")
    return (kind, int(number)) if number.isdigit() else (name, 0)
