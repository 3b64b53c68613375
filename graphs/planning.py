"""What the planner graphs share: the settings that a client may choose, and a task in words."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from langchain_linvit import Budget, PlanResult, Task
from langchain_linvit.applications import TaskChoice, application
from langchain_linvit.planner.state import PlannerOutput


class PlanningContext(BaseModel):
    """The settings of a run; Studio shows them as a form. No paths: a client is not to read the server's files."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = Field(
        default=None, description="A chat model, e.g. openai:gpt-4o-mini; empty: the offline one."
    )
    preset: str | None = Field(default=None, description="Settings by name, e.g. paper-figure-2.")
    seed: int = Field(default=0, description="Seed of all random choices, and of generated tasks.")
    max_completions: int = Field(default=2_000, ge=0, description="Most completions of a run.")
    max_seconds: float = Field(default=600, ge=0, description="Most seconds of a run.")

    @classmethod
    def of(cls, config: RunnableConfig) -> PlanningContext:
        """The settings that the server hands over as `configurable`."""
        return cls.model_validate(
            {k: v for k, v in (config.get("configurable") or {}).items() if k in cls.model_fields}
        )

    @property
    def budget(self) -> Budget:
        """What a run may spend."""
        return Budget(completions=self.max_completions, seconds=self.max_seconds)


class PlanningInput(TypedDict):
    """A task in words; without it, the last human message is the task."""

    task: NotRequired[Annotated[str, Field(description="A number (from 1), an id, or the task in words or PDDL.")]]
    messages: NotRequired[Annotated[list[AnyMessage], add_messages]]


class PlanningState(TypedDict):
    """What the wrapping graph keeps; the planner shares all three channels."""

    task: NotRequired[Task | str | dict[str, Any] | None]
    messages: Annotated[list[AnyMessage], add_messages]
    result: NotRequired[PlanResult]


def planning_graph(name: str, config: RunnableConfig) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The planner of an application behind a node that finds the task; the server brings the checkpointer."""
    context = PlanningContext.of(config)
    choice, served = TaskChoice(seed=context.seed), application(name)
    planner = served.planner(
        choice, model=context.model, preset=context.preset, seed=context.seed, budget=context.budget
    )

    def find_task(state: PlanningState) -> dict[str, Any]:
        human = [message.text for message in state.get("messages") or [] if message.type == "human"]
        words = state.get("task") or (human[-1] if human else "")
        return {"task": served.task(choice, str(words)).model_dump()}

    def forget_task(state: PlanningState) -> dict[str, Any]:
        del state
        return {"task": None}  # the next turn of a conversation may bring its own

    graph = StateGraph(
        PlanningState, context_schema=PlanningContext, input_schema=PlanningInput, output_schema=PlannerOutput
    )
    graph.add_node("find_task", find_task)
    graph.add_node("plan", planner)
    graph.add_node("forget_task", forget_task)
    for edge in ((START, "find_task"), ("find_task", "plan"), ("plan", "forget_task"), ("forget_task", END)):
        graph.add_edge(*edge)
    return graph.compile(name=name)
