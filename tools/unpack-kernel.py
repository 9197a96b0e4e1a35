#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Takes the vmlinux (an ELF, with its PVH note) out of a Linux bzImage.

    unpack-kernel.py BZIMAGE OUTPUT

Payloads in gzip, XZ, bzip2 and legacy LZ4 (what Debian uses: XZ, and LZ4 for its cloud kernel) are known; Python has all of
them but the last, whose format is described in lz4's doc/lz4_Frame_format.md (legacy frame) and lz4_Block_format.md.
"""
import bz2
import lzma
import struct
import sys
import zlib

LZ4_LEGACY = b"\x02\x21\x4c\x18"
LZ4_BLOCK_MAX = 8 << 20		# bytes of output of every block but the last


def long_length(data, at, length):
    """A length whose four bits were all ones goes on in bytes, up to the first that is not 255."""
    while True:
        length += data[at]
        at += 1
        if data[at - 1] != 255:
            return length, at


def lz4_block(data):
    out, at, end = bytearray(), 0, len(data)
    while at < end:
        token = data[at]
        literals, match = token >> 4, token & 15
        at += 1
        if literals == 15:
            literals, at = long_length(data, at, literals)
        out += data[at:at + literals]
        at += literals
        if at >= end:
            break			# the last sequence has no match
        distance = data[at] | data[at + 1] << 8
        at += 2
        if match == 15:
            match, at = long_length(data, at, match)
        match += 4
        start = len(out) - distance
        if not 0 < distance <= len(out):
            raise ValueError("LZ4: a match before the start")
        if distance >= match:
            out += out[start:start + match]
        else:				# it repeats what it makes
            seed = bytes(out[start:])
            out += (seed * (match // distance + 1))[:match]
    return bytes(out)


def lz4_legacy(data):
    out, at = [], len(LZ4_LEGACY)
    while at + 4 <= len(data):
        size = struct.unpack_from("<I", data, at)[0]
        if size == 0 or at + 4 + size > len(data):
            break			# the size of what was packed follows the last block
        out.append(lz4_block(data[at + 4:at + 4 + size]))
        at += 4 + size
        if len(out[-1]) < LZ4_BLOCK_MAX:
            break
    return b"".join(out)


UNPACKERS = (
    (LZ4_LEGACY, lz4_legacy),
    (b"\xfd7zXZ\x00", lambda data: lzma.LZMADecompressor().decompress(data)),
    (b"\x1f\x8b", lambda data: zlib.decompressobj(31).decompress(data)),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data)),
)


def payload(image):
    """The header's payload_offset (0x248, from the end of the set-up sectors) and payload_length (0x24c)."""
    if image[0x202:0x206] != b"HdrS" or struct.unpack_from("<H", image, 0x206)[0] < 0x208:
        sys.exit("unpack-kernel: no bzImage of boot protocol 2.08 or later")
    start = ((image[0x1f1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    return image[start + offset:start + offset + length]


def main(source, target):
    with open(source, "rb") as f:
        packed = payload(f.read())
    for magic, unpack in UNPACKERS:
        if packed.startswith(magic):
            kernel = unpack(packed)
            break
    else:
        sys.exit(f"unpack-kernel: a payload that starts with {packed[:6].hex()} is not known")
    if not kernel.startswith(b"\x7fELF"):
        sys.exit("unpack-kernel: what was unpacked is no ELF")
    with open(target, "wb") as f:
        f.write(kernel)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
