"""The command `charlm`: finds the command asked for, runs it, and turns errors into exit codes."""

import contextlib
import errno
import os
import sys
from collections.abc import Container, Sequence
from typing import Any

from charlm.cli.commands import COMMANDS, GROUPS, NAMES, Command
from charlm.cli.parser import Parser, find_command, parse
from charlm.cli.signals import Stopped, stop_signals
from charlm.errors import CharlmError, DiskError
from charlm.version import __version__

SIGNALLED = 128
BROKEN_PIPE = 141
SECOND_WORD = "the second word of the command"
DEBUG_HELP = "show Python's traceback of an error"


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}  # of an output


def entry_point() -> None:
    """Run the command line and leave with its exit code.

    After a signal nothing is waited for: a thread may be deep in a library's own code.
    """
    code = main(sys.argv[1:])
    if code > SIGNALLED:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def main(words: Sequence[str]) -> int:
    """Run one command line; give the exit code. Errors become a sentence on standard error."""
    _speak_utf8()
    if "--debug" in words:
        return _run([word for word in words if word != "--debug"])
    try:
        code = _run(words)
        if sys.stdout is not None and code < SIGNALLED:
            sys.stdout.flush()
        return code
    except CharlmError as error:
        complain(error)
        return error.exit_code
    except Stopped as stopped:
        say(f"stopped by {stopped}{_how_to_go_on(words)}")
        return stopped.exit_code
    except BrokenPipeError:
        _be_silent()
        return BROKEN_PIPE
    except OSError as fault:  # most of what is read or written has errors of its own
        if fault.filename is None and fault.errno in FULL:
            _be_silent()
            complain(DiskError(f"cannot write the output: {fault.strerror}"))
        else:
            where = "" if fault.filename is None else f" at {fault.filename}"
            complain(DiskError(f"the system refused something{where}: {fault.strerror or fault}"))
        return DiskError.exit_code
    except MemoryError:
        say("error: out of memory\nhint: close other programs")
        return 7


def _how_to_go_on(words: Sequence[str]) -> str:
    """Say what becomes of what an interrupted command had done, where anything does."""
    if "train" not in words[:1]:
        return ""
    same = "the same command without --force" if "--force" in words else "the same command"
    return f"; {same} goes on from what is saved"


def _be_silent() -> None:
    """Send what is still to be put out nowhere."""
    with contextlib.suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(error: CharlmError) -> None:
    """Print an error and its hint on standard error, each in one line."""
    say(f"error: {_one_line(error.message)}")
    if error.hint:
        say(f"hint: {_one_line(error.hint)}")


def say(line: str) -> None:
    """Print a line on standard error, if anybody still reads it."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _one_line(message: str) -> str:
    """Escape what names of files or fields may hold, and a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)


def _run(words: Sequence[str]) -> int:
    command, _ = find_command(NAMES, words)
    asked = [name for name in NAMES if name == command or name.startswith(f"{command} ")]
    parser, commands = make_parser(asked)
    arguments = parse(parser, commands, words)
    if arguments.run is None:
        getattr(arguments, "shown", parser).print_help()
        return 0
    with stop_signals() as arguments.stop_request:
        code: int = arguments.run(arguments)
    return code


def make_parser(asked: Container[str] = NAMES) -> tuple[Parser, dict[str, Parser]]:
    """Make the parser of the whole command line, and those of its commands by name.

    asked: the commands whose modules are loaded; of the others the parsers know name and help only
    """
    parser = Parser(
        prog="charlm",
        description="Next-word prediction with recurrent networks: train on your own text, know "
        "honestly how good the model is, generate and suggest.",
        epilog="Start with: charlm train book.txt    (charlm COMMAND --help tells more)",
    )
    parser.set_defaults(run=None)
    parser.add_argument("--version", action="version", version=f"charlm {__version__}")
    parser.add_argument("--debug", action="store_true", help=DEBUG_HELP)
    subparsers = parser.add_subparsers(metavar="COMMAND", title="commands")
    commands = {}
    for name, command in COMMANDS.items():
        commands[name] = _add(subparsers, name, command, name in asked)
    for name, group in GROUPS.items():
        inner = subparsers.add_parser(name, help=group.help, description=group.description)
        inner.set_defaults(run=None, shown=inner)
        below = inner.add_subparsers(metavar="COMMAND", title="commands", help=SECOND_WORD)
        commands[name] = inner
        for word, command in group.commands.items():
            whole = f"{name} {word}"
            commands[whole] = _add(below, word, command, whole in asked)
    return parser, commands


def _add(subparsers: Any, name: str, command: Command, load: bool) -> Parser:  # noqa: ANN401
    """Make the parser of a command, with what its module declares where that is to be loaded."""
    if not load:
        bare: Parser = subparsers.add_parser(name, help=command.help)
        return bare
    module = command.load()
    parser: Parser = subparsers.add_parser(name, help=command.help, description=module.__doc__)
    parser.set_defaults(run=module.run)
    module.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help=DEBUG_HELP)
    return parser


def _speak_utf8() -> None:
    """Print any text whatever the locale; what a terminal cannot show becomes an escape."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
