# SPDX-License-Identifier: BSD-2-Clause
"""What can be seen without running: bytes of the program, lines of code."""
import glob
import os
import re
import subprocess

from common import BUILD, ROOT

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
