"""ALFWorld's commands as typed tools."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, Field, create_model

from langchain_linvit.environments.base import ActionTool

MOVE_TEMPLATE = "move {thing} to {place}"
"""How ALFWorld 0.4 puts things down."""
PUT_TEMPLATE = "put {thing} in/on {place}"
"""How ALFWorld 0.2 puts things down, as in the prompts of ReAct and of the paper."""

_THING = ("thing", "The thing with its number, e.g. `cloth 2`.")
_PLACE = ("place", "The place with its number, e.g. `drawer 3`.")
_SPECS: tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...] = (
    ("go_to", "Go to a place, from wherever you are.", "go to {place}", (_PLACE,)),
    ("open", "Open the place where you are.", "open {place}", (_PLACE,)),
    ("close", "Close the place where you are.", "close {place}", (_PLACE,)),
    ("take", "Take a thing from the place where you are.", "take {thing} from {place}", (_THING, _PLACE)),
    ("put", "Put down what you carry, at the place where you are.", MOVE_TEMPLATE, (_THING, _PLACE)),
    ("clean", "Clean what you carry, at a sinkbasin.", "clean {thing} with {place}", (_THING, _PLACE)),
    ("heat", "Heat what you carry, at a microwave.", "heat {thing} with {place}", (_THING, _PLACE)),
    ("cool", "Cool what you carry, at a fridge.", "cool {thing} with {place}", (_THING, _PLACE)),
    ("use", "Turn on a lamp that stands where you are.", "use {thing}", (_THING,)),
    ("slice", "Slice a thing with the knife that you carry.", "slice {thing} with {knife}",
     (_THING, ("knife", "The knife with its number."))),
    ("examine", "Look closely at a thing or a place here.", "examine {thing}", (("thing", "What to look at."),)),
    ("look", "Look around.", "look", ()),
    ("inventory", "See what you carry.", "inventory", ()),
    ("help", "Ask the game for help.", "help", ()),
)  # fmt: skip


@lru_cache(maxsize=1)
def action_tools() -> list[ActionTool]:
    """One tool for each kind of command."""
    return [_tool(name, text, template, fields) for name, text, template, fields in _SPECS]


def _tool(name: str, text: str, template: str, fields: tuple[tuple[str, str], ...]) -> ActionTool:
    definitions: dict[str, Any] = {field: (str, Field(description=told)) for field, told in fields}
    schema: type[BaseModel] = create_model(f"{name.title().replace('_', '')}Arguments", **definitions)
    return ActionTool(name, text, schema, _renderer(template), _parser(template))


def _renderer(template: str) -> Callable[[BaseModel], str]:
    return lambda arguments: template.format(**arguments.model_dump())


def _parser(template: str) -> Callable[[str], dict[str, Any] | None]:
    templates = (template, PUT_TEMPLATE) if template == MOVE_TEMPLATE else (template,)
    patterns = [re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>.+?)", each)) for each in templates]

    def parse(action: str) -> dict[str, Any] | None:
        matches = [match for pattern in patterns if (match := pattern.fullmatch(action))]
        return matches[0].groupdict() if matches else None

    return parse
