"""The rooms of our own games: which places there are, which things, and where things are kept.

Data for `generator.py`. Types are spelled as ALFWorld spells them; everything else is made up here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A type of place in a room.

    Attributes:
        fewest, most: How many of it a room has.
        openable: Whether it can be closed; it is, at the start.
    """

    fewest: int
    most: int
    openable: bool = False


@dataclass(frozen=True)
class Thing:
    """A type of thing.

    Attributes:
        kept: Types of place where it may lie at the start, or be put.
        can: What may be done with it besides carrying it: `clean`, `heat`, `cool`.
    """

    kept: tuple[str, ...]
    can: tuple[str, ...] = ()


@dataclass(frozen=True)
class Room:
    """A kind of room: its places and its things; `lamps` stand on the places of `lamp_place`."""

    places: Mapping[str, Place]
    things: Mapping[str, Thing]
    lamp: str | None = None
    lamp_place: str | None = None


_WARE = ("CounterTop", "Cabinet", "DiningTable", "Shelf", "SinkBasin", "Microwave", "Fridge")
_FOOD = ("CounterTop", "DiningTable", "Fridge", "Microwave", "SinkBasin", "GarbageCan")
_CUTLERY = ("CounterTop", "DiningTable", "Drawer", "SinkBasin")
_BATH = ("CounterTop", "Cabinet", "Drawer", "Toilet", "GarbageCan", "SinkBasin")
_SMALL = ("Desk", "Drawer", "Dresser", "Shelf", "SideTable")
_SEATS = ("Sofa", "ArmChair", "CoffeeTable", "SideTable", "TVStand", "Drawer", "Shelf")

KITCHEN = Room(
    places={
        "CounterTop": Place(1, 3),
        "Cabinet": Place(3, 8, openable=True),
        "Drawer": Place(2, 5, openable=True),
        "Fridge": Place(1, 1, openable=True),
        "Microwave": Place(1, 1, openable=True),
        "SinkBasin": Place(1, 1),
        "DiningTable": Place(1, 1),
        "Shelf": Place(0, 2),
        "GarbageCan": Place(1, 1),
        "StoveBurner": Place(2, 4),
        "CoffeeMachine": Place(1, 1),
    },
    things={
        "Mug": Thing((*_WARE, "CoffeeMachine"), ("clean", "heat", "cool")),
        "Cup": Thing(_WARE, ("clean", "heat", "cool")),
        "Plate": Thing(_WARE, ("clean", "heat", "cool")),
        "Bowl": Thing(_WARE, ("clean", "cool")),
        "Pan": Thing(("CounterTop", "StoveBurner", "DiningTable", "Cabinet", "Fridge"), ("clean", "cool")),
        "Pot": Thing(("CounterTop", "StoveBurner", "DiningTable", "Cabinet", "Fridge"), ("clean", "cool")),
        "Apple": Thing(_FOOD, ("clean", "heat", "cool")),
        "Tomato": Thing(_FOOD, ("clean", "heat", "cool")),
        "Potato": Thing(_FOOD, ("clean", "heat", "cool")),
        "Egg": Thing(_FOOD, ("clean", "heat", "cool")),
        "Lettuce": Thing(_FOOD, ("clean", "cool")),
        "Bread": Thing(_FOOD, ("heat", "cool")),
        "Knife": Thing(_CUTLERY, ("clean",)),
        "ButterKnife": Thing(_CUTLERY, ("clean",)),
        "Fork": Thing(_CUTLERY, ("clean",)),
        "Spoon": Thing(_CUTLERY, ("clean",)),
        "Spatula": Thing(_CUTLERY, ("clean",)),
        "SaltShaker": Thing(("CounterTop", "Cabinet", "DiningTable", "Drawer", "Shelf")),
        "PepperShaker": Thing(("CounterTop", "Cabinet", "DiningTable", "Drawer", "Shelf")),
        "DishSponge": Thing(("CounterTop", "SinkBasin", "Cabinet", "Drawer", "GarbageCan"), ("clean",)),
    },
)

BATHROOM = Room(
    places={
        "CounterTop": Place(1, 2),
        "Cabinet": Place(2, 4, openable=True),
        "Drawer": Place(1, 4, openable=True),
        "SinkBasin": Place(1, 2),
        "BathtubBasin": Place(0, 1),
        "Toilet": Place(1, 1),
        "GarbageCan": Place(1, 1),
        "TowelHolder": Place(1, 1),
        "HandTowelHolder": Place(1, 2),
    },
    things={
        "Cloth": Thing((*_BATH, "BathtubBasin"), ("clean",)),
        "SoapBar": Thing((*_BATH, "BathtubBasin"), ("clean",)),
        "SoapBottle": Thing(_BATH),
        "SprayBottle": Thing(_BATH),
        "ToiletPaper": Thing(_BATH),
        "Candle": Thing(("CounterTop", "Cabinet", "Drawer", "Toilet")),
        "Towel": Thing(("TowelHolder", "BathtubBasin", "CounterTop"), ("clean",)),
        "HandTowel": Thing(("HandTowelHolder", "SinkBasin", "CounterTop"), ("clean",)),
    },
)

BEDROOM = Room(
    places={
        "Desk": Place(1, 2),
        "Drawer": Place(2, 6, openable=True),
        "Dresser": Place(1, 1),
        "Shelf": Place(1, 4),
        "SideTable": Place(1, 2),
        "Bed": Place(1, 1),
        "GarbageCan": Place(1, 1),
        "Safe": Place(0, 1, openable=True),
    },
    things={
        "Book": Thing((*_SMALL, "Bed")),
        "CD": Thing((*_SMALL, "GarbageCan", "Safe")),
        "CellPhone": Thing((*_SMALL, "Bed", "Safe")),
        "KeyChain": Thing((*_SMALL, "Safe")),
        "CreditCard": Thing((*_SMALL, "Safe")),
        "AlarmClock": Thing(("Desk", "Dresser", "Shelf", "SideTable")),
        "Pen": Thing((*_SMALL, "GarbageCan")),
        "Pencil": Thing((*_SMALL, "GarbageCan")),
        "Laptop": Thing(("Desk", "Bed", "Dresser")),
        "Pillow": Thing(("Bed",)),
    },
    lamp="DeskLamp",
    lamp_place="Desk",
)

LIVING_ROOM = Room(
    places={
        "Sofa": Place(1, 1),
        "ArmChair": Place(1, 2),
        "CoffeeTable": Place(1, 1),
        "SideTable": Place(1, 2),
        "TVStand": Place(1, 1),
        "Drawer": Place(2, 4, openable=True),
        "Shelf": Place(1, 3),
        "GarbageCan": Place(1, 1),
    },
    things={
        "Newspaper": Thing(_SEATS),
        "RemoteControl": Thing(_SEATS),
        "KeyChain": Thing(_SEATS),
        "CreditCard": Thing(_SEATS),
        "Box": Thing(("Sofa", "ArmChair", "CoffeeTable", "SideTable")),
        "Vase": Thing(("CoffeeTable", "SideTable", "Shelf", "TVStand")),
        "Statue": Thing(("CoffeeTable", "SideTable", "Shelf", "TVStand")),
        "WateringCan": Thing(("CoffeeTable", "SideTable", "Drawer", "Shelf")),
        "Laptop": Thing(("Sofa", "ArmChair", "CoffeeTable")),
    },
    lamp="FloorLamp",
    lamp_place="SideTable",
)
