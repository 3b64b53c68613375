"""A program that writes down every connection that experiments try: `connections.py experiments|bare FILE`."""

import asyncio
import json
import socket
import sys
import threading

from langsmith import Client
from langsmith.run_trees import get_cached_client
from worlds import Corridor, closeness, walker_model

from langchain_linvit.environments.base import Task
from langchain_linvit.evaluation import arun_experiment, run_experiment

TRIED = []
TASKS = [Task(id=f"to-{n}", text=f"reach {n}") for n in range(1, 4)]
OPTIONS = {"environment": Corridor(), "model": walker_model(), "progress": False}


def record(event, arguments):
    """An audit hook: connections and look-ups of names, but for sockets within the machine's own files."""
    if event in ("socket.connect", "socket.sendto") and arguments[0].family != socket.AF_UNIX:
        TRIED.append((event, str(arguments[1])))
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        TRIED.append((event, str(arguments[0])))


def asks(inputs):
    """A target that asks a model, in its own thread and in one that knows nothing of its context."""
    walker_model().invoke("where to?")
    thread = threading.Thread(target=walker_model().invoke, args=("where to?",))
    thread.start()
    thread.join()
    return ["go right"]


def fails(inputs):
    raise ValueError("on purpose")


async def fails_later(inputs):
    raise ValueError("on purpose")


def judges(outputs: dict) -> bool:
    """An evaluator that asks a model."""
    return bool(walker_model().invoke("is it good?"))


def experiments():
    for target, settings in (("slinvit", {"value": closeness}), (asks, {}), (fails, {})):
        for concurrency in (1, 3):
            options = {**OPTIONS, **settings, "concurrency": concurrency, "evaluators": [judges]}
            assert run_experiment(target, TASKS, **options).complete
            asyncio.run(arun_experiment(target, TASKS, **options))
    asyncio.run(arun_experiment(fails_later, TASKS, concurrency=2, **OPTIONS))


def bare():
    walker_model().invoke("where to?")
    client = get_cached_client()
    assert isinstance(client, Client)
    client.flush()


if __name__ == "__main__":
    sys.addaudithook(record)
    {"experiments": experiments, "bare": bare}[sys.argv[1]]()
    with open(sys.argv[2], "w") as file:
        json.dump(TRIED, file)
