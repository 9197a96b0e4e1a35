#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Boots the loader with a tiny kernel (tests/boot/kernel.c) that checks boot_info and its first page tables."""
import os
import random
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", "build")
sys.path.insert(0, os.path.join(ROOT, "tools"))
from emulator import Emulator, EmulatorError  # noqa: E402

CONF = "[boot]\nfiles = a.bin missing.bin\n[vm x]\nkernel = b.bin\nmemory = 64M\n"
A_BYTES, B_BYTES = 1_500_001, 4096
BOOT_SECONDS = 120


class Failure(Exception):
    pass


def check(good, why):
    if not good:
        raise Failure(why)


def checksum(data):
    total = 0
    for byte in data:
        total = (total * 31 + byte) & 0xffffffff
    return total


def make_image(folder, name, *words):
    image = os.path.join(folder, name)
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    done = subprocess.run(["make", "-s", "image", f"BUILD={BUILD}", f"IMAGE={image}",
                           f"IMAGE_TARN={BUILD}/BOOTTEST.EFI", *words],
                          cwd=ROOT, env=clean, capture_output=True, text=True)
    check(done.returncode == 0, f"make image failed: {(done.stdout + done.stderr)[-1000:]}")
    return image


def boot(image, kind, end=rb"boottest: \d+ passed, \d+ failed", **options):
    """What came over the serial line up to the end marker."""
    with Emulator(kind, image, timeout=BOOT_SECONDS + 30, **options) as m:
        m.start()
        try:
            return m.expect(re.compile(end), BOOT_SECONDS).decode(errors="replace").replace("\r", "")
        except EmulatorError as e:
            raise Failure(str(e)) from None


def check_all_passed(text):
    wrong = [line for line in text.splitlines() if line.startswith("FAIL")]
    check(not wrong and re.search(r"boottest: (2[5-9]|[3-9]\d) passed, 0 failed", text), f"{wrong}; {text[-300:]}")


def with_files(folder):
    """An image with a manifest and two files; what their checksums are."""
    a, b = random.Random(1).randbytes(A_BYTES), bytes(B_BYTES - 1) + b"x"
    for name, data in (("a.bin", a), ("b.bin", b), ("tarn.conf", CONF.encode())):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
    image = make_image(folder, "files.img", f"MANIFEST={folder}/tarn.conf", f"FILES={folder}/a.bin {folder}/b.bin")
    return image, {"a.bin": (len(a), checksum(a)), "b.bin": (len(b), checksum(b))}


def files_qemu(folder):
    image, files = with_files(folder)
    text = boot(image, "qemu", cpus=4, nodes=3, mem=6000)
    check_all_passed(text)
    for name, (size, total) in files.items():
        check(f"file {name} {size} bytes, sum {total:08x}\n" in text, f"{name} is not as it was: {text[-1500:]}")
    check("missing.bin          left out: not found" in text, "the missing file is not reported")
    check("front:" not in text, "the front program changed tables that the firmware has")
    check("mem    100000000" in text and "direct map 8192 MiB" in text, "RAM above 4 GiB is not in the direct map")


def replace_qemu(folder):
    image = make_image(folder, "replace.img", "ACPI=tests/acpi/own-2s-smt")
    text = boot(image, "qemu", cpus=2, nodes=1, mem=256)
    check_all_passed(text)
    check("front: FACP not taken" in text and "ACPI tables installed: ok" in text, text[:1000])


def generated_bochs(folder):
    image = make_image(folder, "bochs.img")
    text = boot(image, "bochs", cpus=2, mem=512, ips=50_000_000)
    check_all_passed(text)
    check("front: 5 ACPI tables installed: ok" in text, text[:1000])


def no_nx(folder):
    image = make_image(folder, "nx.img")
    text = boot(image, "qemu", end=rb"goes back to the firmware", cpus=1, nodes=1, mem=256, model="max,-nx")
    check("tarn: this cpu has no execute-disable bit" in text and "boottest" not in text, text[-500:])


TESTS = [
    ("QEMU: the kernel is handed all that boot_info.h promises, files unharmed, RAM above 4 GiB too", files_qemu),
    ("QEMU: tables of another machine replace the firmware's, but for FACP", replace_qemu),
    ("Bochs: generated tables stand in where the firmware has none", generated_bochs),
    ("QEMU: a cpu without execute-disable is refused with the reason", no_nx),
]


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    passed = failed = 0
    for sentence, run in TESTS:
        if only not in sentence:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                run(folder)
                passed += 1
                print(f"ok   {sentence}", flush=True)
            except Failure as e:
                failed += 1
                print(f"FAIL {sentence}\n  {e}", flush=True)
    print(f"handoff: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
