"""The command line that asks for a run, written out: what is recorded, and gives the run again."""

import shlex
from collections.abc import Sequence

from charlm.language.request import TrainRequest


def command_line(paths: Sequence[str], request: TrainRequest) -> str:
    """Write a request as `charlm train ...`, without what is as it is by default.

    A preset's and a file's options stand in it one by one, so that it means the same where the
    file is not, or a preset has changed.
    """
    words = ["charlm", "train", *paths]
    for name, field in TrainRequest.__dataclass_fields__.items():
        value, flag = getattr(request, name), name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return shlex.join(words)
