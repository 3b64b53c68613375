"""How tests of value estimators ask for values: leaves of a corridor, callers, and models of one answer."""

from worlds import Corridor, walker_model

from langchain_linvit.accounting import Account
from langchain_linvit.calls import Caller, Retry, SyncIO, drive
from langchain_linvit.environments.base import Task
from langchain_linvit.models import PolicyChatModel
from langchain_linvit.priors import ChatPrior
from langchain_linvit.prompts import Situation
from langchain_linvit.rollouts import RolloutValue
from langchain_linvit.values import Leaf


def leaf(environment=None, at=1, target=3, remaining=4, name="leaf"):
    environment = environment or Corridor()
    environment.reset(Task.from_text(f"reach {target}"))
    for _ in range(at):
        environment.step("go right")
    return Leaf(name, Situation.of(environment, []), environment, remaining)


class InTurn(SyncIO):
    """Sync primitives without threads: what happens has one order."""

    async def gather(self, bodies):
        return [await body() for body in bodies]


def caller(account=None, seed=0):
    return Caller(InTurn(), account or Account(), seed, Retry(1, 0))


def estimated(value, *leaves, account=None, seed=0, prepared=None):
    return drive(value.estimate(list(leaves) or [leaf()], caller(account, seed), prepared or {}))


def rollouts(model=None, **options):
    return RolloutValue(**options).bound_to(ChatPrior(model or walker_model(), method="sampled"), None)


def always(text):
    return PolicyChatModel(policy=lambda messages, tools: {text: 1})
