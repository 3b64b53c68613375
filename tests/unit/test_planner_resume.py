"""Runs of SLINVIT that go on after a crash, on another planner, or on a thread that was used before."""

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from worlds import Corridor, closeness, plan, walker_model

from langchain_linvit.environments.base import Task
from langchain_linvit.planner import create_slinvit_planner
from langchain_linvit.rollouts import RolloutValue


def test_resumes_from_a_checkpoint_with_another_planner():
    saver = InMemorySaver()
    config = {"configurable": {"thread_id": "one"}}

    class Stop(Exception):
        pass

    calls = []

    def stopping(state_text, goal):
        calls.append(state_text)
        if len(calls) == 2:
            raise Stop
        return closeness(state_text, goal)

    def planner(value):
        return create_slinvit_planner(
            walker_model(), Corridor(), value=value, checkpointer=saver, candidates=None, retry_delay=0.0
        )

    with pytest.raises(Stop):
        planner(stopping).invoke({"task": "reach 4"}, config)
    resumed = planner(closeness).invoke(None, config)["result"]
    uninterrupted = plan(value=closeness, candidates=None)
    assert resumed.plan == uninterrupted.plan
    assert resumed.usage.llm_calls == uninterrupted.usage.llm_calls


def test_a_second_task_on_the_same_thread_starts_afresh():
    planner = create_slinvit_planner(
        walker_model(), Corridor(), value=closeness, candidates=None, checkpointer=InMemorySaver(), retry_delay=0.0
    )
    config = {"configurable": {"thread_id": "one"}}
    planner.invoke({"task": "reach 3"}, config)
    second = planner.invoke({"task": "reach 2"}, config)["result"]
    assert second.plan == ["go right"] * 2
    assert second.task_id != "reach 3"
    assert second.usage.env_steps_real == 2


class Device(Corridor):
    """A corridor whose position outlives the program: to restore it is to find it where it is."""

    persistent = True
    position_now = 0

    def reset(self, task):
        text = super().reset(task)
        Device.position_now = 0
        return text

    @property
    def position(self):
        return Device.position_now

    @position.setter
    def position(self, value):
        Device.position_now = value

    def restore(self, snapshot):
        self._task = Task.model_validate(snapshot["task"])
        self.target = int(self._task.text.split()[1])

    def fork(self):
        clone = Corridor()
        clone.reset(self.task)
        for _ in range(Device.position_now):
            clone.step("go right")
        return clone


@pytest.mark.parametrize("acted", [True, False])
def test_a_real_action_is_not_repeated_after_a_crash(acted):
    class Crash(Exception):
        pass

    class Crashing(Device):
        crash = True

        def step(self, action):
            if not Crashing.crash:
                return super().step(action)
            Crashing.crash = False
            if acted:
                super().step(action)
            raise Crash

    saver, config = InMemorySaver(), {"configurable": {"thread_id": "one"}}
    planner = create_slinvit_planner(
        walker_model(), Crashing, value=closeness, checkpointer=saver, candidates=None, retry_delay=0.0
    )
    with pytest.raises(Crash):
        planner.invoke({"task": "reach 2"}, config)
    result = planner.invoke(None, config)["result"]
    assert Device.position_now == 2
    assert result.solved
    assert result.plan == ["go right"] * 2


def test_a_search_over_an_environment_that_outlives_it_is_resumed_in_forks():
    class Stop(Exception):
        pass

    valued = []

    def stopping(state_text, goal):
        valued.append(state_text)
        if len(valued) == 5:
            raise Stop
        return closeness(state_text, goal)

    def planner(value):
        return create_slinvit_planner(
            walker_model(), Device, value=value, checkpointer=saver, candidates=None, beam=4, depth=4, retry_delay=0.0
        )

    saver, config = InMemorySaver(), {"configurable": {"thread_id": "one"}}
    with pytest.raises(Stop):
        planner(stopping).invoke({"task": "reach 6"}, config)
    resumed = planner(closeness).invoke(None, config)["result"]
    clean = plan(environment=Device, value=closeness, candidates=None, beam=4, depth=4, task="reach 6")
    assert resumed.plan == clean.plan == ["go right"] * 6
    assert [(node.text, node.observation) for node in resumed.tree] == [
        (node.text, node.observation) for node in clean.tree
    ]


@pytest.mark.parametrize("acted", [0, 1, 2])
def test_a_branch_is_taken_up_where_a_crash_left_it(acted):
    class Crash(Exception):
        pass

    class Crashing(Device):
        left = acted
        crashed = False

        def step(self, action):
            if not Crashing.crashed and Crashing.left == 0:
                Crashing.crashed = True
                raise Crash
            Crashing.left -= 1
            transition = super().step(action)
            if not Crashing.crashed and acted == 2 and Crashing.left == 0:
                Crashing.crashed = True
                raise Crash
            return transition

    saver, config = InMemorySaver(), {"configurable": {"thread_id": "one"}}
    planner = create_slinvit_planner(
        walker_model(), Crashing, value=closeness, checkpointer=saver, candidates=None, commit="branch", retry_delay=0.0
    )
    with pytest.raises(Crash):
        planner.invoke({"task": "reach 4"}, config)
    result = planner.invoke(None, config)["result"]
    assert Device.position_now == 4
    assert result.plan == ["go right"] * 4
    assert [step.observation for step in result.trajectory] == [f"you are in cell {cell}" for cell in range(1, 5)]


@pytest.mark.parametrize(
    ("value", "depth"), [(closeness, 3), (RolloutValue(rollouts=20), 1)], ids=["rules", "rollouts"]
)
def test_an_environment_that_outlives_its_program_is_acted_in_step_by_step(value, depth):
    result = plan(environment=Device, value=value, candidates=None, depth=depth, task="reach 3", horizon=12)
    assert result.solved
    assert [step.decision for step in result.trajectory] == list(range(len(result.trajectory)))
    tried = plan(environment=Device, value=closeness, candidates=None, task="reach 3", policy_rollouts=50)
    assert {step.provenance for step in tried.trajectory} == {"exact"}
    assert "no policy rollouts" in tried.notes[0]


@pytest.mark.parametrize(("answer", "reached"), [("no", 2), ("yes", 3)])
def test_a_person_is_asked_where_the_state_does_not_tell(answer, reached):
    class Silent(Device):
        crash = True

        def state_key(self):
            return None

        def step(self, action):
            if Silent.crash:
                Silent.crash = False
                raise ConnectionError
            return super().step(action)

    saver, config = InMemorySaver(), {"configurable": {"thread_id": "one"}}
    planner = create_slinvit_planner(
        walker_model(),
        Silent,
        value=closeness,
        checkpointer=saver,
        candidates=None,
        depth=1,
        horizon=reached,
        retry_delay=0.0,
    )
    with pytest.raises(ConnectionError):
        planner.invoke({"task": "reach 2"}, config)
    [asked] = planner.invoke(None, config)["__interrupt__"]
    assert asked.value["actions"] == ["go right"]
    assert Device.position_now == 0
    result = planner.invoke(Command(resume=answer), config)["result"]
    assert Device.position_now == 2
    assert len(result.trajectory) == reached
