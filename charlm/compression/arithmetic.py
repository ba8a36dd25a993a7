"""Arithmetic coding: symbols become digits of one number, each as many as its probability asks.

The coder holds an interval of numbers. A symbol takes the part of it that its count has of all
counts, and the digits, here bytes, on which the whole interval agrees are written. A symbol of
probability p costs -log2 p bits, to within a billionth of a bit, and the end less than two bytes.

It is the range coder of Martin 1979, "Range encoding: an algorithm for removing redundancy from a
digitised message", with the carry added to what is written already. Arithmetic coding as such:
Witten, Neal & Cleary 1987, CACM 30 (6).
"""

REGISTER = 12  # bytes of the number at work on
BITS = 8 * REGISTER
_ONE = 1 << BITS
_ENOUGH = 1 << (BITS - 8)  # the interval is never narrower when a symbol comes
MAX_TOTAL = 1 << 48  # of all counts: rounding then costs less than 2^-39 bits a symbol


class RangeEncoder:
    """Writes symbols, given as parts of an interval."""

    def __init__(self) -> None:
        self._low, self._range = 0, _ONE
        self._bytes = bytearray()

    def write(self, start: int, count: int, total: int) -> None:
        """Write a symbol of `count` > 0 from `total` counts, `start` of them of those before it."""
        assert 0 <= start < start + count <= total <= MAX_TOTAL
        unit = self._range // total
        self._low += start * unit
        self._range = count * unit
        if self._low >= _ONE:
            self._carry()
        while self._range < _ENOUGH:
            self._bytes.append(self._low >> (BITS - 8))
            self._low = (self._low << 8) % _ONE
            self._range <<= 8

    def finish(self) -> bytes:
        """End; give all that was written. Zeros may be thought behind it without end."""
        for size in range(REGISTER + 1):  # the fewest bytes that name a number of the interval
            step = 1 << (BITS - 8 * size)
            number = -(-self._low // step) * step
            if number < self._low + self._range:
                break
        self._low = number
        if self._low >= _ONE:
            self._carry()
        return bytes(self._bytes + self._low.to_bytes(REGISTER, "big")[:size])

    def _carry(self) -> None:
        """Add one to the number written so far."""
        self._low -= _ONE
        place = len(self._bytes) - 1
        while self._bytes[place] == 0xFF:
            self._bytes[place] = 0
            place -= 1
        self._bytes[place] += 1


class RangeDecoder:
    """Reads what `RangeEncoder` wrote: asks where it aims, is told the symbol that stands there."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, REGISTER
        self._code = int.from_bytes(data[:REGISTER].ljust(REGISTER, b"\0"), "big")
        self._range = _ONE

    @property
    def exhausted(self) -> bool:
        """Tell whether more was read than any encoder leaves for its decoder to read."""
        return self._place > len(self._data) + REGISTER

    def aim(self, total: int) -> int:
        """Say which of `total` counts the next symbol covers, from 0."""
        return min(self._code // (self._range // total), total - 1)

    def read(self, start: int, count: int, total: int) -> None:
        """Pass the symbol at the aim, as it was written."""
        unit = self._range // total
        self._code -= start * unit
        self._range = count * unit
        while self._range < _ENOUGH:
            byte = self._data[self._place] if self._place < len(self._data) else 0
            self._code = (self._code << 8) + byte
            self._range <<= 8
            self._place += 1
