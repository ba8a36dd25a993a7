"""Readers of what was drawn: a page as a browser finds it, a PNG down to its chunks."""

import struct
import zlib
from html.parser import HTMLParser

VOID = {"meta", "br"}
IMPLIED = {"dt", "dd", "li"}  # their ends may be left out


class Reader(HTMLParser):
    """What a browser would find: the text, its tokens, all addresses and elements."""

    def __init__(self, source):
        super().__init__()
        self.open, self.text, self.all, self.tokens = [], [], [], []
        self.policy = self.title = ""
        self.words = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.all.append((tag, values))
        if tag not in VOID | IMPLIED:
            self.open.append(tag)
        if tag == "span":
            self.tokens.append([values, ""])
        if values.get("http-equiv", "").lower() == "content-security-policy":
            self.policy = values["content"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "main" in self.open:
            self.text.append(data)
        if "span" in self.open:
            self.tokens[-1][1] += data
        if "title" in self.open:
            self.title += data
        if "a" in self.open:
            self.words.append(data)


def size_of(png):
    """Walk a PNG's chunks, their sums checked; give its width, height and the chunks' names."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    names, place = [], 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        name, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack(">I", png[place + 8 + length : place + 12 + length])
        assert zlib.crc32(name + data) == checksum
        names.append(name)
        place += 12 + length
    return struct.unpack(">II", png[16:24]), names
