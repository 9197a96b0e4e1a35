# SPDX-License-Identifier: BSD-2-Clause
"""The watchdog of schedulers, on a Tarn that has one which breaks the contract on demand (tests/policies/)."""

from machine import Machine
from steps import counts

# What it does wrong, and what the report says of it.
FAULTS = {
    "blocked": r"pick on cpu [12], c\.0: not runnable",
    "until": r"pick on cpu [12].*: until is",
    "pokes": r"pick on cpu [12].*: 1000 times in a row cpu [12] was poked",
    "forgets": r"pick on cpu 0, [abc]\.0: it waits for \d+ ms already, and \d+ ms is the longest",
    "check": r"check on cpu 0: I have lost count",
    "twice": r"\w+ on cpu \d.*: ",
    "check-loops": r"check on cpu 0: it did not come back in 100 ms",
    "pick-loops": r"pick on cpu [12]: it did not come back in 100 ms",
    "released-loops": r"released on cpu [12]: it did not come back in 100 ms",
    "admit-loops": r"admit on cpu 0: it did not come back in 100 ms",
    "leave-loops": r"leave on cpu 2: it did not come back in 100 ms",
    "tune-loops": r"tune on cpu 0: it did not come back in 100 ms",
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
        if fault == "admit-loops":
            r.sh.cmd_error("vcpu pin c 0 1-2", "scheduler faulty did not come back from its op admit")
        elif fault == "leave-loops":
            r.sh.cmd("pool cpu-remove bad 2")
        r.sh.until("log", rf"pool bad: scheduler faulty failed: {words}.*; rr takes over", 150)
        r.sh.until("pool list", r"^bad +[12] +rr +3 +\(faulty failed\)", 20)
        r.sh.cmd_has("pool show bad", rf"failed +\[ *\d+\.\d+\] scheduler faulty failed: {words}.*; rr takes over")
        if fault == "blocked":
            r.sh.cmd("vm resume c")
        for vm, was in before.items():
            counts(r, vm, counts(r, vm, was))
        r.sh.cmd("sched dump bad")
        for vm in "abc":
            r.sh.cmd(f"vm migrate {vm} pool0")
        r.sh.cmd("pool destroy bad")
