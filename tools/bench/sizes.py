# SPDX-License-Identifier: BSD-2-Clause
"""Bytes of the program and of what it allocates, lines of code."""
import glob
import os
import re
import subprocess

from common import BOOT_SECONDS, BUILD, ROOT, Emulator, ask, heading, image, row, wait_for
from guests import used_bytes

# Rooms of the product, the longer folder first; a file counts in the first that fits.
ROOMS = ("kernel/lib", "kernel", "acpi", "sched", "pool", "vm", "arch/x86_64", "boot")


def code_lines(text, is_asm):
    """Lines that hold something beside blanks and comments."""
    if is_asm:
        text = re.sub(r";[^\n]*", "", text)
    else:
        # Strings are matched too, so that a comment sign inside one is none.
        text = re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*',
                      lambda m: m.group(0) if m.group(0)[0] == '"' else "\n" * m.group(0).count("\n"), text, flags=re.S)
    return sum(1 for line in text.splitlines() if line.strip())


def lines_by_room():
    counts = dict.fromkeys(ROOMS, 0)
    for path in sorted(glob.glob(os.path.join(ROOT, "**", "*.*"), recursive=True)):
        name = os.path.relpath(path, ROOT)
        if os.path.splitext(name)[1] not in (".c", ".h", ".asm"):
            continue
        room = next((r for r in ROOMS if name.startswith(r + "/")), None)
        if room:
            with open(path, encoding="utf-8") as f:
                counts[room] += code_lines(f.read(), name.endswith(".asm"))
    return counts


def program():
    """(bytes of BOOTX64.EFI, the kernel's code and constants, its data initialised or zeroed)."""
    out = subprocess.run(["size", os.path.join(BUILD, "tarn.elf")], cwd=ROOT, capture_output=True, text=True, check=True)
    text, data, bss = (int(n) for n in out.stdout.splitlines()[1].split()[:3])
    return os.path.getsize(os.path.join(ROOT, BUILD, "BOOTX64.EFI")), text, data + bss


def idle_bytes(logs):
    """What 4 cpus and 4 GiB take without guests, beside the kernel itself. QEMU: a boot, and no VT-x needed."""
    path = image("empty", "", [], 4, 4096)
    with Emulator("qemu", path, cpus=4, nodes=1, mem=4096, workdir=logs, timeout=BOOT_SECONDS) as m:
        m.start()
        wait_for(m, rb"tarn: ready[^\n]*\n", BOOT_SECONDS)
        return used_bytes(ask(m, "mem"))


def measure(logs):
    efi, text, data = program()
    return {"efi": efi, "text": text, "data": data, "idle": idle_bytes(logs), "lines": lines_by_room()}


def show(got):
    heading("bytes")
    row("BOOTX64.EFI", got["efi"], "Xen 2,562,652 (1,178,795 packed)", 400 * 1024)
    row("kernel, code and constants", got["text"])
    row("kernel, data (initialised and zeroed)", got["data"])
    row("in use beside guests and their files, 4 cpus, 4 GiB", got["idle"] + got["text"] + got["data"], "Xen 43 MB", 4 << 20)
    heading("lines of code, without blank lines and comments")
    for room in sorted(got["lines"]):
        row(room, got["lines"][room])
    row("all", sum(got["lines"].values()), "NOVA 13,957; Jailhouse 10,800", 15_000)
