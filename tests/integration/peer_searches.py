"""Other projects' searches on a tree that is written down; run by their own interpreter, see `test_peers.py`.

Reads a list of problems from standard input, and writes what each search found in each:
`{"nodes": {id: {"prior", "value", "children"}}, "iterations", "exploration", "weight", "beam", "width"}`. A node's id
is the path to it, a letter a step; "" is the root.
"""

import asyncio
import json
import os
import sys
import types
from math import log

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # ldp's model client would otherwise ask the network when imported


def import_reasoners():
    """llm-reasoners without torch and transformers: its searches name them in annotations only."""
    for name in ("torch", "transformers"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["transformers"].StoppingCriteriaList = list
    import reasoners
    import reasoners.algorithm

    return reasoners


def reasoners_world(problem, reasoners):
    nodes = problem["nodes"]

    class World(reasoners.WorldModel):
        def init_state(self):
            return ""

        def step(self, state, action):
            return state + action, {}

        def is_terminal(self, state):
            return not nodes[state]["children"]

    return World()


def reasoners_mcts(problem):
    """Visits by node, and the best trace, of llm-reasoners' MCTS with RAP's reward."""
    reasoners = import_reasoners()
    nodes, weight = problem["nodes"], problem["weight"]

    class Config(reasoners.SearchConfig):
        def get_actions(self, state):
            return nodes[state]["children"]

        def fast_reward(self, state, action):
            return weight * log(nodes[state + action]["prior"]), {}

        def reward(self, state, action, **kwargs):
            node = nodes[state + action]
            return weight * log(node["prior"]) + (1 - weight) * node["value"], {}

    search = reasoners.algorithm.MCTS(
        n_iters=problem["iterations"], w_exp=problem["exploration"], depth_limit=100, output_strategy="max_reward"
    )
    found = search(reasoners_world(problem, reasoners), Config())
    visits, waiting = {}, [("", found.tree_state)]
    while waiting:
        path, node = waiting.pop()
        visits[path] = len(node.cum_rewards)
        waiting += [(path + child.action, child) for child in node.children or ()]
    return {"visits": visits, "best": "".join(found.trace[1]), "reward": found.cum_reward}


def reasoners_beam(problem):
    """The states that llm-reasoners' beam search expanded, and the best one at its end."""
    reasoners = import_reasoners()
    nodes = problem["nodes"]

    class Config(reasoners.SearchConfig):
        def get_actions(self, state):
            return nodes[state]["children"]

        def reward(self, state, action, **kwargs):
            return nodes[state + action]["value"], {}

    search = reasoners.algorithm.BeamSearch(beam_size=problem["beam"], max_depth=100)
    found = search(reasoners_world(problem, reasoners), Config())
    expanded, waiting = [], [found.tree]
    while waiting:
        node = waiting.pop()
        expanded += [node.state] if node.children else []
        waiting += node.children
    return {"expanded": sorted(expanded), "best": found.terminal_state}


def ldp_parts(problem):
    """An agent that takes the children of a state in turn, and an environment of the table."""
    from aviary.core import Environment, Message
    from ldp.agent import Agent

    nodes = problem["nodes"]

    class Table(Environment):
        def __init__(self, state=""):
            self.place = state

        async def reset(self):
            return [Message(content="@" + self.place)], []

        async def step(self, action):
            self.place += action.content
            node = nodes[self.place]
            return [Message(content="@" + self.place)], node["value"], not node["children"], False

        async def close(self):
            pass

    class InTurn(Agent):
        def __init__(self):
            self.asked = {}

        async def init_state(self, tools):
            return None

        async def get_asv(self, agent_state, obs):
            place = obs[-1].content[1:]
            index = self.asked[place] = self.asked.get(place, -1) + 1
            action = Message(content=nodes[place]["children"][index])
            return await self.wrap_action(action), None, 0.0

    return Table, InTurn


async def ldp_beam(problem):
    """The states that ldp's beam search expanded, and the best one at its end."""
    from ldp.alg.beam_search import BeamSearchRollout

    table, agent = ldp_parts(problem)

    async def clone(environment):
        return table(environment.place)

    def place(trajectory):
        return trajectory.steps[-1].next_observation[-1].content[1:]

    async def score(trajectory):
        return problem["nodes"][place(trajectory)]["value"]

    search = BeamSearchRollout(
        agent(), problem["beam"], problem["width"], clone, lambda state: state, score,
        catch_agent_failures=False, catch_env_failures=False,
    )  # fmt: skip
    best = (await search.sample_trajectories([table()]))[0]
    expanded = {place(found)[:-1] for trajectories in search.search_buffer.values() for found in trajectories}
    return {"expanded": sorted(expanded), "best": place(best)}


async def ldp_tree(problem):
    """The mean return below each state, by ldp's exhaustive tree search and its backup."""
    from ldp.alg.tree_search import TreeSearchRollout

    table, agent = ldp_parts(problem)

    search = TreeSearchRollout(
        agent(), problem["width"], lambda environment: table(environment.place),
        catch_agent_failures=False, catch_env_failures=False, concurrency_limit=1,
    )  # fmt: skip
    tree = await search.sample_tree(table(), None)
    tree.assign_mc_value_estimates()
    steps = [step for _, step in tree.tree.nodes(data="transition") if step is not None]
    return {step.next_observation[-1].content[1:]: step.value for step in steps}


if __name__ == "__main__":
    problems = json.load(sys.stdin)
    answers = [
        {"ldp_beam": asyncio.run(ldp_beam(problem)), "ldp_tree": asyncio.run(ldp_tree(problem))} for problem in problems
    ]
    for problem, answer in zip(problems, answers, strict=True):  # last, since they put something in torch's place
        answer |= {"reasoners_mcts": reasoners_mcts(problem), "reasoners_beam": reasoners_beam(problem)}
    print(json.dumps(answers))
