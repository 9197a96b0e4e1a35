#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The table of `make bench`: what exits, start-up and the program itself cost, beside what other hypervisors need and
what we allow ourselves.

Bochs with one cpu and `clock: sync=none` ticks its TSC once an instruction, so the figures repeat exactly; nothing here is a
time of this machine's. The guest tests/guests/exitcost.c measures exits from the inside; `version -v` tells what start-up
took and what of that was waiting. Exit status 1: something could not be measured. A figure over its target is marked, not
an error.

    tools/bench.py [--logs DIR]
"""
import argparse
import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from emulator import Emulator, EmulatorError  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BUILD", "build")
MEM_MIB = 512
MANIFEST = """\
[vm bench]
memory = 16M
kernel = exitcost.elf
"""
BOOT_SECONDS = 180
# Rooms of the product, the longer folder first; a file counts in the first that fits.
ROOMS = ("kernel/lib", "kernel", "acpi", "sched", "pool", "vm", "arch/x86_64", "boot")


# Rows that wait for a measurement or for what they would measure.
NOT_YET = ("guest timer latency", "preemption of one vCPU by another", "pick, charge and wake of each policy",
           "pool and VM operations", "exits on SVM", "figures in simulated time")


class BenchError(Exception):
    pass


def make(*words):
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    done = subprocess.run(["make", "-s", f"BUILD={BUILD}", *words], cwd=ROOT, env=clean, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise BenchError(f"make {' '.join(words)} failed:\n{done.stdout[-2000:]}")


# --- What can be seen without running ---------------------------------------------------------------------------------

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


def static_bytes():
    """(code and constants, initialised data, zeroed data) of the kernel as it is loaded."""
    out = subprocess.run(["size", os.path.join(BUILD, "tarn.elf")], cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(int(n) for n in out.stdout.splitlines()[1].split()[:3])


# --- What a boot tells ------------------------------------------------------------------------------------------------

def boot(logs):
    """What one boot prints, from Tarn's first line on: (all until the guest is done, answers of `version -v` and `mem`)."""
    folder = os.path.join(ROOT, BUILD, "bench")
    os.makedirs(folder, exist_ok=True)
    manifest, image = os.path.join(folder, "tarn.conf"), os.path.join(folder, "bench.img")
    with open(manifest, "w", encoding="ascii") as f:
        f.write(MANIFEST)
    make(f"{BUILD}/BOOTX64.EFI", f"{BUILD}/guests/exitcost.elf")
    make("image", f"IMAGE={image}", f"MANIFEST={manifest}", f"FILES={BUILD}/guests/exitcost.elf", "CPUS=1", "NODES=1",
         f"MEM={MEM_MIB}")
    with Emulator("bochs", image, cpus=1, nodes=1, mem=MEM_MIB, workdir=logs, timeout=2 * BOOT_SECONDS) as m:
        m.start()
        m.expect("starting the kernel", BOOT_SECONDS)
        boot_text = m.expect(re.compile(rb"exitcost: port-0x80 \d+\r?\n|vm bench: crashed[^\n]*\n"), BOOT_SECONDS)
        if b"crashed" in boot_text:
            raise BenchError("the guest crashed: " + boot_text.decode(errors="replace")[-1000:])
        answers = [ask(m, command) for command in ("console plain", "version -v", "mem")]
        m.write(b"poweroff\r")
        m.wait(20)
    return boot_text.decode(errors="replace"), answers[1], answers[2]


def ask(machine, command):
    machine.write(command.encode() + b"\r")
    return machine.expect(re.compile(rb"\r?\n(ok|error: [^\n]*)\r?\n"), 30).decode(errors="replace")


def number(pattern, text, what):
    found = re.search(pattern, text, re.M)
    if not found:
        raise BenchError(f"no figure for {what} in:\n{text[-1500:]}")
    return int(found.group(1))


def measure(logs):
    text, stats, mem = boot(logs)
    got = {name: number(rf"exitcost: {name} (\d+)", text, name)
           for name in ("first", "nop", "cpuid", "cpuid-1", "hypercall", "rdmsr", "port-0x80")}
    if got["nop"] != 1:
        raise BenchError(f"a NOP costs {got['nop']} ticks: the TSC does not count instructions here")
    for name, words in (("entry", "kernel's entry"), ("ready", "ready"), ("vm", "first VM started")):
        got[name] = number(rf"^{words} +(\d+)", stats, words)
    got["spent"] = [(m.group(1), int(m.group(2)), int(m.group(3))) for m in
                    re.finditer(r"^((?:wait|clearing)[^\n]*?) {2,}(\d+) +(\d+)\r?$", stats, re.M)]
    if len(got["spent"]) < 5:
        raise BenchError("`version -v` does not tell what start-up spent:\n" + stats)
    row = re.search(r"^ *all +(\d+) +(\d+)", mem, re.M) or re.search(r"^ *0 +(\d+) +(\d+)", mem, re.M)
    if not row:
        raise BenchError("`mem` has no row of figures:\n" + mem)
    got["used_bytes"] = (int(row.group(1)) - int(row.group(2))) * 4096
    return got


# --- The table --------------------------------------------------------------------------------------------------------

def row(what, figure, anchor="", target=None):
    over = target is not None and figure > target
    limit = f"{target:,}" if target is not None else ""
    print(f"{what:<58} {figure:>12,}  {anchor:<34} {limit:>9}{'  OVER' if over else ''}")


def heading(what):
    print(f"\n{what:<58} {'ours':>12}  {'others':<34} {'at most':>9}")


def exits(got):
    heading("instructions, VT-x on Bochs, 1 cpu: exit and back")
    row("CPUID, leaf 0", got["cpuid"], "KVM 942", 94)
    row("CPUID, leaf 1", got["cpuid-1"], "KVM 942 (leaf not told)")
    row("hypercall (VMCALL)", got["hypercall"], "KVM 951", 94)
    row("RDMSR (IA32_MISC_ENABLE)", got["rdmsr"], "KVM 1,082", 110)
    row("write to port 0x80, nothing there", got["port-0x80"], "Xen 1,092", 110)


def start_up(got):
    first = got["vm"] + got["first"]
    waits_ready = sum(at for name, at, _ in got["spent"] if name.startswith("wait"))
    waits = sum(now for name, _, now in got["spent"] if name.startswith("wait"))
    clearing = sum(now for name, _, now in got["spent"] if not name.startswith("wait"))
    heading("instructions: start-up, 1 cpu, 512 MiB, one guest of 16 MiB")
    row("kernel's entry to `tarn: ready`", got["ready"] - got["entry"])
    row("  of it waiting", waits_ready)
    row("kernel's entry to the first guest instruction", first - got["entry"])
    row("hand-off to the first guest instruction", first, "Xen 2.0 G to its dom0")
    for name, _, now in got["spent"]:
        row("  of it " + name, now)
    row("  less waits and clearing", first - waits - clearing, "", 5_000_000)


def sizes(got):
    text, data, bss = static_bytes()
    heading("bytes")
    row("BOOTX64.EFI", os.path.getsize(os.path.join(ROOT, BUILD, "BOOTX64.EFI")), "Xen 2,562,652 (1,178,795 packed)",
        400 * 1024)
    row("kernel, code and constants", text)
    row("kernel, data (initialised and zeroed)", data + bss)
    row("allocated with one 16 MiB guest, 1 cpu (without kernel)", got["used_bytes"] - (16 << 20))


def lines():
    counts = lines_by_room()
    heading("lines of code, without blank lines and comments")
    for room in sorted(counts):
        row(room, counts[room])
    row("all", sum(counts.values()), "NOVA 13,957; Jailhouse 10,800", 15_000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", metavar="DIR", help="keep the emulator's logs there")
    options = parser.parse_args()
    os.chdir(ROOT)
    got = measure(options.logs)
    exits(got)
    start_up(got)
    sizes(got)
    lines()
    print("\nNot measured yet: " + "; ".join(NOT_YET) + ".")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, EmulatorError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")
