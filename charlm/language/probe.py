"""What a plan needs to know of the machine, measured in a second or assumed."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from charlm.training.precision import autocast

ASSUMED_THREADS = 2
ASSUMED_FLOPS = 100e9  # of two threads
BF16_SPEED = 1.6  # of float32
SHAPE = (64, 16, 256)  # streams, steps, units of the layer that is timed
GATES = 4
TRIALS = 5


@dataclass(frozen=True)
class Machine:
    """The machine as a plan sees it.

    threads: processor threads that training uses
    bf16:    whether matrix products are made in bfloat16
    flops:   operations a second that a recurrent layer's products reach in training
    measured: whether that was measured, or is assumed
    """

    threads: int = ASSUMED_THREADS
    bf16: bool = False
    flops: float = ASSUMED_FLOPS
    measured: bool = False

    @classmethod
    def assumed(cls, threads: int, bf16: bool) -> "Machine":
        """Give what is likely of a machine that was not measured."""
        faster = threads / ASSUMED_THREADS * (BF16_SPEED if bf16 else 1.0)
        return cls(threads, bf16, ASSUMED_FLOPS * faster)


def measure(device: torch.device, bf16: bool) -> Machine:
    """Time a recurrent layer, forward and backward, as training will run it; the best of a few."""
    return Machine(torch.get_num_threads(), bf16, flops_reached(device, bf16), measured=True)


def flops_reached(
    device: torch.device, bf16: bool, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Give the operations a second of a middling LSTM: the median of a few passes."""
    streams, steps, units = SHAPE
    layer = torch.nn.LSTM(units, units, batch_first=True).to(device)
    inputs = torch.zeros(streams, steps, units, device=device)
    taken = []
    for _ in range(TRIALS + 1):
        _wait_for(device)
        began = clock()
        with autocast(device, bf16):
            outputs, _ = layer(inputs)
        outputs.float().sum().backward()
        _wait_for(device)
        taken.append(clock() - began)
    # a multiplication and an addition, forward and twice on the way back, by two matrices
    operations = 6 * streams * steps * GATES * units * 2 * units
    return operations / max(statistics.median(taken[1:]), 1e-9)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
