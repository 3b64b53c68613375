"""What the household policy may want to do next, and the command that begins it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from langchain_linvit.models.household.commonsense import STATES, STATIONS
from langchain_linvit.models.household.reading import Household

_SUBGOALS = (
    ("search", re.compile(r"(?:look for|find) an? (?P<item>\w+)(?: (?:in|at|on) (?P<place>\w+ ?\d*))?")),
    ("take", re.compile(r"take (?:the |an? )?(?P<item>\w+ ?\d*) from (?P<place>\w+ ?\d*)")),
    ("change", re.compile(r"(?P<verb>clean|heat|cool) (?:the |an? )?(?P<item>\w+ ?\d*) with (?P<place>\w+ ?\d*)")),
    ("use", re.compile(r"use (?:the |an? )?(?P<item>\w+ ?\d*) at (?P<place>\w+ ?\d*)")),
    ("put", re.compile(r"put (?:the |an? )?(?P<item>\w+ ?\d*) (?:in|on|at|to) (?P<place>\w+ ?\d*)")),
    ("say", re.compile(r"(?P<item>.+)")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Intention:
    """One small subgoal.

    Attributes:
        aim: `search`, `take`, `change`, `put`, `use`, or `say`: one command as it stands, possible or not.
        item: The thing it is about (for `search`, its type); for `say`, the command.
        place: Where.
        verb: `clean`, `heat` or `cool`, for `change`.
    """

    aim: str
    item: str
    place: str = ""
    verb: str = ""

    def text(self) -> str:
        """As a subgoal in words."""
        return {
            "search": f"look for a {self.item} in {self.place}",
            "take": f"take {self.item} from {self.place}",
            "change": f"{self.verb} {self.item} with {self.place}",
            "put": f"put {self.item} in {self.place}",
            "use": f"use {self.item} at {self.place}",
            "say": self.item,
        }[self.aim]

    def command(self, household: Household) -> str | None:
        """The next command towards it; None once it is reached."""
        if self.aim == "say":
            return self.item
        if household.here != self.place and self.place not in household.near:
            return f"go to {self.place}"
        if self.aim == "use":
            return None if (self.item, "turned on") in household.states else f"use {self.item}"
        if self.aim == "change":
            return (
                None
                if (self.item, STATES[self.verb]) in household.states
                else f"{self.verb} {self.item} with {self.place}"
            )
        if self.place in household.closed:
            return f"open {self.place}"
        if self.aim == "take":
            return None if household.carried == self.item else f"take {self.item} from {self.place}"
        if self.aim == "put":
            return f"move {self.item} to {self.place}" if household.carried == self.item else None
        return None


def read_intention(text: str) -> Intention | None:
    """The intention that a subgoal in words stands for; None where it can't be understood."""
    for aim, pattern in _SUBGOALS:
        match = pattern.fullmatch(text.lower().strip(" ."))
        if match:
            parts = match.groupdict()
            place = parts.get("place") or ""
            if not place and aim == "search":
                return None
            return Intention(aim, parts["item"], place, parts.get("verb") or "")
    return None


def station_for(verb: str, household: Household) -> str:
    """The place where a thing is changed: the one at hand, else the first of its type; empty if the room has none."""
    stations = household.of_type(STATIONS[verb])
    return next((place for place in stations if place == household.here), stations[0] if stations else "")
