"""Precision: bfloat16 only where the hardware has it."""

import pytest
import torch

from charlm.errors import UsageError
from charlm.training import precision

CPU = torch.device("cpu")


def test_auto_follows_the_hardware(monkeypatch):
    for has in (True, False):
        monkeypatch.setattr(precision, "has_bf16", lambda device, has=has: has)
        assert precision.use_bf16("auto", CPU) is has


def test_bf16_without_hardware_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    with pytest.raises(UsageError, match="no bfloat16 in hardware"):
        precision.use_bf16("bf16", CPU)


def test_fp32_is_always_there():
    assert precision.use_bf16("fp32", CPU) is False


def test_a_missing_gpu_is_a_usage_error():
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA GPU"):
            precision.choose_device("cuda")
    assert precision.choose_device("cpu") == CPU
