"""Which sinks there are, and whether their packages are installed."""

import importlib

from charlm.errors import UsageError
from charlm.options import did_you_mean

NAMES = ("tensorboard", "trackio", "wandb")  # of the sink, its package and charlm's extra
NONE = "none"


def names_in(text: str | None) -> tuple[str, ...]:
    """Give the sinks that an option asks for, such as "tensorboard,wandb"; "none" is none.

    Raises UsageError for a sink there is none of.
    """
    words = [word.strip() for word in (text or NONE).split(",")]
    for word in words:
        if word not in (*NAMES, NONE):
            known = did_you_mean(word, NAMES)
            hint = known or f"there are {', '.join(NAMES)}; several with commas between them"
            raise UsageError(f"--log-to knows no '{word}'", hint)
    return tuple(dict.fromkeys(word for word in words if word != NONE))


def require(names: tuple[str, ...]) -> None:
    """Import the packages of sinks, which takes a while: better before the work than after it.

    Raises UsageError where one cannot be imported.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as fault:  # whatever a broken installation raises
            there = not isinstance(fault, ModuleNotFoundError) or fault.name != name
            why = f"; it is there but cannot be imported: {fault}" if there else ""
            raise UsageError(
                f"--log-to {name} needs the package {name}{why}",
                f"pip install 'charlm-toolkit[{name}]'",
            ) from fault
