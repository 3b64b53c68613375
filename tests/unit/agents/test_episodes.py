"""Episodes by handle: forks are capped and expire, actions are undone, and every refusal says why."""

import asyncio
import threading

import pytest
from worlds import Corridor, CountedCorridor

from langchain_linvit import EnvironmentToolkit
from langchain_linvit.agents.episodes import MAIN, EpisodeLimits, Episodes
from langchain_linvit.errors import EnvironmentStateError, InvalidTaskError


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def opened(environment=Corridor, clock=None, **limits):
    toolkit = EnvironmentToolkit(environment())
    toolkit.start("reach 3")
    return Episodes(toolkit, EpisodeLimits(**limits), clock or Clock())


async def walk(episodes, action, handle=MAIN):
    return await episodes.take({"name": "act", "args": {"action": action}}, handle)


async def state(episodes, handle=MAIN):
    return (await episodes.describe(handle)).split("<state>\n")[1].split("\n")[0]


async def test_forks_are_independent_episodes():
    episodes = opened()
    await walk(episodes, "go right")
    fork = await episodes.fork()
    await walk(episodes, "go right", fork)
    assert await state(episodes) == "you are in cell 1"
    assert await state(episodes, fork) == "you are in cell 2"
    assert episodes.handles == (MAIN, fork)


async def test_undo_takes_back_one_action_after_another():
    episodes = opened()
    for action in ("go right", "go right", "go right"):
        message = await walk(episodes, action)
    assert message.artifact["done"]
    assert [await episodes.undo() for _ in range(3)] == ["go right"] * 3
    assert await state(episodes) == "you are in cell 0"
    with pytest.raises(EnvironmentStateError, match="nothing to undo"):
        await episodes.undo()
    assert (await walk(episodes, "go right")).status == "success"  # the end was taken back too


async def test_what_failed_is_not_undone():
    episodes = opened()
    await walk(episodes, "go right")
    assert (await walk(episodes, "fly")).status == "error"
    await episodes.undo()
    assert await state(episodes) == "you are in cell 0"


async def test_as_many_actions_are_undone_as_may_be():
    episodes = opened(undos=1)
    await walk(episodes, "go right")
    await walk(episodes, "go right")
    await episodes.undo()
    with pytest.raises(EnvironmentStateError, match="the last 1 were all taken back"):
        await episodes.undo()
    assert await state(episodes) == "you are in cell 1"


async def test_calls_about_one_episode_are_taken_one_after_another():
    class Slow(Corridor):
        concurrency = "thread"

    episodes = opened(Slow)
    answers = await asyncio.gather(*(walk(episodes, "go right") for _ in range(2)))
    assert [answer.status for answer in answers] == ["success", "success"]
    assert await state(episodes) == "you are in cell 2"


async def test_a_cancelled_call_can_be_undone():
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Corridor):
        concurrency = "thread"

        def step(self, action):
            begun.set()
            assert go_on.wait(30)
            return super().step(action)

    toolkit = EnvironmentToolkit(Slow())
    toolkit.start("reach 3")
    episodes = Episodes(toolkit)
    call = asyncio.create_task(walk(episodes, "go right"))
    assert await asyncio.to_thread(begun.wait, 30)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    while not toolkit.history:  # noqa: ASYNC110 - its thread goes on, and tells no one
        await asyncio.sleep(0.001)
    assert await episodes.undo() == "go right"
    assert await state(episodes) == "you are in cell 0"


async def test_forks_are_capped():
    episodes = opened(forks=2)
    first, _ = await episodes.fork(), await episodes.fork()
    with pytest.raises(EnvironmentStateError, match=r"2 forks are held already .* release one"):
        await episodes.fork()
    await episodes.release(first)
    await episodes.fork()


async def test_forks_at_once_keep_to_the_cap():
    class Slow(Corridor):
        concurrency = "thread"

    episodes = opened(Slow, forks=2)
    first = await episodes.fork()
    made = await asyncio.gather(episodes.fork(), episodes.fork(first), return_exceptions=True)
    assert sorted(type(each) for each in made if not isinstance(each, str)) == [EnvironmentStateError]
    assert len(episodes.handles) == 3


async def test_forks_expire_when_they_are_not_used():
    clock = Clock()
    episodes = opened(clock=clock, idle_seconds=10)
    used, idle = await episodes.fork(), await episodes.fork()
    clock.now = 9
    await episodes.describe(used)
    clock.now = 11
    assert episodes.handles == (MAIN, used)
    with pytest.raises(EnvironmentStateError, match=rf"no episode '{idle}'.*expired after 10 seconds.*there are main"):
        await walk(episodes, "go right", idle)
    clock.now = 1000
    assert await state(episodes) == "you are in cell 0"  # the main one never expires


async def test_a_reset_starts_afresh_and_a_bad_one_changes_nothing():
    episodes = opened()
    await walk(episodes, "go right")
    with pytest.raises(InvalidTaskError):
        await episodes.reset("fly")
    assert await state(episodes) == "you are in cell 1"
    assert "reach 2" in await episodes.reset("reach 2")
    with pytest.raises(EnvironmentStateError, match="nothing to undo"):
        await episodes.undo()


async def test_every_episode_is_closed():
    episodes = opened(CountedCorridor, undos=2)
    released = await episodes.fork()
    for _ in range(2):
        await walk(episodes, "go right")
        await walk(episodes, "go left")
        await walk(episodes, "fly")
    await episodes.undo()
    await episodes.reset("reach 2")
    await episodes.fork()
    await episodes.release(released)
    assert CountedCorridor.live == 2
    episodes.close()
    assert CountedCorridor.live == 0


@pytest.mark.parametrize("handle", ["fork-9", "", "x" * 10_000, "\x1b[31m"])
async def test_unknown_handles_are_refused(handle):
    episodes = opened()
    with pytest.raises(EnvironmentStateError) as caught:
        await episodes.fork(handle)
    assert len(str(caught.value)) < 400
    assert "\x1b" not in str(caught.value)


async def test_the_main_episode_stays():
    with pytest.raises(EnvironmentStateError, match="reset it instead"):
        await opened().release(MAIN)


async def test_a_tool_of_another_name_is_refused():
    with pytest.raises(EnvironmentStateError, match="no environment tool 'rm'"):
        await opened().take({"name": "rm", "args": {}})
