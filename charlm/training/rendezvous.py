"""How processes that found their meeting place get to know each other: a store and a roll call.

The first process comes last, from preparing the text. The others wait for it as long as preparing
may take; it waits for them as long as finding the place may take, and tells all who is missing.
Where a signal should end the waiting, it is done in Python.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread
from typing import Any

import torch.distributed as dist

from charlm.training.meeting import INTERVAL, Meeting

PATIENT_TIMEOUT = timedelta(hours=2)  # one reads the corpus, or saves, while the others wait
ROLL = "missing"


def meet(meeting: Meeting) -> Any:  # noqa: ANN401
    """Give the store (a dist.Store) that all processes of the run have come to.

    Raises UsageError where one is missing, RuntimeError where the store fails.
    """
    serves = meeting.agent or meeting.rank == 0  # at once; another's may still be preparing
    limit = meeting.timeout if serves else PATIENT_TIMEOUT.total_seconds()
    try:
        store = _within(limit, lambda: _open_store(meeting))
    except TimeoutError as fault:
        raise meeting.failed(f"what listens there said nothing for {limit:.0f} s") from fault
    # after a restart torchrun's store still holds what the dead have left
    attempt = f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    store = dist.PrefixStore(attempt, store)  # type: ignore[attr-defined]
    _call_the_roll(store, meeting)
    return store


@contextmanager
def meeting_errors(meeting: Meeting) -> Iterator[None]:
    """Say of PyTorch's errors while processes meet where that was; gloo's are of no kind."""
    try:
        yield
    except RuntimeError as fault:  # dist.DistError is one
        raise meeting.failed((str(fault).splitlines() or [repr(fault)])[0]) from fault


def _open_store(meeting: Meeting) -> Any:  # noqa: ANN401
    listener: dict[str, Any] = {}
    if meeting.listener is not None:
        listener["master_listen_fd"] = meeting.listener.detach()
    return dist.TCPStore(  # type: ignore[attr-defined]
        meeting.host,
        meeting.port,
        meeting.size,
        is_master=bool(listener),
        timeout=timedelta(seconds=meeting.timeout),
        wait_for_workers=False,
        use_libuv=sys.platform != "win32",  # which PyTorch is built without
        **listener,
    )


def _within(seconds: float, function: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Call a function in another thread, which is left behind where it takes longer.

    PyTorch waits without limit for the first word of whatever accepts its connection.
    """
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as fault:
            future.set_exception(fault)

    Thread(target=work, name="charlm-meeting", daemon=True).start()
    return future.result(seconds)


def _call_the_roll(store: Any, meeting: Meeting) -> None:  # noqa: ANN401
    """Wait until all are here; raise the same UsageError in all who are, where one is not."""
    names = [f"here-{rank}" for rank in range(meeting.size)]
    store.set(names[meeting.rank], "")
    if meeting.rank == 0:
        _wait_until(lambda: store.check(names), meeting.timeout)
        store.set(ROLL, json.dumps([name for name in names if not store.check([name])]))
    elif not _wait_until(lambda: store.check([ROLL]), PATIENT_TIMEOUT.total_seconds()):
        raise meeting.failed(f"the first process did not come within {PATIENT_TIMEOUT}")
    if missing := json.loads(store.get(ROLL)):
        number = missing[0].removeprefix("here-")
        raise meeting.failed(
            f"process {number} of {meeting.size} did not come within {meeting.timeout:.0f} s"
        )


def _wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(INTERVAL)
    return True
