"""A sandbox for shell commands on Linux namespaces, whose states are forked at no cost."""

from langchain_linvit.environments.intercode.sandbox.box import Sandbox
from langchain_linvit.environments.intercode.sandbox.errors import SandboxUnavailable
from langchain_linvit.environments.intercode.sandbox.file_systems import FileSystems
from langchain_linvit.environments.intercode.sandbox.launch import Command
from langchain_linvit.environments.intercode.sandbox.limits import Completed, SandboxLimits
from langchain_linvit.environments.intercode.sandbox.trees import Tree

__all__ = ["Command", "Completed", "FileSystems", "Sandbox", "SandboxLimits", "SandboxUnavailable", "Tree"]
