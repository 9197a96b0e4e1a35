#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""tools/image.py and the keys of tools/run.py."""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from emulator import split  # noqa: E402
from run import Keys  # noqa: E402

os.environ["PATH"] += ":/usr/sbin:/sbin"
os.environ["MTOOLS_SKIP_CHECK"] = "1"
PARTITION = "@@1M"


def call(*command):
    return subprocess.run(command, capture_output=True, text=True, errors="replace")


def image(folder, *words):
    out = os.path.join(folder, "t.img")
    return out, call(os.path.join(ROOT, "tools", "image.py"), out, *words)


def listing(path):
    return set(call("mdir", "-/", "-b", "-i", path + PARTITION, "::").stdout.split())


def write(folder, name, data):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    return path


def contents(folder):
    tarn, front = write(folder, "t.efi", b"tarn"), write(folder, "f.efi", b"front")
    table = write(folder, "acpi/APIC.dat", b"APIC")
    write(folder, "acpi/SOURCE", b"not a table")
    write(folder, "base/FACP.dat", b"FACP")
    out, done = image(folder, "--tarn", tarn, "--front", front, "--manifest", write(folder, "m", b"[boot]"), "--file",
                      write(folder, "vmlinuz", bytes(5_000_000)), "--acpi", os.path.dirname(table), "--replace", "--base",
                      os.path.join(folder, "base"))
    files = {p for p in listing(out) if not p.endswith("/")}
    want = {"::/EFI/BOOT/BOOTX64.EFI", "::/EFI/tarn/TARN.EFI", "::/tarn/tarn.conf", "::/tarn/vmlinuz",
            "::/tarn/acpi/APIC.dat", "::/tarn/acpi/REPLACE", "::/tarn/acpi/base/FACP.dat"}
    boot = call("mtype", "-i", out + PARTITION, "::/EFI/BOOT/BOOTX64.EFI").stdout
    return done.returncode == 0 and files == want and boot == "front", (done.stderr, files, boot)


def stick(folder):
    out, done = image(folder, "--tarn", write(folder, "t.efi", b"tarn"))
    boot = call("mtype", "-i", out + PARTITION, "::/EFI/BOOT/BOOTX64.EFI").stdout
    files = {p for p in listing(out) if not p.endswith("/")}
    return boot == "tarn" and files == {"::/EFI/BOOT/BOOTX64.EFI"}, (done.stderr, files, boot)


def partition_table(folder):
    out, _ = image(folder, "--tarn", write(folder, "t.efi", b"tarn"))
    verify, info = call("sgdisk", "--verify", out).stdout, call("sgdisk", "--info=1", out).stdout
    with open(out, "rb") as f:
        f.seek(1 << 20)
        fat = f.read(512)
    good = "No problems found" in verify and "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" in info and fat[82:90] == b"FAT32   "
    return good and os.path.getsize(out) == 64 << 20, (verify, info, fat[82:90])


def large(folder):
    big = os.path.join(folder, "big")
    with open(big, "wb") as f:
        f.truncate(300 << 20)
    out, done = image(folder, "--tarn", write(folder, "t.efi", b"tarn"), "--file", big)
    listed = call("mdir", "-i", out + PARTITION, "::/tarn/big").stdout
    return done.returncode == 0 and re.search(r"314572800|314 572 800", listed), (done.stderr, listed)


def collision(folder):
    tarn, a, b = write(folder, "t.efi", b"t"), write(folder, "a/x", b"1"), write(folder, "b/X", b"2")
    out, done = image(folder, "--tarn", tarn, "--file", a, "--file", b)
    return done.returncode != 0 and "both to be" in done.stderr and not os.path.exists(out), done.stderr


def missing(folder):
    out, done = image(folder, "--tarn", os.path.join(folder, "none"))
    return done.returncode != 0 and "none: no such file" in done.stderr and not os.path.exists(out), done.stderr


def usb_refuses(folder):
    usb = os.path.join(ROOT, "tools", "usb.sh")
    plain = write(folder, "disk", bytes(512))
    mine = [call(usb, dev, plain) for dev in (plain, "/dev/null", "", os.path.join(folder, "none"))]
    return all(d.returncode == 1 and "usb: " in d.stderr for d in mine), [d.stderr for d in mine]


def keys(_):
    k = Keys()
    first = k.feed(b"ab\x03\x01\x01c\x01y") + k.feed(b"d\x01")
    before = k.ended
    second = k.feed(b"xlost")
    return (first, before, second, k.ended) == (b"ab\x03\x01cd", False, b"", True), (first, before, second, k.ended)


def splitting(_):
    got = [split(4, 2), split(5, 3), split(1, 2)]
    return got == [[(0, 2), (2, 2)], [(0, 2), (2, 2), (4, 1)], [(0, 1), (1, 0)]], got


TESTS = [
    ("an image holds the front program, Tarn, manifest, files and tables, and nothing else", contents),
    ("an image for a stick starts Tarn itself", stick),
    ("an image is a valid GPT with one FAT32 EFI system partition, 64 MiB at least", partition_table),
    ("an image grows with its files", large),
    ("two files of one name are refused", collision),
    ("a missing file is refused and leaves no image", missing),
    ("what is no block device is never written to", usb_refuses),
    ("Ctrl-A X ends a run, Ctrl-A Ctrl-A is a Ctrl-A, all else goes to the machine", keys),
    ("cpus and memory are spread over nodes without losing any", splitting),
]


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    passed = failed = 0
    for sentence, run in TESTS:
        if only not in sentence:
            continue
        with tempfile.TemporaryDirectory() as folder:
            good, saw = run(folder)
        passed, failed = passed + bool(good), failed + (not good)
        print(f"ok   {sentence}" if good else f"FAIL {sentence}\n  saw {saw!r}")
    print(f"test_image: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
