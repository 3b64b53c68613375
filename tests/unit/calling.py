"""How the tests of `calls` call a model or a body, and models that differ in how they take `n`."""

import asyncio
import time

from langchain_core.messages import HumanMessage

from langchain_linvit.calls import AsyncIO, Caller, Retry, SyncIO, drive
from langchain_linvit.models import ScriptedChatModel
from langchain_linvit.models.sampling import SamplingModel

PROMPT = [HumanMessage("What next?")]


NO_RETRY = Retry(attempts=1, delay=0)


def run(body, io="sync", **fields):
    """The result of `body(caller)`, over sync or async primitives."""
    if io == "sync":
        return drive(body(Caller(SyncIO(), **fields)))

    async def inside():
        return await body(Caller(AsyncIO(), **fields))

    return asyncio.run(inside())


def texts(completions):
    return [completion.text for completion in completions]


def complete(model, io="sync", n=1, path=("here",), options=None, **fields):
    sampling = SamplingModel.of(model)
    return run(lambda caller: caller.complete(sampling, PROMPT, path=path, n=n, **(options or {})), io, **fields)


class WithoutN(ScriptedChatModel):
    """A scripted model whose class has no `n`: samples need a request each."""

    n: int = 1
    latency: float = 0.0

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        assert "n" not in kwargs
        time.sleep(self.latency)
        return super()._generate(messages, stop, run_manager, **kwargs)


def without_n(replies, **fields):
    sampling = SamplingModel.of(WithoutN(replies=replies, **fields))
    return SamplingModel(sampling.model, takes_n=False)
