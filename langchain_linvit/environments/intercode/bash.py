"""InterCode-Bash: carry out a request on a file system by shell commands. Source: arXiv 2306.14898, section 3.

environment = BashEnvironment()
environment.reset(bash_tasks()[0])
environment.step("find /testbed | wc -l")
"""

from __future__ import annotations

import copy
import hashlib
import shlex
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, Field

from langchain_linvit.environments.base import (
    ActionTool,
    Environment,
    Outcome,
    ParsedAction,
    Snapshot,
    Task,
    Transition,
    shorten,
)
from langchain_linvit.environments.intercode.answers import extract_code
from langchain_linvit.environments.intercode.bash_boxes import Box, BoxContainer, BoxMaker, SandboxBoxes
from langchain_linvit.environments.intercode.official import bash_outcome, setup_script
from langchain_linvit.environments.intercode.sandbox import Completed, Sandbox, SandboxLimits
from langchain_linvit.errors import EnvironmentStateError, InvalidSettingError, InvalidTaskError

SUBMIT = "submit"
"""The action that ends an episode; the last output and the file system are the answer."""

_HORIZON = 10
_LONGEST_ACTION = 20_000
_SHOWN_CHANGES = 20

_DESCRIPTION = """\
You carry out a request on a Linux file system with bash commands. Each action is one command line, or
the word `submit`, which ends the episode. What counts is the output of the last command and what all
commands changed on the file system, so the last command must print exactly what was asked for, and
nothing must be changed beside what was asked for. Each command runs in a new shell: only the file system
and the working directory last (change it with a command `cd PATH` of its own). There is no network.

Example, for the request "Count the files in /data":
Action: ls /data
Action: find /data -type f | wc -l
Action: submit"""


class CommandLine(BaseModel):
    """Arguments of the tool `run_bash`."""

    command: str = Field(description="One bash command line.")


class NoArguments(BaseModel):
    """A tool without arguments."""


class BashEnvironment(Environment):
    """A request, and the commands that were run so far, in a sandbox of Linux namespaces.

    The state is the content of the file system (without times), the working directory, and the last
    output. A fork costs microseconds at any depth in the modes `overlay` and `copy`: states are immutable, and a
    command makes the next one. A command costs about 20 ms (`overlay`) or 30 ms and more (`copy`).

    A command that breaks a limit is an error and is undone. One that fails is not: its output and its exit
    status are what a shell's user would see, and what it did stays.

    Args:
        mode: `overlay`, `copy` (where the kernel has no unprivileged overlay mounts), or `auto`: the first that
            works; `docker`: containers of `image` (not tested by this project; forks are images). Never the
            host's shell: without a sandbox there is no environment.
        image: With `docker`: the image, which brings the file system with it.
        quoting: `intercode` splits commands as InterCode's scripts do (docker-py takes inner double quotes off;
            for scores that compare with theirs), `verbatim` runs what was written.
        file_system: What tasks that name no file system start from: a set-up script, a folder or a tarball;
            by default the script of the package's own 24 tasks.
        limits: What one command may use.
        shown_characters: Characters of an output that an observation shows.

    Raises:
        SandboxUnavailable: Commands can't be isolated here; the message says what to install.
        MissingDependencyError: The package `intercode-bench` is not installed.
    """

    description = _DESCRIPTION
    concurrency: ClassVar[Literal["inline", "thread"]] = "thread"
    records_history: ClassVar[bool] = False

    def __init__(
        self,
        *,
        mode: Literal["auto", "overlay", "copy", "docker"] = "auto",
        image: str = "intercode-nl2bash",
        quoting: Literal["intercode", "verbatim"] = "verbatim",
        file_system: str | Path | None = None,
        limits: SandboxLimits | None = None,
        shown_characters: int = 2_000,
    ) -> None:
        if quoting not in ("intercode", "verbatim"):
            raise InvalidSettingError(f"quoting must be 'intercode' or 'verbatim', not {quoting!r}")
        self._file_system = str(file_system if file_system is not None else setup_script())
        self._boxes = _box_maker(mode, image, limits or SandboxLimits())
        self._quoting = quoting
        self._shown = shown_characters
        self._box: Box | None = None
        self._directory = "/"
        self._output: str | None = None
        self._exit_code = 0
        self._done = False

    @property
    def horizon(self) -> int:
        """Turns that InterCode's scripts grant."""
        return _HORIZON

    def reset(self, task: Task) -> str:  # type: ignore[override]
        """Start on the task's file system, as its set-up left it."""
        source = str(task.data.get("file_system") or self._file_system)
        if not Path(source).exists():
            raise InvalidTaskError(f"the task {shorten(task.id, 60)!r} names a file system that is absent: {source}")
        box = self._boxes.open(source)
        self.close()
        self._box = box
        self._directory, self._output, self._exit_code, self._done = "/", None, 0, False
        return "You are in the directory / as root."

    def step(self, action: str) -> Transition:
        """Run one command line, or submit."""
        box = self._require_box()
        if self._done:
            return Transition("", error="the episode is over: the answer was submitted")
        if action.strip().rstrip(";").lower() == SUBMIT:
            self._done = True
            return Transition("submitted", done=True)
        problem = _problem(action)
        if problem is not None:
            return Transition(problem, error=problem)
        target = _changed_directory(action, self._directory)
        argv = self._words(f"cd {shlex.quote(target)}" if target is not None else action)
        if argv is None:
            return Transition("Malformed command", error="Malformed command: its quotes are not closed")
        completed = box.run(argv, "/" if target is not None else self._directory)
        if completed.broken is not None:
            message = f"the command was stopped and undone: {completed.broken}"
            return Transition(message, error=message)
        if target is not None and completed.exit_code == 0:
            self._directory = target
        return self._observe(completed)

    def state_text(self) -> str:
        """The working directory, what was changed since the beginning, and the last output."""
        box = self._require_box()
        changes = [f"{kind} {path}" for path, kind in box.changes().items()]
        more = [f"({len(changes) - _SHOWN_CHANGES} more)"] if len(changes) > _SHOWN_CHANGES else []
        lines = [f"Working directory: {self._directory}", "Changed files:"]
        lines += [*changes[:_SHOWN_CHANGES], *more] or ["(none)"]
        lines += ["Last output:", self._shown_output()] if self._output is not None else ["No command was run yet."]
        return "\n".join([*lines, "The answer was submitted."] if self._done else lines)

    def fork(self) -> Self:
        """An independent copy: another reference to the same immutable tree."""
        clone = self.spawn()
        clone._task = self.task
        clone._box = self._require_box().fork()
        clone._directory, clone._output, clone._exit_code = self._directory, self._output, self._exit_code
        clone._done = self._done
        return clone

    def spawn(self) -> Self:
        """A new instance in the same sandbox, not reset yet."""
        clone = copy.copy(self)
        clone._task, clone._history, clone._box = None, [], None
        clone._directory, clone._output, clone._exit_code, clone._done = "/", None, 0, False
        return clone

    def snapshot(self) -> Snapshot:
        """The task, and what the file system changed since its beginning, as compressed base64."""
        return {
            "task": self.task.model_dump(),
            "files": self._require_box().dump(),
            "directory": self._directory,
            "output": self._output,
            "exit_code": self._exit_code,
            "done": self._done,
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go to the state of `snapshot`."""
        try:
            self.reset(Task.model_validate(snapshot["task"]))
            self._box = self._require_box().load(snapshot["files"])
            self._directory, self._output = str(snapshot["directory"]), snapshot["output"]
            self._exit_code, self._done = int(snapshot["exit_code"]), bool(snapshot["done"])
        except (KeyError, TypeError, ValueError) as error:
            raise EnvironmentStateError(f"not a snapshot of BashEnvironment: {error!r}") from error
        if self._box.fingerprint() != snapshot["files"]["fingerprint"]:
            raise EnvironmentStateError("the snapshot's file system could not be rebuilt: its beginning has changed")

    def state_key(self) -> str:
        """Equal for equal file systems (whatever their times), directories and last outputs."""
        parts = (self._require_box().fingerprint(), self.task.id, self.task.text, self._directory, self._done)
        return hashlib.sha256(repr((*parts, self._output, self._exit_code)).encode()).hexdigest()

    def parse_action(self, text: str) -> ParsedAction:
        """The command line in an answer: in a code block, after `Action:`, or the whole answer."""
        return extract_code(text, limit=_LONGEST_ACTION, submit=SUBMIT)

    def action_tools(self) -> list[ActionTool]:
        """`run_bash(command)` and `submit()`."""
        return [
            ActionTool(
                name="run_bash",
                description="Run one bash command line and see its output.",
                args_schema=CommandLine,
                render=lambda args: str(getattr(args, "command", "")),
                parse=lambda action: None if action == SUBMIT else {"command": action},
            ),
            ActionTool(
                name="submit",
                description="End the episode: the last output and the file system are the answer.",
                args_schema=NoArguments,
                render=lambda _: SUBMIT,
                parse=lambda action: {} if action == SUBMIT else None,
            ),
        ]

    def evaluate(self) -> Outcome:
        """InterCode's reward; `info["strict"]` says beside it whether all files and the output are as the gold's.

        InterCode compares contents of new files only, and outputs by their words.
        """
        gold = self.task.data.get("gold")
        if gold is None:
            return Outcome(success=False, score=0.0, info={"reason": "the task has no gold command"})
        agent = self._require_box().fork()
        reference = agent.pristine()
        output = self._output if self._output is not None else self.task.text  # InterCode's first observation
        outcome = bash_outcome(output, gold, BoxContainer(agent), BoxContainer(reference))
        info = dict(outcome.info)
        info["strict"] = self._strict(reference, info.pop("eval_obs", None))
        return outcome.model_copy(update={"info": info})

    def close(self) -> None:
        """Let go of the file system; forks are not affected."""
        if self._box is not None:
            self._box.close()
            self._box = None

    def _strict(self, reference: Box, expected_output: object) -> dict[str, object]:
        """Every changed path compared by kind, permissions and content, and the output word for word."""
        different = self._require_box().differences(reference)
        same_output = (self._output or "") == expected_output
        return {"success": same_output and not different, "same_output": same_output, "different_files": different[:50]}

    def _words(self, action: str) -> list[str] | None:
        return ["/bin/bash", "-c", action.strip()] if self._quoting == "verbatim" else _split(action)

    def _observe(self, completed: Completed) -> Transition:
        self._output = completed.output.decode("utf-8", "replace")
        self._exit_code = completed.exit_code
        return Transition(self._shown_output(), info={"exit_code": completed.exit_code})

    def _shown_output(self) -> str:
        output = self._output or ""
        shown = output[: self._shown] if output else "(no output)"
        if len(output) > self._shown:
            shown += f"\n({len(output) - self._shown} more characters, {output.count(chr(10))} lines in all)"
        return shown if self._exit_code == 0 else f"{shown.rstrip()}\n(exit status {self._exit_code})"

    def _require_box(self) -> Box:
        if self._box is None:
            raise EnvironmentStateError("BashEnvironment has no task, or was closed: call reset(task) first")
        return self._box


def _box_maker(mode: Literal["auto", "overlay", "copy", "docker"], image: str, limits: SandboxLimits) -> BoxMaker:
    if mode == "docker":
        from langchain_linvit.environments.intercode.docker_boxes import DockerBoxes

        return DockerBoxes(image, limits)
    return _sandbox_boxes(mode, limits)


@lru_cache(maxsize=8)
def _sandbox_boxes(mode: Literal["auto", "overlay", "copy"], limits: SandboxLimits) -> SandboxBoxes:
    return SandboxBoxes(Sandbox(mode, limits))


def _split(action: str) -> list[str] | None:
    """The words that docker-py makes of InterCode's `bash -c "ACTION"`; None where quotes are not closed."""
    try:
        return shlex.split(f'/bin/bash -c "{action.strip()}"')
    except ValueError:
        return None


def _problem(action: str) -> str | None:
    if not action.strip():
        return "the command is empty"
    if len(action) > _LONGEST_ACTION:
        return f"the command is longer than {_LONGEST_ACTION} characters"
    return "the command contains a null byte" if "\0" in action else None


def _changed_directory(action: str, directory: str) -> str | None:
    """Where a command that is nothing but `cd PATH` leads, as InterCode resolves it; None for other commands."""
    try:
        words = shlex.split(action)
    except ValueError:
        return None
    if not words or words[0] != "cd" or len(words) > 2 or any(c in action for c in ";|&$`(){}<>*?\n"):
        return None
    path = words[1] if len(words) == 2 else "/root"
    path = path.replace("~", "/root", 1) if path == "~" or path.startswith("~/") else path
    parts: list[str] = []
    for part in f"{'' if path.startswith('/') else directory}/{path}".split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
