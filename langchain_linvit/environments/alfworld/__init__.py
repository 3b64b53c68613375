"""ALFWorld: household tasks in text, on the real engine, forkable. Needs the extra `alfworld`.

Example:
    .. code-block:: python

        from langchain_linvit.environments.alfworld import AlfworldEnvironment, own_game

        environment = AlfworldEnvironment()
        print(environment.reset(own_game("clean", seed=1)))
"""

from langchain_linvit.environments.alfworld.environment import MAX_STEPS, AlfworldEnvironment
from langchain_linvit.environments.alfworld.generator import own_game, own_games, towel_or_cloth
from langchain_linvit.environments.alfworld.parallel import map_games
from langchain_linvit.environments.alfworld.parts import ENGINE_LOCK
from langchain_linvit.environments.alfworld.source import TASK_TYPES, TaskType, data_folder, in_turn, load_games

__all__ = [
    "ENGINE_LOCK",
    "MAX_STEPS",
    "TASK_TYPES",
    "AlfworldEnvironment",
    "TaskType",
    "data_folder",
    "in_turn",
    "load_games",
    "map_games",
    "own_game",
    "own_games",
    "towel_or_cloth",
]
