# SPDX-License-Identifier: BSD-2-Clause
"""The machine tests of hostile guests: docs/attacks.md says what each tries and what must come of it."""

import re

from console import check
from list import as_json, counts, running, stop, vcpu, vm_state
from machine import Machine

FAMILIES = ("ports", "msrs", "insns", "regs")

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


def rate(r, vm, before):
    """Counts a millisecond of the guest's own clock since `before`."""
    now = counts(r, vm)
    check(now[1] > before[1], f"{vm}'s clock stands at {now[1]} us")
    return 1000 * (now[0] - before[0]) / (now[1] - before[1])


def output(r, vm):
    r.sh.attach(vm)
    r.console.expect(rf"attached to {vm}\b", 10)
    text = ""
    while r.console.read(0.5):
        pass
    text = r.console.text
    r.sh.detach()
    return text


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
    beside(r, go)
    said = output(r, family)
    check(re.search(rf"attack {family}: done, [1-9]\d* checks, 0 wrong", said),
          f"{family} said:\n{said}\n" + r.sh.cmd("vm list") + r.sh.cmd("log")[-1500:])
    r.sh.cmd_has("vm list", vm_state(family, "stopped", "exited with code 0"))


for family, words in (("ports", "every port, read and written in every size, is the guest's own or nothing"),
                      ("msrs", "every MSR is the guest's own or #GP"),
                      ("insns", "instructions that a guest has not are refused, and hypercalls take any argument"),
                      ("regs", "reserved bits of control and debug registers are refused as by hardware")):
    attacks.test(words)(lambda r, family=family: attack(r, family, 120))
