# SPDX-License-Identifier: BSD-2-Clause
"""What tests/guests/exitcost.c and latency.c measure from the inside, and what start-up took.

Bochs with one cpu and `clock: sync=none` ticks its TSC once an instruction, so the figures repeat exactly. One boot for each
column of the table: with APIC virtualization and without, and with the measures against speculation off
(as others' figures are) and on.
"""
import re

from common import BOOT_SECONDS, BenchError, Emulator, ask, heading, image, number, row, wait_for

MEM_MIB = 512
MANIFEST = """\
[boot]
mitigations = {mitigations}
default-sched = rr
run = pool set pool0 timeslice=100us
[vm bench]
memory = 16M
kernel = exitcost.elf
[vm latency]
memory = 16M
vcpus = 2
kernel = latency.elf
autostart = no
"""
# (heading, mitigations, Bochs' model): the first one is what targets are for.
COLUMNS = (("vAPIC", "off", "corei7_skylake_x"), ("vAPIC, mit.", "auto", "corei7_skylake_x"),
           ("no vAPIC", "off", "corei3_cnl"), ("no vAPIC, mit.", "auto", "corei3_cnl"))
# What exitcost prints: (name, words, others, at most).
EXITS = (("cpuid", "CPUID, leaf 0", "KVM 942", 94), ("cpuid-1", "CPUID, leaf 1", "KVM 942 (leaf not told)", None),
         ("hypercall", "hypercall (VMCALL)", "KVM 951", 94), ("rdmsr", "RDMSR (IA32_MISC_ENABLE)", "KVM 1,082", 110),
         ("port-0x80", "write to port 0x80, nothing there", "Xen 1,092", 110),
         ("tpr-read", "xAPIC: TPR read", "", None), ("eoi", "xAPIC: end of interrupt", "", None),
         ("tmict", "xAPIC: timer's initial count", "", None), ("deadline", "xAPIC: TSC_DEADLINE", "", None),
         ("x2-tpr-read", "x2APIC: TPR read", "", None), ("x2-eoi", "x2APIC: end of interrupt", "", None),
         ("x2-tmict", "x2APIC: timer's initial count", "", None), ("x2-deadline", "x2APIC: TSC_DEADLINE", "", None))
LATENCIES = (("timer-running", "guest timer: deadline to handler, vCPU running", "Xen 2,754", 300),
             ("timer-halted", "guest timer: deadline to handler, vCPU halted", "Xen 5,562", 550),
             ("preempt", "two busy vCPUs on one cpu: one's last to the other's first", "Xen 4,890 / 3,800-5,042", 500),
             ("ipi-wake", "IPI to a halted vCPU, sender halts: send to handler", "", None))


def measure(logs):
    """A dict a column."""
    return [boot(*column, logs) for column in COLUMNS]


def boot(_, mitigations, model, logs):
    path = image("guests", MANIFEST.format(mitigations=mitigations), ["guests/exitcost.elf", "guests/latency.elf"], 1, MEM_MIB)
    with Emulator("bochs", path, cpus=1, nodes=1, mem=MEM_MIB, model=model, workdir=logs, timeout=2 * BOOT_SECONDS) as m:
        m.start()
        m.expect("starting the kernel", BOOT_SECONDS)
        text = wait_for(m, rb"exitcost: x2-deadline \d+\r?\n", BOOT_SECONDS)
        start, vm_bytes = ask(m, "version -v"), memory(m)
        m.write(b"vm start latency\r")
        text += wait_for(m, rb"latency: ipi-wake \d+[^\n]*\n", BOOT_SECONDS)
        m.write(b"poweroff\r")
        m.wait(20)
    return figures(text, start) | {"vm_bytes": vm_bytes}


def memory(m):
    """What a VM of 256 MiB takes beside its RAM, scrollback included, by `mem` before and after."""
    before = used_bytes(ask(m, "mem"))
    answer = ask(m, "vm create probe memory=256M kernel=exitcost.elf")
    if "error:" in answer:
        raise BenchError(answer)
    took = used_bytes(ask(m, "mem")) - before - (256 << 20)
    ask(m, "vm destroy probe")
    return took


def figures(text, start):
    names = ["first", "nop"] + [name for name, *_ in EXITS]
    got = {name: number(rf"exitcost: {name} (\d+)", text, name) for name in names}
    got.update((name, number(rf"latency: {name} (\d+)", text, name)) for name, *_ in LATENCIES)
    if got["nop"] != 1:
        raise BenchError(f"a NOP costs {got['nop']} ticks: the TSC does not count instructions here")
    for name, words in (("entry", "kernel's entry"), ("ready", "ready"), ("vm", "first VM started")):
        got[name] = number(rf"^{words} +(\d+)", start, words)
    got["spent"] = [(m.group(1), int(m.group(2)), int(m.group(3))) for m in
                    re.finditer(r"^((?:wait|clearing)[^\n]*?) {2,}(\d+) +(\d+)\r?$", start, re.M)]
    if len(got["spent"]) < 5:
        raise BenchError("`version -v` does not tell what start-up spent:\n" + start)
    return got


def used_bytes(mem):
    """Of the answer to `mem`, all nodes."""
    found = re.search(r"^ *all +(\d+) +(\d+)", mem, re.M) or re.search(r"^ *0 +(\d+) +(\d+)", mem, re.M)
    if not found:
        raise BenchError("`mem` has no row of figures:\n" + mem)
    return (int(found.group(1)) - int(found.group(2))) * 4096


def show(columns):
    heading("instructions, VT-x on Bochs, 1 cpu: exit and back", [c[0] for c in COLUMNS])
    for name, words, anchor, target in EXITS:
        row(words, [c[name] for c in columns], anchor, target)
    heading("instructions, the same: how late (rr), median of 101", [c[0] for c in COLUMNS])
    for name, words, anchor, target in LATENCIES:
        row(words, [c[name] for c in columns], anchor, target)
    heading("bytes of a VM of 1 vCPU; some cpus' mitigations need small pages", [c[0] for c in COLUMNS])
    row("beside its RAM of 256 MiB", [c["vm_bytes"] for c in columns], "Xen 1.25 MB", 160 * 1024)
    start_up(columns[0])


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
