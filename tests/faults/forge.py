"""Runs charlm command lines in processes that are killed, or whose disk fails, at a chosen place.

Python and PyTorch take seconds to start, so one process imports them and forks a child for each
trial. It reads one trial as a line of JSON from standard input and answers with a line:

    {"words": ["train", ...], "log": "trial.log", "fault": {"at": "write", "number": 3, ...}}
    {"codes": [137], "fired": true}

A fault's place ("at") is "operation" (any of storage's), "step", "loss" (a slice of a batch) or
"validation"; "number" counts from 1; "does" is "kill", a signal's name ("SIGINT twice"), an error's
("ENOSPC", "MemoryError"), "remove the cache" or, for a loss, "nan", or "gradient inf" and the like,
which only multiplies the gradient; with "persistent" it does so again at every later operation.
"fired" says whether it got there.

With a "size" that many children train together, meet at "port", write the same log, and tell a
fingerprint of the weights that they have trained; the fault happens in the one of its "rank".
"""

import errno
import gc
import hashlib
import importlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

IMPORTED = [  # what the children would import, each of them
    *("torch._dynamo", "pandas", "charlm.language.fit", "charlm.language.course"),
    *("charlm.cli.train", "charlm.predict.adapt", "charlm.series.fit", "charlm.tuning.tune"),
]
OF_EXTRAS = ["numba", "optuna"]
KERNELS = ["gru_forward", "gru_backward", "rnn_forward", "rnn_backward"]  # and have compiled
LONGEST = 60  # seconds that processes may train together; who waits longer is killed


class Fault:
    """Does what a trial asks when its place has been passed often enough."""

    def __init__(self, fault, fired: Path) -> None:
        self.fault = fault
        self.fired = fired
        self.count = 0
        self.spoils = fault["does"] == "nan" or fault["does"].startswith("gradient ")

    def pass_by(self, *_: object) -> bool:
        """Do it when the time has come; tell whether what is passed is to be spoiled."""
        self.count += 1
        number = self.fault["number"]
        if self.count != number and not (self.fault.get("persistent") and self.count > number):
            return False
        os.close(os.open(self.fired, os.O_CREAT | os.O_WRONLY))
        does = self.fault["does"]
        if does == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif does.startswith("SIG"):
            for _ in range(2 if does.endswith(" twice") else 1):
                os.kill(os.getpid(), getattr(signal, does.split()[0]))
        elif does == "remove the cache":
            shutil.rmtree(os.environ["CHARLM_CACHE"])
        elif does == "MemoryError":
            raise MemoryError
        elif not self.spoils:
            code = getattr(errno, does)
            raise OSError(code, os.strerror(code))
        return self.spoils

    def before(self, owner, name: str) -> None:
        """Let every call of a method pass by."""
        original = getattr(owner, name)

        def wrapped(*arguments, **keywords):
            spoil = self.pass_by()
            result = original(*arguments, **keywords)
            return spoiled(self.fault["does"], *result) if spoil else result

        setattr(owner, name, wrapped)

    def arm(self) -> None:
        from charlm.language.validation import Validation
        from charlm.runs.streaming import StreamTask
        from charlm.storage import system
        from charlm.training.trainer import Trainer

        place = self.fault["at"]
        if place == "operation":
            system.observer = self.pass_by
        else:
            owners = {
                "step": (Trainer, "train_step"),
                "loss": (StreamTask, "loss"),
                "validation": (Validation, "_read"),
            }
            self.before(*owners[place])


def spoiled(does, nats, state):
    """Turn a loss and the state after it into NaN, or multiply the loss's gradient alone."""
    if does == "nan":
        return nats * math.nan, tuple(part * math.nan for part in state)
    nats = nats.clone()
    nats.register_hook(lambda gradient: gradient * float(does.split()[1]))
    return nats, state


def run_child(trial, fired: Path, rank: int) -> None:
    """Run one command line in this process, and leave."""
    from charlm.cli.main import main

    log = os.open(trial["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if trial.get("size"):
        signal.alarm(LONGEST)
        host = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(trial["port"])}
        os.environ.update(host, WORLD_SIZE=str(trial["size"]), RANK=str(rank))
        tell_weights()
    if trial.get("fault") and trial["fault"].get("rank", 0) == rank:
        Fault(trial["fault"], fired).arm()
    code = main(trial["words"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def tell_weights() -> None:
    """Let the trainer print a fingerprint of the weights that its last step gave."""
    from charlm.training.trainer import Trainer

    original = Trainer._keep_best

    def wrapped(trainer):
        digest = hashlib.sha256()
        for parameter in trainer.task.module.parameters():
            digest.update(parameter.detach().numpy().tobytes())
        os.write(1, f"weights {digest.hexdigest()}\n".encode())
        original(trainer)

    Trainer._keep_best = wrapped


def fork_child(trial, fired: Path, rank: int) -> int:
    """Fork a child that runs a trial; give its number."""
    pid = os.fork()
    if pid == 0:
        try:
            run_child(trial, fired, rank)
        except BaseException as error:
            print(f"Traceback: {error!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(99)
    return pid


def serve() -> None:
    """Answer trials until standard input ends."""
    import torch

    from charlm.language import adapting
    from charlm.model.fused import compiled_walks

    for name in (*IMPORTED, *(name for name in OF_EXTRAS if find_spec(name))):
        importlib.import_module(name)
    if compiled_walks():
        from charlm.model import compiled, kernels

        for kernel in KERNELS:
            compiled.compiled(getattr(kernels, kernel))
    adapting.MEASURED = 50  # ids; all of them take as long as the steps, and no trial asks for them
    torch.set_num_threads(1)
    gc.freeze()  # or each child's collections would copy what it shares with this process
    for line in sys.stdin:
        trial = json.loads(line)
        fired = Path(trial["log"] + ".fired")
        fired.unlink(missing_ok=True)
        Path(trial["log"]).write_bytes(b"")
        children = [fork_child(trial, fired, rank) for rank in range(trial.get("size") or 1)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        codes = [128 - code if code < 0 else code for code in codes]
        print(json.dumps({"codes": codes, "fired": fired.exists()}), flush=True)


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
        answer = self._ask(words, fault=fault)
        return answer["codes"][0], self.log.read_text(errors="replace"), answer["fired"]

    def run_together(self, size, *words, fault=None):
        """Run it in `size` processes; give the exit codes of all, and what all put out."""
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = one.getsockname()[1]
        answer = self._ask(words, fault=fault, size=size, port=port)
        assert answer["fired"] == (fault is not None)
        return answer["codes"], self.log.read_text(errors="replace")

    def _ask(self, words, **more):
        trial = {"words": [str(word) for word in words], "log": str(self.log)} | more
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(trial) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

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
