"""ScriptedChatModel: replies in order, failures where the script says so, and a record of what was asked."""

import asyncio

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage

from langchain_linvit.models import ScriptedChatModel, ScriptEndedError, ToolReply


def look(at: str) -> str:
    """Look at something."""
    return f"the {at} is grey"


def test_replies_come_in_order_and_requests_are_recorded():
    model = ScriptedChatModel(replies=["one", AIMessage("two"), lambda messages: messages[-1].text.upper()])
    assert [model.invoke(text, seed=7).text for text in ("a", "b", "c")] == ["one", "two", "C"]
    assert [[message.text for message in prompt] for prompt in model.prompts] == [["a"], ["b"], ["c"]]
    assert [request.options for request in model.requests] == [{"seed": 7}] * 3
    assert model.remaining == 0


def test_exceptions_are_raised_and_the_script_goes_on():
    model = ScriptedChatModel(replies=[TimeoutError("slow"), ConnectionError, "there"])
    with pytest.raises(TimeoutError, match="slow"):
        model.invoke("x")
    with pytest.raises(ConnectionError):
        model.invoke("x")
    assert model.invoke("x").text == "there"
    assert len(model.requests) == 3


def test_the_end_of_the_script_is_a_clear_error():
    model = ScriptedChatModel(replies=["one"])
    model.invoke("first")
    with pytest.raises(ScriptEndedError, match=r"has 1 replies, but request 2 needs number 2; .* 'second'"):
        model.invoke("second")


def test_n_takes_that_many_replies_in_one_request():
    model = ScriptedChatModel(replies=["one", "two three", "four"])
    result = model.generate([[HumanMessage("some question")]], n=2)
    assert [generation.text for generation in result.generations[0]] == ["one", "two three"]
    usage = {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}
    assert [generation.message.usage_metadata for generation in result.generations[0]] == [usage, usage]
    assert result.llm_output["token_usage"]["total_tokens"] == 5
    assert model.remaining == 1
    with pytest.raises(ScriptEndedError):
        model.generate([[HumanMessage("q")]], n=2)
    assert model.invoke("q").text == "four"


def test_usage_and_metadata_of_a_message_are_kept_and_the_script_is_not_changed():
    usage = {"input_tokens": 70, "output_tokens": 7, "total_tokens": 77}
    script = AIMessage("x", usage_metadata=usage, response_metadata={"finish_reason": "length"})
    message = ScriptedChatModel(replies=[script]).invoke("q")
    assert message.usage_metadata == usage
    assert message.response_metadata["finish_reason"] == "length"
    assert message.response_metadata["model_name"] == "scripted"
    assert script.id is None
    assert script.response_metadata == {"finish_reason": "length"}


async def test_concurrent_calls_get_replies_in_the_order_in_which_they_were_made():
    model = ScriptedChatModel(replies=[str(number) for number in range(20)])
    answers = await asyncio.gather(*(model.ainvoke(f"question {number}") for number in range(20)))
    assert [answer.text for answer in answers] == [str(number) for number in range(20)]


def test_copies_play_the_same_script():
    model = ScriptedChatModel(replies=["one", "two"])
    assert model.model_copy(update={"disable_streaming": True}).invoke("x").text == "one"
    assert model.invoke("x").text == "two"
    assert len(model.requests) == 2


def test_a_streamed_call_is_one_reply():
    model = ScriptedChatModel(replies=["one two"])
    assert "".join(chunk.text for chunk in model.stream("x")) == "one two"


def test_it_plays_an_agent_with_tools():
    model = ScriptedChatModel(replies=[ToolReply("look", {"at": "sky"}, "I look."), "It will rain."])
    state = create_agent(model, [look]).invoke({"messages": "Will it rain?"})
    assert [message.text for message in state["messages"]] == [
        *("Will it rain?", "I look.", "the sky is grey", "It will rain.")
    ]
    tools = model.requests[0].options["tools"]
    assert [tool["function"]["name"] for tool in tools] == ["look"]


def test_what_is_no_reply_is_refused():
    with pytest.raises(TypeError, match="not 3"):
        ScriptedChatModel(replies=[lambda messages: 3]).invoke("x")
