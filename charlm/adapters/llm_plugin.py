"""charlm as a plugin of Simon Willison's `llm`, which finds it by the entry point `llm`.

    llm -m charlm -o model runs/book "Once upon"
    llm charlm add book runs/book && llm -m charlm/book -o temperature 0.5 "Once upon"

This module needs `llm`, and only `llm` imports it (https://llm.datasette.io/en/stable/plugins/);
what loads and runs a model is imported with the first prompt.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
import llm
from pydantic import Field

from charlm.adapters.names import Names
from charlm.errors import CharlmError


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register `charlm`, for which a model is named with each prompt, and every name given."""
    register(CharlmModel())
    with suppress(CharlmError):  # a damaged list must not keep other models from their work
        for name, directory in names().all().items():
            register(CharlmModel(name, directory))


@llm.hookimpl
def register_commands(cli: click.Group) -> None:
    """Add the commands that give names to models: `llm charlm ...`."""
    cli.add_command(naming)


class CharlmModel(llm.Model):
    """A charlm model for `llm`: it continues the prompt."""

    can_stream = True

    class Options(llm.Options):
        """What can be asked for with -o."""

        model: str | None = Field(description="directory of a model", default=None)
        predictor: str | None = Field(description="network, counts, best, ...", default=None)
        max_tokens: int | None = Field(description="length (default 200)", default=None)
        temperature: float | None = Field(description="0: the most probable", default=None)
        top_k: int | None = Field(description="only the k most probable tokens", default=None)
        top_p: float | None = Field(description="only the tokens that make up p", default=None)
        seed: int | None = Field(description="same seed, same text", default=None)

    def __init__(self, name: str | None = None, directory: str | None = None) -> None:
        self.model_id = "charlm" if name is None else f"charlm/{name}"
        self._directory = directory

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: Any,  # noqa: ANN401
    ) -> Iterator[str]:
        """Yield the continuation of all that was said, piece by piece."""
        from charlm.adapters.prompting import continue_text, whole_text

        asked = prompt.options.model_dump()
        model, predictor = asked.pop("model"), asked.pop("predictor")
        text = whole_text(prompt.messages)
        with errors_of(llm.ModelError):
            yield from continue_text(text, model or self._directory, asked, predictor)


@contextmanager
def errors_of(kind: type[Exception]) -> Iterator[None]:
    """Turn charlm's errors into those that `llm` or click shows in a line."""
    try:
        yield
    except CharlmError as error:
        raise kind(f"{error}; {error.hint}" if error.hint else str(error)) from error


def names() -> Names:
    """Give the names that the user of this machine has given to models."""
    return Names(llm.user_dir())


@click.group(name="charlm")
def naming() -> None:
    """Give names to charlm's models: llm -m charlm/NAME."""


@naming.command()
@click.argument("name")
@click.argument("directory")
def add(name: str, directory: str) -> None:
    """Let NAME stand for the model in DIRECTORY."""
    with errors_of(click.ClickException):
        names().add(name, directory)
    click.echo(f"llm -m charlm/{name}")


@naming.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget NAME; the model stays where it is."""
    with errors_of(click.ClickException):
        names().remove(name)


@naming.command(name="list")
def list_names() -> None:
    """List the names, each with its directory."""
    with errors_of(click.ClickException):
        for name, directory in names().all().items():
            click.echo(f"charlm/{name}\t{directory}")
