"""OpenAI's wire format, spoken by a policy: bodies of requests in, bodies of answers out.

Written after OpenAI's API reference; what it simplifies: tokens are those of `langchain_linvit.models.tokens`,
texts end without a token of their own, and a structured output is a tool call of the policy to a tool with
the schema's name, rendered as its arguments.
"""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_linvit.models import PolicyChatModel
from langchain_linvit.models.tokens import END, conditional_masses, tokenize

Body = dict[str, Any]

CREATED = 1_700_000_000
PASSED_ON = ("temperature", "top_p", "n", "seed", "logprobs", "top_logprobs", "max_tokens")
ANSWER_MARK = "Action:"
"""Where a completion's prompt ends and the text begins that the policy gives a probability to."""
PROMPT_LOGPROB = math.log(0.5)
"""What a token of the prompt scores; real models have their own opinion on it."""
IMPOSSIBLE_LOGPROB = -100.0
"""What a token scores that the policy gives no mass to; JSON has no infinity."""


class BadRequestError(Exception):
    """A request that the real service would answer with status 400."""


def chat_completion(model: PolicyChatModel, body: Body) -> Body:
    """The answer to `POST /v1/chat/completions`."""
    schema = _schema(body.get("response_format"))
    result = _generate(model, convert_to_messages(body["messages"]), body, body.get("tools"), schema)
    choices = [_choice(index, generation, schema) for index, generation in enumerate(result.generations[0])]
    usage = (result.llm_output or {})["token_usage"]
    return {
        **{"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": body["model"]},
        **{"choices": choices, "usage": usage, "system_fingerprint": "fp_local"},
    }


def chat_chunks(completion: Body, with_usage: bool) -> Iterator[Body]:
    """The same answer as the events of a stream."""
    head = {**completion, "object": "chat.completion.chunk", "usage": None}
    for choice in completion["choices"]:
        message, index = choice["message"], choice["index"]
        entries = (choice["logprobs"] or {}).get("content")

        def event(delta: Body, logprobs: Body | None = None, reason: str | None = None, index: int = index) -> Body:
            choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
            return {**head, "choices": [choice]}

        yield event({"role": "assistant", "content": "", "refusal": message["refusal"]})
        for place, token in enumerate(tokenize(message["content"] or "")):
            yield event({"content": token}, {"content": [entries[place]], "refusal": None} if entries else None)
        for place, call in enumerate(message.get("tool_calls", [])):
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            yield event({"tool_calls": [{**call, "index": place, "function": {"name": name, "arguments": ""}}]})
            for token in tokenize(arguments):
                yield event({"tool_calls": [{"index": place, "function": {"arguments": token}}]})
        yield event({}, reason=choice["finish_reason"])
    if with_usage:
        yield {**head, "choices": [], "usage": completion["usage"]}


def response(model: PolicyChatModel, body: Body) -> Body:
    """The answer to `POST /v1/responses`, without streaming, conversations or built-in tools."""
    for unknown in ("n", "logprobs", "stop", "seed"):
        if unknown in body:
            raise BadRequestError(f"Unknown parameter: '{unknown}'.")
    schema = _schema((body.get("text") or {}).get("format"))
    tools = [{"type": "function", "function": tool} for tool in body.get("tools") or []]
    options = {"logprobs": True} if "message.output_text.logprobs" in body.get("include", []) else {}
    options |= {name: body[name] for name in ("temperature", "top_p", "top_logprobs", "tool_choice") if name in body}
    options |= {"max_tokens": body["max_output_tokens"]} if body.get("max_output_tokens") else {}
    result = _generate(model, _input_messages(body), options, tools, schema)
    choice = _choice(0, result.generations[0][0], schema)
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    usage = (result.llm_output or {})["token_usage"]
    counts = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        **{"id": "resp_1", "object": "response", "created_at": CREATED, "model": body["model"], "status": "completed"},
        **{"error": None, "incomplete_details": None, "instructions": None, "metadata": {}},
        **{"parallel_tool_calls": True, "tool_choice": "auto", "tools": body.get("tools") or []},
        "output": _output_items(choice),
        "usage": {**counts, **details, "total_tokens": usage["total_tokens"]},
        **(cut if choice["finish_reason"] == "length" else {}),
    }


def completion(model: PolicyChatModel, body: Body) -> Body:
    """The answer to `POST /v1/completions`: texts, or (with `echo` and `max_tokens=0`) the prompts' own scores."""
    prompts = [body["prompt"]] if isinstance(body["prompt"], str) else body["prompt"]
    choices: list[Body] = []
    written = 0
    for prompt in prompts:
        if body.get("echo") and body.get("max_tokens") == 0:
            choices.append({"text": prompt, "finish_reason": "length", "logprobs": _echoed(model, prompt, body)})
            continue
        result = _generate(model, [HumanMessage(prompt)], body, None, None)
        written += (result.llm_output or {})["token_usage"]["completion_tokens"]
        for generation in result.generations[0]:
            reason = generation.message.response_metadata["finish_reason"]
            choices.append({"text": generation.text, "finish_reason": reason, "logprobs": None})
    read = sum(len(tokenize(prompt)) for prompt in prompts)
    return {
        **{"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": body["model"]},
        "choices": [{**choice, "index": index} for index, choice in enumerate(choices)],
        "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
    }


def _generate(
    model: PolicyChatModel, messages: Sequence[BaseMessage], body: Body, tools: list[Body] | None, schema: Body | None
) -> LLMResult:
    options = {name: body[name] for name in PASSED_ON if body.get(name) is not None}
    if "max_completion_tokens" in body:
        options["max_tokens"] = body["max_completion_tokens"]
    if schema:
        forced = {"type": "function", "function": {"name": schema["name"], "parameters": schema["schema"]}}
        options |= {"tools": [forced]}
    elif tools:
        options |= {"tools": tools, "tool_choice": body.get("tool_choice")}
    stop = [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop")
    return model.generate([list(messages)], stop=stop, **options)


def _choice(index: int, generation: ChatGeneration, schema: Body | None) -> Body:
    answer, metadata = generation.message, generation.message.response_metadata
    calls = [
        {
            **{"id": call["id"], "type": "function"},
            "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
        }
        for call in answer.tool_calls
    ]
    content, reason, logprobs = answer.text or None, metadata["finish_reason"], metadata["logprobs"]
    if schema and calls:
        content, reason, calls = calls[0]["function"]["arguments"], "stop", []
    if logprobs:
        logprobs = {**logprobs, "content": [entry for entry in logprobs["content"] if entry["token"] != END]}
    message = {"role": "assistant", "content": content, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}


def _output_items(choice: Body) -> list[Body]:
    message, items = choice["message"], []
    if message["refusal"]:
        content = {"type": "refusal", "refusal": message["refusal"]}
    else:
        entries = (choice["logprobs"] or {}).get("content", [])
        content = {"type": "output_text", "text": message["content"], "annotations": [], "logprobs": entries}
    if message["content"] or message["refusal"]:
        head = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
        items.append({**head, "content": [content]})
    for call in message.get("tool_calls", []):
        head = {"id": f"fc_{call['id']}", "type": "function_call", "call_id": call["id"], "status": "completed"}
        items.append({**head, **call["function"]})
    return items


def _input_messages(body: Body) -> list[BaseMessage]:
    """Messages of a Responses request; calls and their outputs become texts, which is all that policies here read."""
    given = [{"role": "user", "content": body["input"]}] if isinstance(body["input"], str) else body["input"]
    if body.get("instructions"):
        given = [{"role": "system", "content": body["instructions"]}, *given]
    messages = []
    for item in given:
        if "role" in item:
            content = item["content"]
            text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
            messages.append({"role": item["role"], "content": text})
        elif item["type"] == "function_call_output":
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
        elif item["type"] == "function_call":
            call = {"name": item["name"], "args": json.loads(item["arguments"]), "id": item["call_id"]}
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
    return convert_to_messages(messages)


def _schema(response_format: Body | None) -> Body | None:
    """The name and the JSON schema of a structured output, in either API's form."""
    if not response_format or response_format["type"] != "json_schema":
        return None
    return response_format.get("json_schema", response_format)


def _echoed(model: PolicyChatModel, prompt: str, body: Body) -> Body | None:
    """The scores of a prompt's own tokens: the policy's from `ANSWER_MARK` on; a line break ends an answer there."""
    if body.get("logprobs") is None:
        return None
    start = max(prompt.rfind(ANSWER_MARK), 0)
    tokens = [*tokenize(prompt[:start]), *tokenize(prompt[start:])]
    answered = len(tokenize(prompt[start:]))
    weights = model.policy([HumanMessage(prompt[:start])], [])
    sequences = {(*tokenize(reply), "\n"): weight for reply, weight in weights.items()}
    masses = list(conditional_masses(sequences, tokens[len(tokens) - answered :])) if prompt[start:] else []
    places = [{token: 0.5} for token in tokens[: len(tokens) - answered]] + [place for _, place in masses]
    scores = [_log(place.get(token, 0.0)) for token, place in zip(tokens, places, strict=True)]
    top = [
        {other: _log(p) for other, p in sorted(place.items(), key=lambda item: -item[1])[: body["logprobs"]]}
        for place in places
    ]
    offsets = [sum(map(len, tokens[:place])) for place in range(len(tokens))]
    return {
        "tokens": tokens,
        "token_logprobs": [None, *scores[1:]],
        "top_logprobs": [None, *top[1:]],
        "text_offset": offsets,
    }


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else IMPOSSIBLE_LOGPROB
