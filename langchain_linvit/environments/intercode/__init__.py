"""InterCode-SQL and InterCode-Bash as forkable environments. Needs the extra `intercode`.

Source: Yang et al., "InterCode: Standardizing and Benchmarking Interactive Coding with Execution
Feedback" (arXiv 2306.14898). Rewards are computed by InterCode's own code.
"""

from langchain_linvit.environments.intercode.bash import BashEnvironment
from langchain_linvit.environments.intercode.sandbox import SandboxLimits, SandboxUnavailable
from langchain_linvit.environments.intercode.sql import SqlEnvironment
from langchain_linvit.environments.intercode.sql_session import SqlLimits
from langchain_linvit.environments.intercode.tasks import bash_tasks, nl2bash_tasks, sql_tasks

__all__ = [
    "BashEnvironment",
    "SandboxLimits",
    "SandboxUnavailable",
    "SqlEnvironment",
    "SqlLimits",
    "bash_tasks",
    "nl2bash_tasks",
    "sql_tasks",
]
