# SPDX-License-Identifier: BSD-2-Clause
"""What the hypervisor executes while Linux boots, and what memory a VM takes.

Bochs' own debugger stops at every VM exit, at VMRESUME and VMLAUNCH, and on both sides of the hypervisor's HLT, and tells the
tick of each stop; with one cpu a tick is an instruction. So nothing in the product counts, and nothing is estimated.
"""
import re
import subprocess

from common import BUILD, ROOT, BenchError, Emulator, ask, heading, image, number, row, wait_for
from guests import used_bytes

MEM_MIB = 512
MANIFEST = """\
[vm linux]
memory = 256M
kernel = vmlinuz
initrd = initrd.gz
cmdline = "console=ttyS0 quiet cryptomgr.notests tarn.run=true"
"""
LINUX_SECONDS = 400
STOPS_MAX = 1_000_000		# in the debugger's script: a `c` each


class Debugged(Emulator):
    """Bochs with a script for its debugger."""
    script = ""

    def _bochs(self, line):
        command = super()._bochs(line)
        with open(f"{self.workdir}/dbg.rc", "w", encoding="ascii") as f:
            f.write(self.script)
        return command


def stops():
    """{address: what happens there}, from the kernel's code."""
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", f"{BUILD}/tarn.elf"], cwd=ROOT, capture_output=True, text=True,
                         check=True).stdout
    found, function, halted = {}, "", False
    for line in out.splitlines():
        label = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if label:
            function = label.group(1)
        insn = re.match(r"\s*([0-9a-f]+):\s+(\w+)", line)
        if not insn:
            continue
        at, name = int(insn.group(1), 16), insn.group(2)
        if name in ("vmresume", "vmlaunch"):
            found[at] = "entry"
        elif function == "arch_idle" and name == "hlt":
            found[at] = "halt"
        elif halted:
            found[at] = "woken"
        halted = found.get(at) == "halt"
    if sorted(found.values()) != ["entry", "entry", "halt", "woken"]:
        raise BenchError(f"the kernel's entries and halts are not where they were: {found}")
    return found


def trace(path, places):
    """[(tick, kind)] of the debugger's output. Kinds: entry, exit, halt, woken."""
    events, tick = [], None
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith("Next at t="):
                tick = int(line[10:])
            elif tick is not None and line.startswith("(0) ["):
                at = int(re.search(r"\] [0-9a-f]{4}:([0-9a-f]{16}) ", line).group(1), 16) if "] 0008:" in line else 0
                events.append((tick, places.get(at, "exit")))
                tick = None
    return events


def account(events):
    """Instructions of the guest, of the hypervisor, and halted ticks, from the first entry to the last exit."""
    sums, inside, last = {"guest": 0, "host": 0, "halt": 0}, None, None
    for tick, kind in events:
        if inside == "guest" and kind != "exit":
            continue		# the guest has code at that address too
        if last is not None:
            sums[inside] += tick - last
        elif kind != "entry":
            continue
        inside, last = {"entry": "guest", "halt": "halt"}.get(kind, "host"), tick
    return sums


def measure(logs):
    path = image("linux", MANIFEST, ["guest/vmlinuz", "guest/initrd.gz"], 1, MEM_MIB)
    places = stops()
    with Debugged("bochs", path, cpus=1, nodes=1, mem=MEM_MIB, workdir=logs, timeout=LINUX_SECONDS) as m:
        m.script = "vmexitbp\n" + "".join(f"lb {at:#x}\n" for at in places) + "c\n" * STOPS_MAX
        m.start()
        text = wait_for(m, rb"vm linux: stopped[^\n]*\n", LINUX_SECONDS)
        if "tarn-guest: linux ready" not in text:
            raise BenchError("Linux did not boot to its shell:\n" + text[-2000:])
        ask(m, "console plain")
        stats = ask(m, "stats linux")
        vcpu_bytes = memory(m)
        m.kill()
        events = trace(f"{m.workdir}/out.txt", places)
    # The last exit is the one that turned the VM off; what comes after is not the boot.
    end = max(i for i, (_, kind) in enumerate(events) if kind == "exit")
    got = account(events[:end + 1])
    got["exits"] = [(m.group(1), int(m.group(2))) for m in re.finditer(r"exits: (.*?) +(\d+)\r?$", stats, re.M)]
    got["interrupts"] = number(r"^linux(?: +\d+){5} +(\d+)", stats, "interrupts")
    got["vcpu_bytes"] = vcpu_bytes
    return got


def memory(m):
    """What a vCPU adds, by `mem` before and after."""
    ask(m, "vm destroy linux")
    created = []
    for vcpus in (1, 9):
        answer = ask(m, f"vm create probe memory=16M vcpus={vcpus} kernel=vmlinuz initrd=initrd.gz")
        if "error:" in answer:
            raise BenchError(answer)
        created.append(used_bytes(ask(m, "mem")))
        ask(m, "vm destroy probe")
    return (created[1] - created[0]) // 8


def show(got):
    heading("Linux, 1 vCPU, from its first instruction to its shell and off")
    row("instructions of the guest", got["guest"])
    row("instructions of the hypervisor", got["host"])
    row("  in hundredths of a per cent of the guest's", round(10_000 * got["host"] / got["guest"]), "", 300)
    row("ticks halted", got["halt"])
    for words, count in sorted(got["exits"], key=lambda x: -x[1]):
        row("exits: " + words, count)
    row("interrupts injected", got["interrupts"])
    heading("bytes of that VM")
    row("a vCPU of it", got["vcpu_bytes"])
