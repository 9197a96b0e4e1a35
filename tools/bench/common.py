# SPDX-License-Identifier: BSD-2-Clause
"""What the parts of `make bench` share: building, booting, asking, and printing a table."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
BUILD = os.environ.get("BUILD", "build")
BOOT_SECONDS = 180

from emulator import Emulator, EmulatorError  # noqa: E402,F401  (for the other parts)


class BenchError(Exception):
    pass


# --- Building and booting ---------------------------------------------------------------------------------------------

def make(*words):
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    done = subprocess.run(["make", "-s", f"BUILD={BUILD}", *words], cwd=ROOT, env=clean, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise BenchError(f"make {' '.join(words)} failed:\n{done.stdout[-2000:]}")


def image(name, manifest, files, cpus, mem):
    """An image of that manifest and those files of the build folder: its path."""
    folder = os.path.join(ROOT, BUILD, "bench")
    os.makedirs(folder, exist_ok=True)
    conf, path = os.path.join(folder, name + ".conf"), os.path.join(folder, name + ".img")
    with open(conf, "w", encoding="ascii") as f:
        f.write(manifest)
    files = [f"{BUILD}/{x}" for x in files]
    make(f"{BUILD}/BOOTX64.EFI", *files)
    make("image", f"IMAGE={path}", f"MANIFEST={conf}", f"FILES={' '.join(files)}", f"CPUS={cpus}", "NODES=1", f"MEM={mem}")
    return path


def ask(machine, command):
    """A command's answer, up to its last line."""
    machine.write(command.encode() + b"\r")
    return machine.expect(re.compile(rb"\r?\n(ok|error: [^\n]*)\r?\n"), 60).decode(errors="replace")


def wait_for(machine, pattern, seconds):
    """All up to what matches; a guest that crashed is an error."""
    text = machine.expect(re.compile(pattern + rb"|vm \S+: crashed[^\n]*\n"), seconds).decode(errors="replace")
    if re.search(r"vm \S+: crashed", text):
        raise BenchError("the guest crashed: " + text[-1000:])
    return text


def number(pattern, text, what):
    found = re.search(pattern, text, re.M)
    if not found:
        raise BenchError(f"no figure for {what} in:\n{text[-1500:]}")
    return int(found.group(1))


# --- The table --------------------------------------------------------------------------------------------------------

def heading(what, columns=("ours",)):
    print(f"\n{what:<58}" + "".join(f" {c:>12}" for c in columns) + f"  {'others':<34} {'at most':>9}")


def row(what, figures, anchor="", target=None):
    """figures: one, or one a column; the target is for the first. None: not there."""
    figures = figures if isinstance(figures, (list, tuple)) else [figures]
    cells = "".join(f" {'-' if f is None else format(f, ','):>12}" for f in figures)
    over = target is not None and figures[0] is not None and figures[0] > target
    limit = f"{target:,}" if target is not None else ""
    print(f"{what:<58}{cells}  {anchor:<34} {limit:>9}{'  OVER' if over else ''}".rstrip())
