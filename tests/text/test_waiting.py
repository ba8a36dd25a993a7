"""Waiting: results and exceptions come through, and a signal is seen while a library computes."""

import subprocess
import sys
import time

import pytest

from charlm.text.waiting import wait_for


def test_the_result_is_given():
    assert wait_for(lambda: 3) == 3


def test_an_exception_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: 1 // 0)


TRAINING = """
import random, signal, sys, time
from charlm.text.learning import learn_tokenizer

class Stopped(BaseException): pass
def stop(number, frame): raise Stopped
def texts():
    for _ in range(300):
        yield " ".join(f"{random.getrandbits(40):x}" for _ in range(8000))
    print("ready", flush=True)

signal.signal(signal.SIGTERM, stop)
try:
    learn_tokenizer("bpe", texts, vocab_size=8000)
except Stopped:
    sys.exit(143)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_signal_ends_the_training_of_byte_pairs_at_once():
    command = [sys.executable, "-c", TRAINING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"  # the text was walked over for its size
        time.sleep(2)
        assert process.poll() is None, "there was nothing left to interrupt"
        start = time.monotonic()
        process.terminate()
        assert process.wait(timeout=30) == 143
        assert time.monotonic() - start < 1  # the process has to end, too
