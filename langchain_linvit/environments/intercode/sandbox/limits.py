"""What one command in the sandbox may use, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

_MEGABYTE = 1_000_000


class SandboxLimits(BaseModel):
    """Limits of one command. A command that breaks one is stopped, and what it did is undone."""

    model_config = ConfigDict(frozen=True)

    seconds: float = Field(default=10.0, gt=0, description="Wall time; InterCode's own limit is 10.")
    cpu_seconds: int = Field(default=10, gt=0, description="CPU time of each process.")
    memory_bytes: int = Field(
        default=1_000 * _MEGABYTE, gt=0, description="Resident memory of all processes, address space of each."
    )
    processes: int = Field(default=64, gt=4, description="Processes and threads at the same time.")
    open_files: int = Field(default=256, gt=16, description="Open files of each process.")
    file_bytes: int = Field(default=32 * _MEGABYTE, gt=0, description="Size of each file.")
    disk_bytes: int = Field(default=128 * _MEGABYTE, gt=0, description="Sizes of all files that one state changed.")
    files: int = Field(default=20_000, gt=0, description="Files and folders that one state changed.")
    output_bytes: int = Field(default=20 * _MEGABYTE, gt=0, description="Output and error output together.")


class LimitBroken(Exception):  # noqa: N818 - it stops a command, and is no error of the program
    """A limit was broken; the message names it."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended.

    Attributes:
        exit_code: Its exit status, as a shell counts it: 128 + N after signal N.
        output: Output and error output, in the order in which they were written.
        broken: The limit that stopped it; None where none did.
    """

    exit_code: int
    output: bytes
    broken: str | None = None
