"""Runs charlm command lines in processes that are killed, or whose disk fails, at a chosen place.

Python and PyTorch take seconds to start, so one process imports them and forks a child for each
trial. It reads one trial as a line of JSON from standard input and answers with a line:

    {"words": ["train", ...], "log": "trial.log", "fault": {"at": "write", "number": 3, ...}}
    {"code": 137, "fired": true}

A fault's place ("at") is "operation" (any of storage's), "step", "loss" (a slice of a batch) or
"validation"; "number" counts from 1; "does" is "kill", a signal's name or an error's ("ENOSPC");
with "persistent" an error comes again at every later operation. "fired" says whether it got there.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path


class Fault:
    """Does what a trial asks when its place has been passed often enough."""

    def __init__(self, fault, fired: Path) -> None:
        self.fault = fault
        self.fired = fired
        self.count = 0

    def pass_by(self, *_: object) -> None:
        self.count += 1
        number = self.fault["number"]
        if self.count != number and not (self.fault.get("persistent") and self.count > number):
            return
        os.close(os.open(self.fired, os.O_CREAT | os.O_WRONLY))
        does = self.fault["does"]
        if does == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif does.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, does))
        else:
            code = getattr(errno, does)
            raise OSError(code, os.strerror(code))

    def before(self, owner, name: str) -> None:
        """Let every call of a method pass by."""
        original = getattr(owner, name)

        def wrapped(*arguments, **keywords):
            self.pass_by()
            return original(*arguments, **keywords)

        setattr(owner, name, wrapped)

    def arm(self) -> None:
        from charlm.language.task import LanguageTask
        from charlm.language.validation import Validation
        from charlm.storage import system
        from charlm.training.trainer import Trainer

        place = self.fault["at"]
        if place == "operation":
            system.observer = self.pass_by
        else:
            owners = {
                "step": (Trainer, "train_step"),
                "loss": (LanguageTask, "loss"),
                "validation": (Validation, "_read"),
            }
            self.before(*owners[place])


def run_child(trial, fired: Path) -> None:
    """Run one command line in this process, and leave."""
    from charlm.cli.main import main

    log = os.open(trial["log"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if trial.get("fault"):
        Fault(trial["fault"], fired).arm()
    code = main(trial["words"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    """Answer trials until standard input ends."""
    import torch
    import torch._dynamo  # what the children would import, each of them

    import charlm.language.fit  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        trial = json.loads(line)
        fired = Path(trial["log"] + ".fired")
        fired.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            try:
                run_child(trial, fired)
            except BaseException as error:
                print(f"Traceback: {error!r}", file=sys.stderr, flush=True)
            finally:
                os._exit(99)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        answer = {"code": 128 - code if code < 0 else code, "fired": fired.exists()}
        print(json.dumps(answer), flush=True)


class Forge:
    """The other end: asks a forge process for trials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "trial.log"
        environment = os.environ | {
            "CHARLM_CACHE": str(folder / "cache"),
            "TOKENIZERS_PARALLELISM": "false",
            "OMP_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, *words, fault=None):
        """Run `charlm WORDS`; give exit code, output, and whether the fault came to pass."""
        trial = {"words": [str(word) for word in words], "log": str(self.log), "fault": fault}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(trial) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["code"], self.log.read_text(errors="replace"), answer["fired"]

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()


def outcome(run: Path) -> dict[str, bytes]:
    """Give what must not depend on interruptions: weights, optimizer, carried state, metrics."""
    last = max((run / "checkpoints").iterdir())
    files = [*sorted(last.glob("*.safetensors")), run / "model.safetensors", run / "metrics.jsonl"]
    return {
        file.name if file.parent == last else f"run/{file.name}": file.read_bytes()
        for file in files
    }


if __name__ == "__main__":
    serve()
