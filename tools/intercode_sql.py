"""InterCode-SQL: `execute_sql`, `submit`; `python -m tools.intercode_sql` serves them over MCP."""

from collections.abc import Mapping
from typing import Any

from langchain_core.tools import BaseTool

from langchain_linvit.agents.lending import ToolsConfig, application_tools, serving_command


def get_tools(config: ToolsConfig | Mapping[str, Any] | None = None) -> list[BaseTool]:
    return application_tools("intercode-sql", config)


if __name__ == "__main__":
    serving_command("intercode-sql")
