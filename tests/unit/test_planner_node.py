"""The planner as a node of other graphs: messages in and out, their checkpointer, their streams."""

import asyncio

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from worlds import Corridor, closeness, walker, walker_model

from langchain_linvit.models import PolicyChatModel
from langchain_linvit.planner import PlanResult, create_slinvit_planner

FAST = {"value": closeness, "candidates": None, "retry_delay": 0.0}
CONFIG = {"configurable": {"thread_id": "one"}}


def parent(planner, *, checkpointer=None, state=MessagesState):
    """A graph that has the planner between two nodes of its own."""
    graph = StateGraph(state)
    graph.add_node("greet", lambda _: {"messages": [AIMessage("Let me plan.")]})
    graph.add_node("plan", planner)
    graph.add_node("end", lambda given: {"messages": [AIMessage(f"After {len(given['messages'])} messages.")]})
    for edge in ((START, "greet"), ("greet", "plan"), ("plan", "end"), ("end", END)):
        graph.add_edge(*edge)
    return graph.compile(checkpointer=checkpointer)


def planner(model=None):
    return create_slinvit_planner(model or walker_model(), Corridor(), **FAST)


def turn(text):
    return {"messages": [HumanMessage(text)]}


def assert_planned(messages, steps):
    *_, last_human, greeting, plan, end = messages
    assert (last_human.type, greeting.text, plan.name) == ("human", "Let me plan.", "slinvit")
    assert f"solved (in {steps} steps)" in plan.text
    assert end.text.startswith("After")


def test_the_last_human_message_is_the_task_sync_and_async():
    graph = parent(planner())
    assert_planned(graph.invoke(turn("reach 2"))["messages"], 2)
    assert_planned(asyncio.run(graph.ainvoke(turn("reach 3")))["messages"], 3)


def test_the_result_is_in_the_parents_state_where_it_has_a_place_for_it():
    class State(MessagesState):
        result: PlanResult

    assert parent(planner(), state=State).invoke(turn("reach 2"))["result"].plan == ["go right"] * 2


def test_every_turn_of_a_conversation_is_planned_afresh():
    graph = parent(planner(), checkpointer=InMemorySaver())
    for steps in (3, 1, 2):
        assert_planned(graph.invoke(turn(f"reach {steps}"), CONFIG)["messages"], steps)
    assert len(graph.get_state(CONFIG).values["messages"]) == 12


def test_a_resumed_parent_goes_on_inside_of_the_planner():
    class Stop(Exception):
        pass

    calls, stopped = [], []

    def policy(messages, tools):
        calls.append(messages)
        return walker(messages, tools)

    def value(state_text, goal):
        if "cell 3" in state_text and not stopped:
            stopped.append(True)
            raise Stop
        return closeness(state_text, goal)

    def graph(value):
        made = create_slinvit_planner(PolicyChatModel(policy=policy), Corridor(), **{**FAST, "value": value})
        return parent(made, checkpointer=saver)

    saver = InMemorySaver()
    with pytest.raises(Stop):
        graph(value).invoke(turn("reach 5"), CONFIG)
    assert_planned(graph(value).invoke(None, CONFIG)["messages"], 5)
    paid = len(calls)
    calls.clear()
    parent(planner(PolicyChatModel(policy=policy))).invoke(turn("reach 5"))
    assert paid == len(calls)


def test_search_events_reach_the_parents_stream_with_subgraphs():
    graph = parent(planner())
    with_subgraphs = [event for _, event in graph.stream(turn("reach 2"), stream_mode="custom", subgraphs=True)]
    assert [event["event"] for event in with_subgraphs][-1] == "finished"
    assert list(graph.stream(turn("reach 2"), stream_mode="custom")) == []


def test_the_parents_message_stream_has_no_token_of_the_search():
    graph = parent(planner())
    texts = [chunk.text for chunk, _ in graph.stream(turn("reach 2"), stream_mode="messages")]
    assert [text for text in texts if "solved (in 2 steps)" in text]
    assert not [text for text in texts if "Action:" in text or text.isdecimal()]
