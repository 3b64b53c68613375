"""What a model writes for itself: plans, and reflections on attempts that failed, shown in its later prompts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from langchain_linvit.calls import Caller
from langchain_linvit.models.sampling import SamplingModel
from langchain_linvit.prompts import DEFAULT_TEMPLATES, PromptTemplates, Situation

KEPT_REFLECTIONS = 3
"""Reflections that prompts show, the latest ones: Reflexion's memory (arXiv 2303.11366, section 3)."""
MAX_THOUGHT = 2_000
"""Characters of a plan or a reflection that are kept."""

_MARK = re.compile(r"^\W*reflection\W*?:\s*", re.IGNORECASE | re.MULTILINE)


async def plan_for(situation: Situation, model: Any, caller: Caller) -> str:
    """A plan from this situation on, as the model words it at temperature 0."""
    sampling = SamplingModel.of(model, temperature=0.0)
    answer = await caller.complete(sampling, situation.messages(DEFAULT_TEMPLATES.plan), path=["plan"])
    return answer[0].text.strip()[:MAX_THOUGHT]


async def reflection_on(end: Situation, model: Any, caller: Caller, *, path: Sequence[object]) -> str:
    """What the model makes of an attempt that ended here without reaching the goal."""
    sampling = SamplingModel.of(model)
    answer = await caller.complete(sampling, end.messages(DEFAULT_TEMPLATES.reflect), path=[*path, "reflect"])
    return _MARK.sub("", answer[0].text).strip()[:MAX_THOUGHT]


def with_plan(templates: PromptTemplates, plan: str) -> PromptTemplates:
    """`templates` with a plan to follow; as they are where the plan is empty."""
    return templates.with_note("plan", plan) if plan else templates


def with_reflections(templates: PromptTemplates, reflections: Sequence[str]) -> PromptTemplates:
    """`templates` with what was learned from earlier attempts; as they are where there is nothing."""
    kept = [f"- {reflection}" for reflection in reflections if reflection][-KEPT_REFLECTIONS:]
    return templates.with_note("reflections", "\n".join(kept)) if kept else templates
