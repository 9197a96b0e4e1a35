# SPDX-License-Identifier: BSD-2-Clause
"""What a stanza of the list is: a machine to boot once, and the tests that run on it one after the other."""

import glob
import importlib
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", "build")


class Machine:
    """
    name		how it is called in the output and what its log folder is called after
    emulator		"qemu" or "bochs"; model: the emulator's cpu model (None: its default)
    cpus, nodes, mem	what it has (mem in MiB); ips: Bochs' instructions a second
    manifest		text of tarn.conf (None: an image without one); manifest_bad: it has errors, on purpose
    files		guests' files: paths under build/, put into \\tarn\\ by their base names
    program		another UEFI program under build/, started in Tarn's place; it starts Tarn, which is then among the files
    acpi		folder of tables that replace the machine's, or None; where it is absent its tests are skipped
    vtx			the tests start guests, so the machine must have VT-x
    extra		more arguments for QEMU, or lines for bochsrc
    slow		only with SLOW=1: it takes minutes
    boot_seconds	how long `tarn: ready` may take
    """

    every = []

    def __init__(self, name, *, emulator, cpus=1, nodes=1, mem=512, manifest="", manifest_bad=False, files=(),
                 program=None, acpi=None, model=None, ips=None, vtx=False, boot_seconds=None, slow=False, extra=()):
        self.name = name
        self.emulator = emulator
        self.cpus = cpus
        self.nodes = nodes
        self.mem = mem
        self.manifest = manifest
        self.manifest_bad = manifest_bad
        self.files = list(files)
        self.program = program
        self.acpi = acpi
        self.model = model
        self.ips = ips
        self.vtx = vtx
        self.slow = slow
        self.extra = list(extra) or None
        self.boot_seconds = boot_seconds or (60 if emulator == "qemu" else 120)
        self.tests = []
        Machine.every.append(self)

    def test(self, sentence):
        """Decorator: the function gets a Run (below). Tests of a machine run in the order of the list."""
        def add(function):
            self.tests.append((sentence, function))
            return function
        return add

    def skip_reason(self):
        if self.acpi and not os.path.isdir(os.path.join(ROOT, self.acpi)):
            return f"no {self.acpi} here"
        return None

    def folder(self):
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def machines_all():
    """Every machine of list*.py and attacks.py."""
    lists = glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "list*.py"))
    for path in ["attacks.py", *sorted(lists)]:
        importlib.import_module(os.path.basename(path)[:-3])
    return Machine.every


class Run:
    """A booted machine, as a test sees it: `figures` of the ready line, `sh` its shell, `console` under it."""

    def __init__(self, machine, console, shell, emulator, image):
        self.machine = machine
        self.console = console
        self.sh = shell
        self.emulator = emulator
        self.image = image
        self.figures = {}
