# SPDX-License-Identifier: BSD-2-Clause
"""What stands on QEMU's screen, read back as text by the glyphs of kernel/textscreen.c. No other program is needed."""

import os
import re
import socket
import time

from console import Failure
from machine import ROOT

MONITOR = "monitor.sock"
# Relative to the emulator's own folder.
QEMU_EXTRA = ["-vga", "std", "-monitor", f"unix:{MONITOR},server=on,wait=off"]
DUMP_SECONDS = 20


def glyphs():
    """{tuple of 8 rows of 5 bits: character}"""
    with open(os.path.join(ROOT, "kernel/textscreen.c"), encoding="utf-8") as f:
        table = re.search(r"glyphs\[\] = \{(.*?)\};", f.read(), re.S).group(1)
    found = {}
    for i, word in enumerate(re.findall(r"0x[0-9a-f]+", table)):
        found[tuple(int(word, 16) >> (35 - 5 * y) & 31 for y in range(8))] = chr(32 + i)
    return found


def dump(emulator):
    """(width, height, bytes of RGB) of the screen."""
    path = os.path.join(emulator.workdir, "screen.ppm")
    if os.path.exists(path):
        os.remove(path)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.relpath(os.path.join(emulator.workdir, MONITOR)))
        s.settimeout(DUMP_SECONDS)
        seen = b""
        for command in (b"", b"screendump screen.ppm\n"):
            s.sendall(command)
            while not seen.endswith(b"(qemu) "):
                seen += s.recv(4096)
            seen = b""
    end = time.monotonic() + DUMP_SECONDS
    while time.monotonic() < end:
        if os.path.exists(path):
            with open(path, "rb") as f:
                data = f.read()
            head = re.match(rb"P6\n(\d+) (\d+)\n255\n", data)
            if head and len(data) - head.end() == int(head.group(1)) * int(head.group(2)) * 3:
                return int(head.group(1)), int(head.group(2)), data[head.end():]
        time.sleep(0.2)
    raise Failure("the emulator made no picture of its screen")


def text(emulator):
    """The screen's lines. The cursor's cell is inverse; what is no character of ours reads as a NUL."""
    width, height, rgb = dump(emulator)
    known, scale, lines = glyphs(), max(1, width // (6 * 85)), []
    for row in range(height // (9 * scale)):
        line = ""
        for col in range(width // (6 * scale)):
            def lit(x, y):
                return rgb[3 * ((row * 9 + y) * scale * width + (col * 6 + x) * scale)] > 64
            paper = lit(5, 8)
            line += known.get(tuple(sum((lit(x, y) != paper) << (4 - x) for x in range(5)) for y in range(8)), "\0")
        lines.append(line.rstrip())
    return "\n".join(lines)
