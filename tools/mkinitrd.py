#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Packs the guest's initramfs: busybox, links for its applets, an /init, and programs that go to /bin.

    mkinitrd.py BUSYBOX INIT OUTPUT [PROGRAM...]

The archive (cpio newc, gzip) is written here, not by cpio: that needs no root for /dev/console, and the same input
gives the same bytes.
"""

import gzip
import os
import stat
import subprocess
import sys

# <linux/Documentation/driver-api/early-userspace/buffer-format.rst>: "070701" and 13 fields of 8 hexadecimal digits.
FIELDS = 13


class Archive:
    def __init__(self):
        self.bytes = bytearray()
        self.inode = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        path = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(path), 0]
        assert len(fields) == FIELDS
        self.bytes += b"070701" + b"".join(b"%08x" % f for f in fields) + path
        self.align()
        self.bytes += data
        self.align()

    def align(self):
        self.bytes += b"\0" * (-len(self.bytes) % 4)

    def directory(self, name):
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name, data):
        self.add(name, stat.S_IFREG | 0o755, data)

    def link(self, name, target):
        self.add(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor):
        self.add(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self):
        self.inode = -1
        self.add("TRAILER!!!", 0)
        return bytes(self.bytes)


def applets(busybox):
    names = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    return [n for n in names if n not in ("busybox", "init", "linuxrc")]


def main(busybox, init, output, *programs):
    archive = Archive()
    for name in ("bin", "dev", "etc", "proc", "root", "sys", "tmp"):
        archive.directory(name)
    # The kernel opens it for /init before devtmpfs is mounted.
    archive.device("dev/console", 5, 1)
    archive.file("etc/passwd", b"root::0:0:root:/root:/bin/sh\n")
    with open(busybox, "rb") as f:
        archive.file("bin/busybox", f.read())
    for name in applets(busybox):
        archive.link("bin/" + name, "busybox")
    for path, name in [(init, "init")] + [(p, "bin/" + os.path.basename(p)) for p in programs]:
        with open(path, "rb") as f:
            archive.file(name, f.read())
    with open(output, "wb") as f:
        f.write(gzip.compress(archive.finish(), mtime=0))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
