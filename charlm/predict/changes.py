"""What sampling rules do, told as data, so that it can be done where the numbers are.

Rules change log p of a few ids of each stream (biases, penalties, what is forbidden), and then cut
off what is not to be drawn. Rules that tell both by a method `described` can be followed on a
device, which is sent small arrays and no rules. `changed` is the one way in which ids are changed,
of arrays and of tensors alike.
Legend: S streams, V vocabulary.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Numbers: TypeAlias = Any  # an array, or a tensor where the prediction lives on a device


class How(Enum):
    """How a number changes log p of an id."""

    ADD = "is added to it"
    SCALE = "multiplies it; what a bias has lifted above 0 is divided"
    FORBID = "makes it -inf, but where nothing would be left of a stream; the number has no say"


class Change(NamedTuple):
    """A change of some ids of some streams.

    rows, ids, numbers: the streams, an id of each, and how much; they broadcast to one shape. No id
    of a stream comes twice, except to be forbidden.
    """

    how: How
    rows: Numbers
    ids: Numbers
    numbers: Numbers


@dataclass(frozen=True, eq=False)
class Cuts:
    """What is cut off in each stream, in this order, (S,) each, as `SamplingOptions` has it.

    While the streams are the same it should be the same object: what is made of it may be kept.
    """

    temperature: np.ndarray
    top_k: np.ndarray
    top_p: np.ndarray
    min_p: np.ndarray
    typical_p: np.ndarray
    eta_cutoff: np.ndarray


class Description(NamedTuple):
    """What rules do to S streams: the changes, one after the other, and then the cuts."""

    changes: Sequence[Change]
    cuts: Cuts


def described(rules: object) -> Description | None:
    """Let rules tell what they do; None where they cannot."""
    tell = getattr(rules, "described", None)
    found: Description | None = None if tell is None else tell()
    return found


def changed(logs: Numbers, changes: Iterable[Change], of: ModuleType = np) -> Numbers:
    """Change log p (S, V) where it stands, by one change after the other; give it.

    of: the module of which everything is: numpy or torch
    """
    for how, rows, ids, numbers in changes:
        own = logs[rows, ids]
        if how is How.ADD:
            logs[rows, ids] = own + numbers
        elif how is How.SCALE:
            logs[rows, ids] = of.where(own > 0, own / numbers, own * numbers)
        else:
            logs[rows, ids] = -math.inf
            left = of.isfinite(logs).any(axis=1)  # (S,)
            if of is not np or not left.all():  # for a device's answer we should have to wait
                logs[rows, ids] = of.where(left[rows], -math.inf, own)
    return logs
