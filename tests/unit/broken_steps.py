"""Environments that break the contract in a reset, a reading, a step, or their lists of actions and tools."""

from counters import Counter
from pydantic import BaseModel, Field

from langchain_linvit.environments import ActionTool, ParsedAction, Transition


class StepsBeforeReset(Counter):
    def step(self, action):
        return Transition("hello")


class RaisesSomethingElseBeforeReset(Counter):
    def snapshot(self):
        return {"task": self._task.model_dump(), "count": self.count, "steps": self.steps}


class KeepsTheCount(Counter):
    def reset(self, task):
        self.target, self.steps = int(task.text), 0
        self.count = getattr(self, "count", 0)
        return self.state_text()


class KeepsTheTask(Counter):
    def reset(self, task):
        self.target = getattr(self, "target", int(task.text))
        self.count, self.steps = 0, 0
        return self.state_text()

    def state_text(self):
        return f"The count is {self.count} of {self.target}."


class ReturnsNothingFromReset(Counter):
    def reset(self, task):
        super().reset(task)


class RaisesInReset(Counter):
    def reset(self, task):
        raise KeyError("gold")


class CountsReadings(Counter):
    def state_text(self):
        self.noise += 1
        return f"The count is {self.count} ({self.noise})."


class EvaluatesByMoving(Counter):
    def evaluate(self):
        self.count += 1
        return super().evaluate()


class ReadsBytes(Counter):
    @property
    def goal(self):
        return self.task.text.encode()


class RaisesInAReading(Counter):
    def state_key(self):
        raise AttributeError("key")


class ReturnsText(Counter):
    def step(self, action):
        transition = super().step(action)
        return transition if transition.error else transition.observation


class RewardsTooMuch(Counter):
    def step(self, action):
        transition = super().step(action)
        return transition if transition.error else Transition("x", reward=float("nan"))


class HidesTheErrorsText(Counter):
    def step(self, action):
        transition = super().step(action)
        return Transition("no", error="") if transition.error else transition


class TellsWithObjects(Counter):
    def step(self, action):
        transition = super().step(action)
        return transition if transition.error else Transition(transition.observation, info={"env": self})


class RaisesOnGarbage(Counter):
    def step(self, action):
        if action not in self.admissible_actions():
            raise ValueError(action[:20])
        return super().step(action)


class AcceptsGarbage(Counter):
    def step(self, action):
        transition = super().step(action)
        return Transition("fine") if transition.error else transition


class MovesOnGarbage(Counter):
    def step(self, action):
        transition = super().step(action)
        if transition.error:
            self.count += 1
        return transition


class RaisesWhileParsing(Counter):
    def parse_action(self, text):
        return ParsedAction(text.splitlines()[0])


class ParsesToNothing(Counter):
    def parse_action(self, text):
        parsed = super().parse_action(text)
        return parsed if parsed.action else ParsedAction(None)


class ListsTheImpossible(Counter):
    def admissible_actions(self):
        return [*super().admissible_actions(), "sideways"]

    def step(self, action):
        return Transition("no", error="no sideways") if action == "sideways" else super().step(action)


class ListsTwice(Counter):
    def admissible_actions(self):
        return ["up", *super().admissible_actions()]


class ListsTooLittle(Counter):
    def admissible_actions(self):
        return super().admissible_actions()[: 3 if self.count % 2 else 1]

    def step(self, action):
        assert self.task
        if action not in Counter.admissible_actions(self):
            return Transition("no", error="not possible")
        self.count += {"up": 1, "down": -1, "twice": self.count}[action]
        return Transition("moved")


class ShufflesItsList(Counter):
    def admissible_actions(self):
        self.noise += 1
        assert self.task
        return ["up", "twice"][:: -1 if self.noise % 2 else 1]


class DoesNotReadItsOwnActions(Counter):
    def parse_action(self, text):
        parsed = super().parse_action(text)
        return ParsedAction(parsed.action.upper()) if parsed.action else parsed


class Times(BaseModel):
    times: int = Field(description="How often.")


class Bare(BaseModel):
    action: str


def tool(name="up", render="up", schema=Times, parse=lambda action: {"times": 1}):
    return ActionTool(name, "Count.", schema, lambda args: render, parse)


class ToolRendersSomethingElse(Counter):
    def action_tools(self):
        return [tool()]


class ToolsOverlap(Counter):
    def action_tools(self):
        return [*super().action_tools(), tool(parse=lambda action: {"times": 1} if action == "up" else None)]


class ToolsShareAName(Counter):
    def action_tools(self):
        return [tool(), tool()]


class ToolsMissAnAction(Counter):
    def action_tools(self):
        return [tool(parse=lambda action: {"times": 1} if action == "up" else None)]


class ToolParsesToBadArguments(Counter):
    def action_tools(self):
        return [tool(parse=lambda action: {"times": "often"})]


class ToolIsNotDescribed(Counter):
    def action_tools(self):
        return [ActionTool("act", "Act.", Bare, lambda args: args.action, lambda action: {"action": action})]
