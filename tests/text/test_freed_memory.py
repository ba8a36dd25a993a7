"""What is freed stays with the process while it is to be asked for again, and goes back after."""

import resource
import sys

import numpy as np
import pytest

from charlm.text.memory import freed_memory_kept, freed_memory_returned

LARGE = 100 << 20  # bytes: glibc would give them back at once


def faults_of(times):
    """Count the pages that the system had to find for so many large arrays, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.ones(LARGE, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is on Linux")
def test_large_arrays_are_made_of_the_same_memory_again():
    usual = faults_of(5)
    with freed_memory_kept():
        faults_of(1)
        kept = faults_of(5)
    after = faults_of(5)
    assert kept < usual / 10
    assert after > 10 * kept


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is on Linux")
def test_where_memory_is_bounded_what_is_freed_goes_back_and_is_kept_again_after():
    with freed_memory_kept():
        with freed_memory_returned():
            faults_of(1)
            returned = faults_of(5)
        faults_of(1)
        kept = faults_of(5)
    assert kept < returned / 10
