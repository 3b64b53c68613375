"""LangChain's standard tool suites on the tools of BlocksWorld, SQL, and an environment of a user."""

from intercode_small import DUMP
from tool_suite import InvocationSuite, UnitSuite, each_tool
from worlds import Corridor

from langchain_linvit import Task
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, generate_problems, solve_optimally
from langchain_linvit.environments.intercode import SqlEnvironment

BLOCKS = generate_problems(blocks=4, steps=4, count=1, seed=0)[0]
PLAN = solve_optimally(BLOCKS)  # unstack, put down, unstack, stack
QUESTION = Task(id="zoo", text="How many animals are there?", data={"db": "zoo"})


def sql(folder):
    (folder / "dump.sql").write_text(DUMP)
    return SqlEnvironment(dump=folder / "dump.sql")


class BlocksWorld:
    example = each_tool(
        lambda _: BlocksWorldEnvironment(),
        {
            "unstack": (BLOCKS, PLAN[:1]),
            "put_down": (BLOCKS, PLAN[:2]),
            "pick_up": (BLOCKS, [*PLAN[:2], PLAN[1].replace("put down", "pick up")]),
            "stack": (BLOCKS, PLAN),
        },
    )


class Sql:
    example = each_tool(
        sql, {"execute_sql": (QUESTION, ["SELECT COUNT(*) FROM animal"]), "submit": (QUESTION, ["submit"])}
    )


class OfAUser:
    example = each_tool(lambda _: Corridor(), {"act": ("reach 2", ["go right"])})


class TestBlocksWorldUnit(BlocksWorld, UnitSuite):
    pass


class TestBlocksWorldInvocation(BlocksWorld, InvocationSuite):
    pass


class TestSqlUnit(Sql, UnitSuite):
    pass


class TestSqlInvocation(Sql, InvocationSuite):
    pass


class TestOfAUserUnit(OfAUser, UnitSuite):
    pass


class TestOfAUserInvocation(OfAUser, InvocationSuite):
    pass
