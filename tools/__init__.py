"""Environments' tools to lend to other agents: `get_tools(config)`, and `python -m tools.NAME` serves them over MCP."""
