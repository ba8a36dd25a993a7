"""The symbols of vocabularies that stand for no text of their own, or for single bytes."""

import struct

BOUNDARY = "<|endoftext|>"
END_OF_LINE = "<eos>"
UNKNOWN = "<unk>"

BYTE_SYMBOLS = [f"<0x{byte:02X}>" for byte in range(256)]


def _byte_level_alphabet() -> list[str]:
    """Give the printable character that byte-level vocabularies write for each byte (GPT-2's).

    Printable Latin-1 characters stand for themselves; the others take U+0100 onwards, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet, extra = [], 0
    for byte in range(256):
        if byte in printable:
            alphabet.append(chr(byte))
        else:
            alphabet.append(chr(0x100 + extra))
            extra += 1
    return alphabet


BYTE_TO_CHARACTER = _byte_level_alphabet()
CHARACTER_TO_BYTE = {character: byte for byte, character in enumerate(BYTE_TO_CHARACTER)}


def to_byte_level(text: str) -> str:
    """Write the UTF-8 bytes of a text in the byte-level alphabet."""
    return "".join([BYTE_TO_CHARACTER[byte] for byte in text.encode()])


def from_byte_level(symbol: str) -> bytes:
    """Read bytes written in the byte-level alphabet; raises KeyError for any other character."""
    return struct.pack(f"{len(symbol)}B", *[CHARACTER_TO_BYTE[character] for character in symbol])
