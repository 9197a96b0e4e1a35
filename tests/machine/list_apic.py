# SPDX-License-Identifier: BSD-2-Clause
"""The machine tests of interrupts, time and nodes on Bochs; local APICs by the cpu, in software."""

import re

from console import check
from machine import Machine
from steps import as_json, attach, vm_state

# Without mitigations: on a cpu with CVE-2018-12207 the first fetch from each 2 MiB is a memory access too.
CONF = """\
[boot]
mitigations = off
[pool rt]
sched = null
cpus  = 2
[vm apic]
memory = 16M
kernel = apic.elf
autostart = no
[vm timers]
memory = 16M
kernel = timers.elf
autostart = no
pool = rt
[vm halt]
memory = 16M
kernel = timers.elf
cmdline = halt
autostart = no
[vm linux]
vcpus = {vcpus}
memory = 128M
kernel = vmlinuz
initrd = initrd.gz
cmdline = "console=ttyS0 quiet"
autostart = no
"""


def total(r, vm):
    """Of all vCPUs of a VM: interrupts, EOIs that exited, exits by kind."""
    (found,) = as_json(r, f"stats {vm}")["vms"]
    sums = {}
    for one in found["vcpus"]:
        for key, n in {**one, **one["exits"]}.items():
            sums[key] = sums.get(key, 0) + (n if isinstance(n, int) else 0)
    return sums


def both(name, model, by_cpu):
    where = model
    # With virtualized APICs Bochs breaks systems of several vCPUs (emulator.py).
    vcpus = 1 if by_cpu else 2
    m = Machine(name, emulator="bochs", model=model, ips=100_000_000, cpus=3, nodes=1, mem=512,
                vtx=True, manifest=CONF.replace("{vcpus}", str(vcpus)),
                files=["guests/apic.elf", "guests/timers.elf", "guest/vmlinuz", "guest/initrd.gz"])
    by = "by the cpu" if by_cpu else "in software"

    @m.test(f"`version -v` says that local APICs are {by} on {where}")
    def _(r):
        r.sh.cmd_has("version -v", r"guests' local APICs " + by)

    @m.test("IPIs, TPR, CR8 and EOI work in both modes, "
            f"{'and EOI never exits' if by_cpu else 'by exits'}: {where}")
    def _(r):
        r.sh.cmd("vm start apic")
        r.sh.until("vm list", vm_state("apic", "stopped", "exited with code 0"), 60)
        r.sh.attach("apic")
        r.console.expect(r"attack apic: done, \d{4,} checks, 0 wrong", 10)
        r.sh.detach()
        sums = total(r, "apic")
        if by_cpu:
            # The xAPIC's PPR is the one register it reads that is not virtualized (SDM 3C 29.4.2).
            check(sums["eoi_exits"] == 0 and "control register" not in sums, f"exits: {sums}")
            check(sums["memory access"] == 2000, f"exits: {sums}")
            check(sums["wrmsr"] + sums["rdmsr"] + sums["apic write"] < 20, f"exits: {sums}")
        else:
            check(sums["interrupts"] == sums["eoi_exits"] == 4000, f"exits: {sums}")
            check(sums["control register"] == 8000, f"exits: {sums}")

    @m.test("no timer's handler runs early, nor late by more than an exit, though the guest exits "
            f"all the time: {where}")
    def _(r):
        r.sh.cmd("vm start timers")
        r.sh.until("vm list", vm_state("timers", "stopped", "exited with code"), 60)
        r.sh.attach("timers")
        r.console.read(0.5)
        said = r.sh.detach()
        check(re.search(r"attack timers: done, \d{3,} checks, 0 wrong", said), said)
        late = re.findall(r"timers: (\S+) late at most (\d+), exiting (\d+)", said)
        check(len(late) == 4, said)
        # In instructions: an exit under way, the timer's own, and what the writing instruction took.
        for name, alone, storm in late:
            check(int(alone) < 4000 and int(storm) < 8000,
                  f"{name} was {alone} ticks late alone, {storm} in the storm")

    @m.test(f"a second of HLTs costs no cpu: {where}")
    def _(r):
        r.sh.cmd("vm start halt")
        r.sh.until("vm list", vm_state("halt", "stopped", "exited with code 0"), 60)
        sums = total(r, "halt")
        check(sums["blocked_ns"] > 900_000_000, f"blocked and ran: {sums}")
        check(sums["run_ns"] < 20_000_000, f"blocked and ran: {sums}")

    @m.test(f"Linux with {vcpus} vCPUs boots and uses all of them, "
            f"{'without' if by_cpu else 'with'} an exit for each EOI: {where}")
    def _(r):
        r.sh.cmd("vm start linux")
        attach(r, "linux", r"linux:\S+# $", 200)
        r.console.type("nproc; grep -E 'LOC|RES|CAL' /proc/interrupts\r")
        r.console.expect(rf"\n{vcpus}\n", 30)
        r.console.expect(r"LOC:" + r" +[1-9]\d*" * vcpus, 30)
        r.sh.detach()
        sums = total(r, "linux")
        check(sums["interrupts"] > 100, f"interrupts: {sums}")
        if by_cpu:
            # The I/O APIC's level-triggered lines must be heard of; edges and the timer need not.
            check(sums["eoi_exits"] == sums.get("apic eoi", 0) <= sums["interrupts"] / 10,
                  f"exits: {sums}")
        else:
            check(sums["eoi_exits"] > sums["interrupts"] / 2, f"exits: {sums}")


NODES_CONF = """\
[vm wide]
vcpus = 2
memory = 256M
kernel = vmlinuz
initrd = initrd.gz
cmdline = "console=ttyS0 quiet"
"""

nodes = Machine("Bochs with a guest over two nodes", emulator="bochs", ips=100_000_000, cpus=2,
                nodes=2, mem=1024, vtx=True, manifest=NODES_CONF, files=["guest/vmlinuz", "guest/initrd.gz"])


@nodes.test("a guest over two nodes is told of them: each has a vCPU, half its memory, a distance")
def _(r):
    attach(r, "wide", r"linux:\S+# $", 200)
    r.console.type("cd /sys/devices/system/node; cat online node*/cpulist node*/distance; "
                   "grep MemTotal node*/meminfo; cd /\r")
    said = r.console.expect(r"(?s)\n0-1\n0\n1\n10 (\d+)\n\1 10\n.*Node 0 MemTotal: +(\d+) kB\n"
                            r".*Node 1 MemTotal: +(\d+) kB\n", 60)
    r.sh.detach()
    check(int(said.group(1)) > 10, said.group(0))
    for kib in said.groups()[1:]:
        check(60_000 < int(kib) <= 131_072, said.group(0))


both("Bochs with local APICs by the cpu", "corei7_skylake_x", True)
both("Bochs with local APICs in software", "corei3_cnl", False)
