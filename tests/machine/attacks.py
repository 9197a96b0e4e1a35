# SPDX-License-Identifier: BSD-2-Clause
"""The machine tests of hostile guests: docs/attacks.md says what each tries and what must come of it."""

import re

from console import check
from list import running, vm_state
from machine import Machine

FAMILIES = ("ports", "msrs", "insns", "regs", "apic", "mmio")

CONF = """\
[pool far]
sched = null
cpus  = 1
[pool near]
sched     = rr
timeslice = 5ms
cpus      = 2
[vm neighbour]
pool   = far
memory = 8M
kernel = counter.elf
[vm mate]
pool   = near
memory = 8M
kernel = counter.elf
"""

for family in FAMILIES:
    CONF += f"[vm {family}]\npool = near\nmemory = 8M\nkernel = attack_{family}.elf\nautostart = no\ncmdline = seed=1\n"

attacks = Machine("Bochs with hostile guests", emulator="bochs", ips=20_000_000, cpus=3, nodes=1, mem=1024, vtx=True,
                  manifest=CONF, files=["guests/counter.elf"] + [f"guests/attack_{f}.elf" for f in FAMILIES])


def output(r, vm):
    """All that a guest's console has: what it said before is repeated at once, and then only what it says now comes."""
    r.sh.attach(vm)
    r.console.expect(rf"attached to {vm}\b", 10)
    quiet = 0
    while quiet < 3:
        length = len(r.console.text)
        r.console.expect_absent("tarn: panic", 0.4)
        quiet = quiet + 1 if len(r.console.text) - length < 400 else 0
    text = r.console.text
    r.sh.detach()
    return text


def counts(r, vm):
    """How far counter.c counted, and its clock in microseconds."""
    return tuple(int(n) for n in re.findall(r"count (\d+) at (\d+) us\n", output(r, vm))[-1])


def rate(r, vm, before):
    """Counts a millisecond of the guest's own clock since `before`."""
    now = counts(r, vm)
    check(now[1] > before[1], f"{vm}'s clock stands at {now[1]} us")
    return 1000 * (now[0] - before[0]) / (now[1] - before[1])


def beside(r, what):
    """Does what(), and holds the neighbours to the rates they had alone: all in the other pool, half in the same."""
    running(r, "neighbour", "mate")
    if not hasattr(r, "quiet"):
        start = {vm: counts(r, vm) for vm in ("neighbour", "mate")}
        r.console.expect_absent("panic", 3)
        r.quiet = {vm: rate(r, vm, start[vm]) for vm in start}
    start = {vm: counts(r, vm) for vm in r.quiet}
    what()
    r.sh.cmd_has("version", "(?i)tarn")
    for vm, share in (("neighbour", 0.98), ("mate", 0.45)):
        got = rate(r, vm, start[vm])
        check(got >= share * r.quiet[vm], f"{vm} counted {got:.1f} a ms, alone {r.quiet[vm]:.1f}")


def attack(r, family, seconds):
    def go():
        r.sh.cmd(f"vm start {family}")
        r.sh.until("vm list", rf"^{family}\b.*\b(stopped|crashed)\b", seconds, every=1)
        said = output(r, family)
        check(re.search(rf"attack {family}: done, [1-9]\d* checks, 0 wrong", said),
              f"{family} said:\n{said}\n" + r.sh.cmd("vm list") + r.sh.cmd("log")[-1500:])
        r.sh.cmd_has("vm list", vm_state(family, "stopped", "exited with code 0"))
    beside(r, go)


for family, words in (("ports", "every port, read and written in every size, is the guest's own or nothing"),
                      ("msrs", "every MSR is the guest's own or #GP"),
                      ("insns", "instructions that a guest has not are refused, and hypercalls take any argument"),
                      ("regs", "reserved bits of control and debug registers are refused as by hardware"),
                      ("apic", "interrupt controllers take storms, garbage and absent targets"),
                      ("mmio", "every form of access to a device by memory does as it does on RAM")):
    attacks.test(words)(lambda r, family=family: attack(r, family, 120))
