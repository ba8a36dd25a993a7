"""One process of several, started by torchrun: runs a charlm command line, perhaps with a fault.

    torchrun --nproc-per-node 2 tests/faults/rank.py '{"rank": 1, "at": "step", ...}' train ...

The fault (see forge.py) happens in one rank, and only before torchrun's first restart.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from charlm.cli.main import entry_point
from tests.faults.forge import Fault

if __name__ == "__main__":
    fault = json.loads(sys.argv.pop(1))
    first_time = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    if fault and int(os.environ["RANK"]) == fault["rank"] and first_time:
        Fault(fault, Path(tempfile.mkdtemp()) / "fired").arm()
    entry_point()
