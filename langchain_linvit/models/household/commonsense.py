"""What anybody knows of households: where things are usually kept, and which are easily mistaken for each other.

Written down from general knowledge, before any game was counted; it is deliberately coarse.
"""

from __future__ import annotations

STATIONS = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
"""Where a thing is cleaned, heated and cooled."""

STATES = {"clean": "clean", "heat": "hot", "cool": "cool"}
"""What a thing is afterwards."""

_KEPT: tuple[tuple[frozenset[str], dict[str, float]], ...] = (
    (
        frozenset({"mug", "cup", "plate", "bowl", "pan", "pot", "kettle", "winebottle", "glassbottle"}),
        {"countertop": 4, "cabinet": 3, "diningtable": 3, "shelf": 2, "sinkbasin": 2, "stoveburner": 2,
         "coffeemachine": 1, "fridge": 1, "microwave": 1, "sidetable": 1, "desk": 1},
    ),
    (
        frozenset({"apple", "tomato", "potato", "egg", "lettuce", "bread"}),
        {"fridge": 4, "countertop": 4, "diningtable": 3, "sinkbasin": 2, "microwave": 1, "garbagecan": 1},
    ),
    (
        frozenset({"knife", "butterknife", "fork", "spoon", "spatula", "ladle"}),
        {"countertop": 4, "drawer": 3, "diningtable": 3, "sinkbasin": 2},
    ),
    (
        frozenset({"saltshaker", "peppershaker", "dishsponge", "papertowelroll"}),
        {"countertop": 4, "cabinet": 3, "drawer": 2, "diningtable": 2, "shelf": 2, "sinkbasin": 2, "garbagecan": 1},
    ),
    (
        frozenset({"cloth", "soapbar", "soapbottle", "spraybottle", "toiletpaper", "tissuebox", "candle"}),
        {"countertop": 4, "cabinet": 3, "toilet": 3, "sinkbasin": 2, "drawer": 2, "bathtubbasin": 2, "shelf": 2,
         "garbagecan": 1, "toiletpaperhanger": 1},
    ),
    (
        frozenset({"towel", "handtowel"}),
        {"towelholder": 4, "handtowelholder": 4, "bathtubbasin": 1, "countertop": 1, "sinkbasin": 1},
    ),
    (
        frozenset({"book", "cd", "cellphone", "keychain", "creditcard", "alarmclock", "pen", "pencil", "laptop",
                   "watch", "remotecontrol", "newspaper"}),
        {"desk": 4, "sidetable": 3, "dresser": 3, "drawer": 2, "shelf": 2, "coffeetable": 3, "sofa": 2, "bed": 2,
         "armchair": 2, "diningtable": 2, "tvstand": 2, "safe": 1, "garbagecan": 1},
    ),
    (
        frozenset({"pillow"}),
        {"bed": 4, "sofa": 4, "armchair": 3},
    ),
    (
        frozenset({"box", "vase", "statue", "wateringcan", "houseplant"}),
        {"coffeetable": 3, "sidetable": 3, "shelf": 3, "sofa": 2, "armchair": 2, "diningtable": 3, "dresser": 2,
         "tvstand": 2, "cabinet": 1, "drawer": 1},
    ),
    (
        frozenset({"desklamp", "floorlamp"}),
        {"desk": 4, "sidetable": 4, "dresser": 3, "shelf": 1, "coffeetable": 1},
    ),
)  # fmt: skip
_ELSEWHERE = 0.5
"""Weight of a place where such a thing is not usually kept."""

_ALIKE = (
    frozenset({"cloth", "towel", "handtowel", "dishsponge"}),
    frozenset({"mug", "cup"}),
    frozenset({"pan", "pot"}),
    frozenset({"plate", "bowl"}),
    frozenset({"knife", "butterknife"}),
    frozenset({"spoon", "fork", "ladle", "spatula"}),
    frozenset({"pen", "pencil"}),
    frozenset({"soapbar", "soapbottle"}),
    frozenset({"spraybottle", "soapbottle"}),
    frozenset({"apple", "tomato", "potato"}),
    frozenset({"saltshaker", "peppershaker"}),
    frozenset({"creditcard", "keychain"}),
    frozenset({"book", "newspaper"}),
    frozenset({"toiletpaper", "tissuebox", "papertowelroll"}),
    frozenset({"statue", "vase"}),
    frozenset({"alarmclock", "watch"}),
    frozenset({"cellphone", "remotecontrol"}),
)


def plausibility(thing: str, place: str) -> float:
    """How likely a place of a type is to hold a thing of a type, relative to other places; positive."""
    for things, places in _KEPT:
        if thing in things:
            return places.get(place, _ELSEWHERE)
    return 1.0


def mistaken_for(thing: str) -> set[str]:
    """The types of thing that pass for `thing` at a careless look, itself left out."""
    return set().union(*(group for group in _ALIKE if thing in group)) - {thing}
