"""Devices and number formats: what the machine has, and what a run will use of it."""

import contextlib
from typing import Literal

import torch

from charlm.errors import UsageError

Precision = Literal["auto", "fp32", "bf16"]


def choose_device(name: str) -> torch.device:
    """Turn `--device` into a device; raise UsageError if this machine does not have it.

    "auto" takes a CUDA GPU where there is one and the CPU otherwise. Apple's MPS is used only on
    request, since its LSTM has given wrong results in several releases of PyTorch.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA GPU that PyTorch can use", "leave out --device")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UsageError("there is no Apple GPU that PyTorch can use", "leave out --device")
    return torch.device(name)


def has_bf16(device: torch.device) -> bool:
    """Tell whether the device multiplies bfloat16 in hardware.

    Without it a CPU emulates bfloat16, which is many times slower than float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in checks)


def use_bf16(precision: Precision, device: torch.device) -> bool:
    """Turn `--precision` into a decision for this device."""
    if precision == "auto":
        return has_bf16(device)
    if precision == "bf16" and not has_bf16(device):
        raise UsageError(
            f"this machine's {device.type} has no bfloat16 in hardware; it would be many times "
            "slower than float32",
            "leave out --precision, or pass --precision fp32",
        )
    return precision == "bf16"


def autocast(device: torch.device, bf16: bool) -> contextlib.AbstractContextManager[object]:
    """Run matrix products in bfloat16 over float32 weights, or leave everything in float32."""
    if not bf16:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
