"""Every command by name, with the line that `charlm --help` says of it.

A command's module is loaded only when it is called: help, and a command that needs little, start
without what the others need. Such a module has a docstring, `add_arguments` and `run`.
"""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple


class Command(NamedTuple):
    """A command: its module in `charlm.cli`, and its help."""

    module: str
    help: str

    def load(self) -> Any:  # noqa: ANN401  (a module)
        """Import the command's module."""
        return importlib.import_module(f"charlm.cli.{self.module}")


class Group(NamedTuple):
    """Commands of two words, by the second, with help and description of them all."""

    help: str
    description: str
    commands: Mapping[str, Command]


COMMANDS = {
    "train": Command("train", "train a model on text"),
    "prepare": Command("prepare", "read and tokenize text once, for several runs"),
    "eval": Command("evaluate", "score text in bits per byte and perplexity"),
    "score": Command("score", "score each line of a text"),
    "generate": Command("generate", "continue a text"),
    "suggest": Command("suggest", "suggest the next words"),
    "type": Command("type", "type a text with suggestions in the terminal"),
    "serve": Command("serve", "serve a model over HTTP"),
    "compare": Command("compare", "compare two models on the same text"),
    "read": Command("read", "read a text and keep what the model remembers"),
    "adapt": Command("adapt", "tune adaptation, cache and mixtures to a text"),
    "info": Command("info", "show what a model is"),
    "export": Command("export", "write a model with its weights in another form"),
    "plot": Command("plot", "draw the course of runs into a PNG"),
    "compress": Command("compress", "compress a file by what a model expects"),
    "decompress": Command("decompress", "give back a file that compress was given"),
    "check": Command("check", "look at a corpus before training"),
    "tune": Command("tune", "search for better options than charlm's own plan"),
    "bench": Command("bench", "measure speed and memory on this machine"),
}
GROUPS = {
    "series": Group(
        "predict sequences of numbers",
        "Commands for sequences of numbers: a wave, a price, a temperature.",
        {
            "train": Command("series_train", "train a model on a series"),
            "eval": Command("series_eval", "judge a series model beside naive forecasts"),
            "forecast": Command("series_forecast", "forecast a series"),
            "tune": Command("series_tune", "search for better options for a series"),
        },
    )
}
NAMES = (
    *COMMANDS,
    *GROUPS,
    *(f"{name} {word}" for name, group in GROUPS.items() for word in group.commands),
)
