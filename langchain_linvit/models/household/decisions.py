"""What the household policy wants next, as weights over intentions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from langchain_linvit.models.household.commonsense import mistaken_for, plausibility
from langchain_linvit.models.household.intentions import Intention, station_for
from langchain_linvit.models.household.mind import Mind
from langchain_linvit.models.household.reading import Household, HouseholdGoal, kind_of

Weights = dict[Intention, float]
"""Weights over intentions; they need not sum to 1."""

_IDLE = ("look", "inventory", "examine {place}")


@dataclass(frozen=True)
class Decision:
    """One decision: a task, a state, and the mind that takes it.

    Attributes:
        goal: The task.
        household: The state.
        mind: The noise.
        last: The last command that was given; empty at the start.
    """

    goal: HouseholdGoal
    household: Household
    mind: Mind
    last: str = ""

    def weights(self) -> Weights:
        """Weights over intentions: right ones, those of a mistaken belief, and slips."""
        right = _scaled(self._right(), 1.0)
        mistaken = self._mistaken()
        grip = self.mind.grip if mistaken else 0.0
        slip = self.mind.slip
        parts = [
            _scaled(right, (1 - grip) * (1 - slip)),
            _scaled(mistaken, grip * (1 - slip)),
            _scaled(self._slips(right), slip),
        ]
        total: Weights = {}
        for part in parts:
            for intention, weight in part.items():
                total[intention] = total.get(intention, 0.0) + weight
        return total

    def _right(self) -> Weights:
        """What a clear head does."""
        carried = self.household.carried
        if carried and kind_of(carried) != self.goal.thing:
            return {self._drop(carried): 1.0}
        if carried:
            return self._with_thing(carried)
        wanted = self._wanted({self.goal.thing})
        if wanted:
            return {
                Intention("take", item, place): 2.0 if place == self.household.here else 1.0 for item, place in wanted
            }
        return self._search(self.goal.thing, self._unexplored()) or self._search(self.goal.thing, self.household.places)

    def _with_thing(self, carried: str) -> Weights:
        """What to do with a thing in hand that is (or passes for) the one that is asked for."""
        if self.goal.verb and (carried, self.goal.state) not in self.household.states:
            station = station_for(self.goal.verb, self.household)
            return {Intention("change", carried, station, self.goal.verb): 1.0} if station else self._idle()
        if self.goal.kind == "look":
            lamps = self.household.lying({self.goal.place})
            if lamps:
                return {Intention("use", lamp, place): 1.0 for lamp, place in lamps}
            return self._search(self.goal.place, self._unexplored()) or self._idle()
        return self._put(carried)

    def _put(self, carried: str) -> Weights:
        targets = self.household.of_type(self.goal.place)
        started = [place for place in targets if self._placed(place)]
        place = (started or targets or [self.household.here])[0]
        return {Intention("put", carried, place): 1.0}

    def _placed(self, place: str) -> bool:
        """Whether one of two things lies there already."""
        items = self.household.contents.get(place) or ()
        return self.goal.kind == "two" and any(kind_of(item) == self.goal.thing for item in items)

    def _wanted(self, kinds: set[str]) -> list[tuple[str, str]]:
        """Things in sight of these types that are still to be fetched."""
        lying = self.household.lying(kinds)
        if self.goal.kind == "look":
            return lying
        if self.goal.kind == "two":
            targets = [place for place in self.household.of_type(self.goal.place) if self._placed(place)]
            return [(item, place) for item, place in lying if place not in targets[:1]]
        unchanged = {
            item for item, _ in lying if self.goal.verb and (item, self.goal.state) not in self.household.states
        }
        return [(item, place) for item, place in lying if kind_of(place) != self.goal.place or item in unchanged]

    def _search(self, thing: str, places: Iterable[str]) -> Weights:
        """Places to look into, the plausible ones first; the one at hand before all others."""
        return {
            Intention("search", thing, place): plausibility(thing, kind_of(place))
            * (8 if place == self.household.here else 1)
            for place in places
        }

    def _unexplored(self) -> list[str]:
        return [place for place in self.household.places if self.household.contents.get(place) is None]

    def _drop(self, carried: str) -> Intention:
        places = [
            place
            for place in (self.household.here, *self.household.near)
            if place and place not in self.household.closed
        ]
        surfaces = places or self.household.of_type("countertop") or self.household.of_type("sidetable")
        return Intention("put", carried, (surfaces or self.household.places or [""])[0])

    def _mistaken(self) -> Weights:
        """What the beliefs held about this task make of the state; nothing where none applies."""
        confused = self._confused_with()
        carried = self.household.carried
        if carried and kind_of(carried) in confused:
            return self._neglected(carried) or self._with_thing(carried)
        if carried and kind_of(carried) == self.goal.thing:
            return self._neglected(carried)
        if not carried and self._seems_done(confused | {self.goal.thing}):
            return self._idle()
        similar = [] if self._wanted({self.goal.thing}) else self._wanted(confused)
        if not carried and similar:
            return {Intention("take", item, place): 1.0 for item, place in similar}
        return self._overlooked() if not carried else {}

    def _confused_with(self) -> set[str]:
        """The types of thing that pass for the one that is asked for, in this task."""
        about = (self.goal.thing, self.goal.place)
        alike = mistaken_for(self.goal.thing)
        return {kind for kind in alike if self.mind.believes(self.mind.confusion, "confusion", *about, kind)}

    @property
    def neglects(self) -> bool:
        """Whether a step that the task needs is not thought of."""
        return self.mind.believes(self.mind.neglect, "neglect", self.goal.kind, self.goal.thing, self.goal.place)

    def _neglected(self, carried: str) -> Weights:
        """What is done with the thing in hand where a step of the task is not thought of."""
        if not self.neglects:
            return {}
        if self.goal.verb and (carried, self.goal.state) not in self.household.states:
            return self._put(carried)
        if self.goal.kind == "two":
            targets = self.household.of_type(self.goal.place)
            elsewhere = [place for place in targets if not self._placed(place)]
            return {Intention("put", carried, elsewhere[-1]): 1.0} if len(targets) > 1 and elsewhere else {}
        if self.goal.kind == "look":
            return {Intention("say", f"examine {carried}"): 1.0}
        return {}

    def _seems_done(self, kinds: set[str]) -> bool:
        """Whether what passes for the thing lies where it was asked for, in the state that passes for right."""
        if self.goal.kind in {"look", "two"}:
            return False
        lying = [(item, place) for item, place in self.household.lying(kinds) if kind_of(place) == self.goal.place]
        if self.goal.verb and not self.neglects:
            lying = [(item, place) for item, place in lying if (item, self.goal.state) in self.household.states]
        return bool(lying)

    def _overlooked(self) -> Weights:
        """Search as it goes on where closed places are not thought of as ones to open."""
        unexplored = self._unexplored()
        about = (self.goal.thing, self.goal.place)
        closed = [place for place in unexplored if place in self.household.closed]
        skipped = {place for place in closed if self.mind.believes(self.mind.blindness, "blindness", *about, place)}
        if not skipped or self._wanted({self.goal.thing}):
            return {}
        rest = [place for place in unexplored if place not in skipped]
        return self._search(self.goal.thing, rest or [place for place in self.household.places if place not in skipped])

    def _slips(self, right: Weights) -> Weights:
        """Small errors: places gone to again, commands that are not possible, things that were not asked for."""
        household, thing = self.household, self.goal.thing
        seen = [place for place in household.contents if place != household.here]
        slips: Weights = {Intention("say", f"go to {place}"): 1.0 / len(seen) for place in seen}
        slips |= {Intention("say", command): 1 / 3 for command in self._idle_commands()}
        slips[Intention("say", f"take {thing} 1 from {household.here or 'countertop 1'}")] = 0.7
        if household.here in household.closed:
            slips |= _scaled({each: weight for each, weight in right.items() if each.place != household.here}, 0.7)
        if household.carried:
            slips[self._drop(household.carried)] = 0.7
        elif household.contents.get(household.here):
            items = household.contents[household.here] or ()
            slips |= {Intention("take", item, household.here): 0.7 / len(items) for item in items}
        if self.last:
            slips[Intention("say", self.last)] = 0.7
        return slips

    def _idle(self) -> Weights:
        """What is done by someone who believes that nothing is left to do."""
        return {Intention("say", command): 1.0 for command in self._idle_commands()}

    def _idle_commands(self) -> list[str]:
        commands = _IDLE if self.household.here else _IDLE[:2]
        return [command.format(place=self.household.here) for command in commands]


def _scaled(weights: Weights, total: float) -> Weights:
    """The same proportions, summing to `total`."""
    whole = sum(weights.values())
    return {intention: weight * total / whole for intention, weight in weights.items()} if whole else {}
