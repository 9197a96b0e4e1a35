# SPDX-License-Identifier: BSD-2-Clause
"""The watchdog of schedulers, on a Tarn that has one which breaks the contract on demand (tests/policies/)."""

from machine import Machine
from steps import counts

# What it does wrong, and what the report says of it.
FAULTS = {
    "blocked": r"pick on cpu [12], c\.0: not runnable",
    "until": r"pick on cpu [12].*: until is",
    "forgets": r"pick on cpu 0, [abc]\.0: it waits for \d+ ms already, and \d+ ms is the longest",
    "check": r"check on cpu 0: I have lost count",
    "pick-loops": r"pick on cpu [12]: it did not come back in 100 ms",
    "released-loops": r"released on cpu [12]: it did not come back in 100 ms",
}

CONF = ("[pool right]\nsched = rr\ncpus = 3\n"
        "[vm neighbour]\npool = right\nmemory = 16M\nkernel = counter.elf\n"
        + "".join(f"[vm {vm}]\nmemory = 16M\nkernel = counter.elf\n" for vm in "abc"))

watch = Machine("Bochs with a faulty scheduler", emulator="bochs", ips=40_000_000, cpus=4, nodes=1, mem=512, vtx=True,
                manifest=CONF, program="FAULTY.EFI", files=["guests/counter.elf"])


@watch.test("a policy that picks, forgets, miscounts or loops as none may is reported, and rr goes on with its VMs")
def _(r):
    r.sh.cmd("pool cpu-remove pool0 1-2")
    for fault, words in FAULTS.items():
        r.sh.cmd("pool create bad sched=faulty cpus=1-2")
        for vm in "abc":
            r.sh.cmd(f"vm migrate {vm} bad")
        before = {vm: counts(r, vm) for vm in ("a", "b", "c", "neighbour")}
        if fault == "blocked":
            r.sh.cmd("vm pause c")
        r.sh.cmd(f"pool set bad fault={fault}")
        r.sh.until("log", rf"pool bad: scheduler faulty failed: {words}.*; rr takes over", 150)
        r.sh.until("pool list", r"^bad +2 +rr +3", 20)
        if fault == "blocked":
            r.sh.cmd("vm resume c")
        for vm, was in before.items():
            counts(r, vm, counts(r, vm, was))
        r.sh.cmd("sched dump bad")
        for vm in "abc":
            r.sh.cmd(f"vm migrate {vm} pool0")
        r.sh.cmd("pool destroy bad")
