"""What the measurements were made on."""

import datetime
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from charlm.training.precision import has_bf16
from charlm.version import __version__

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """A processor and the software on it; `bf16`: it multiplies bfloat16 in hardware."""

    date: str
    processor: str
    threads: int
    bf16: bool
    torch: str
    charlm: str

    def line(self) -> str:
        """Tell it in a line."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        numbers = "bf16 and fp32" if self.bf16 else "fp32, no bf16"
        return (
            f"{self.processor}, {threads}, {numbers}; PyTorch {self.torch}, "
            f"charlm {self.charlm}, {self.date}"
        )


def this_machine() -> Machine:
    """Describe the machine, with the threads that PyTorch uses now."""
    return Machine(
        date=datetime.date.today().isoformat(),
        processor=_processor_name(),
        threads=torch.get_num_threads(),
        bf16=has_bf16(torch.device("cpu")),
        torch=torch.__version__,
        charlm=__version__,
    )


def _processor_name() -> str:
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown processor"
