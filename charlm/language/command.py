"""The command line that asks for a run, written out: what is recorded, and gives the run again."""

import shlex
from collections.abc import Container, Sequence
from dataclasses import fields
from typing import Any

from charlm.language.request import TrainRequest


def command_line(paths: Sequence[str], request: TrainRequest) -> str:
    """Write a request as `charlm train ...`, without what is as it is by default.

    A preset's and a file's options stand in it one by one, so that it means the same where the
    file is not, or a preset has changed.
    """
    return shlex.join(["charlm", "train", *paths, *words_of(request)])


def words_of(options: Any, always: Container[str] = ()) -> list[str]:  # noqa: ANN401
    """Write a dataclass of options as flags, without what is as by default and not in `always`."""
    words: list[str] = []
    for field in fields(options):
        name, value, flag = field.name, getattr(options, field.name), field.name.replace("_", "-")
        if value is None or (value == field.default and name not in always):
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words
