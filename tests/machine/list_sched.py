# SPDX-License-Identifier: BSD-2-Clause
"""The schedulers' promises on a machine: a pool for each policy, all at the same time, judged by the guests' own clocks.

Busy guests are counter.c, which tells how long it ran between two looks at its clock; real-time ones are periodic.c,
which tells how many of its jobs were not done before the next was due.
"""

import re

from console import check
from machine import Machine
from steps import as_json, said, stop, vm_state

POOLS = ("rr", "null", "credit2", "eevdf", "credit", "sedf", "rtds", "arinc653")      # each on the cpu of its place here
WEIGHTS = {"one": 100, "two": 200, "four": 400}
FAIR = {"credit2": "ratelimit", "eevdf": "timeslice", "credit": "timeslice"}      # and what sets their slices
REALTIME = ("sedf", "rtds", "rr")
# Of each period, what the guest computes and what it has reserved: that much more than it needs. Together 0.84 of a cpu.
TASKS = {"fast": (10, 3, 4, 500), "slow": (25, 10, 11, 200)}    # period, work, reservation in ms; jobs


# At 10 MHz a switch takes a tenth of a millisecond, hundreds of times longer than on a real cpu: so slices are long.
SETTINGS = {"credit2": "ratelimit = 10ms\ncap-period = 100ms\n", "eevdf": "timeslice = 30ms\ncap-period = 100ms\n",
            "credit": "cap-period = 100ms\n",
            "arinc653": "frame = 100ms\nwindow = 7 arinc653-a.0 30ms\nwindow = 7 idle 5ms\nwindow = 7 arinc653-b.0 50ms\n"}


def sched_conf():
    text = "".join(f"[pool {p}]\nsched = {p}\ncpus = {cpu}\n{SETTINGS.get(p, '')}" for cpu, p in enumerate(POOLS))

    def vm(name, pool, kernel, *keys):
        text = f"[vm {name}]\npool = {pool}\nmemory = 4M\nautostart = no\nkernel = {kernel}.elf\n" + "".join(f"{k}\n" for k in keys)
        return text + ("cmdline = every=1000\n" if kernel == "counter" else "")

    text += vm("null-busy", "null", "counter")
    for name in "ab":
        text += vm(f"arinc653-{name}", "arinc653", "counter")
    for pool in FAIR:
        text += "".join(vm(f"{pool}-{name}", pool, "counter", f"weight = {w}") for name, w in WEIGHTS.items())
    for pool in REALTIME:
        text += vm(f"{pool}-busy", pool, "counter", *(("period = 100ms", "budget = 1ms") if pool == "rtds" else ()))
        text += vm(f"{pool}-busy2", pool, "counter", *(("period = 100ms", "budget = 1ms") if pool == "rtds" else ()))
        for name, (period, work, reserved, jobs) in TASKS.items():
            text += vm(f"{pool}-{name}", pool, "periodic", f'cmdline = "period={period}000 work={work}000 jobs={jobs}"',
                       *(() if pool == "rr" else (f"period = {period}ms", f"budget = {reserved}ms")))
    return text


sched = Machine("Bochs with a pool for each policy", emulator="bochs", ips=10_000_000, cpus=len(POOLS), nodes=1, mem=1024,
                vtx=True, manifest=sched_conf(), files=["guests/counter.elf", "guests/periodic.elf"])


def start(r):
    """All guests at once: a test may be run without the ones before it."""
    if not re.search(vm_state("null-busy", "running"), r.sh.cmd("vm list"), re.M):
        for vm in as_json(r, "vm list"):
            r.sh.cmd(f"vm start {vm['vm']}")


def samples(r, vm, since=0):
    """What the guest counter.c said since then by its clock: [(how long it ran, its clock)], in microseconds."""
    lines = re.findall(r"ran (\d+) us, count \d+ at (\d+) us\n", said(r, vm))
    return [(int(ran), int(at)) for ran, at in lines if int(at) > since]


def parts(r, vms, seconds):
    """{vm: part of a cpu that it had} over so many seconds of each guest's own clock."""
    since = {vm: max((at for _, at in samples(r, vm)), default=0) for vm in vms}
    got = {}
    for _ in range(40):
        r.console.expect_absent(r"panic", 2)
        for vm in set(vms) - set(got):
            seen = samples(r, vm, since[vm])
            if seen and seen[-1][1] - seen[0][1] >= seconds * 1_000_000:
                got[vm] = (seen[-1][0] - seen[0][0]) / (seen[-1][1] - seen[0][1])
        if len(got) == len(vms):
            return got
    check(False, f"the clocks of {set(vms) - set(got)} hardly move")


def shares(r, want, seconds=5):
    """
    Busy guests have the part of their cpu that want[pool][guest] says, within 2 percent. Where these sum up to 1, it is a part of
    what all have together, and that is nearly all of the cpu; so also where one has what is left (None).
    """
    start(r)
    got = parts(r, [f"{pool}-{name}" for pool in want for name in want[pool]], seconds)
    wrong = []
    for pool, guests in want.items():
        together = sum(got[f"{pool}-{name}"] for name in guests)
        all_of_it = None not in guests.values() and sum(guests.values()) > 0.999
        if (all_of_it or None in guests.values()) and together < 0.98:
            wrong.append(f"the guests of {pool} had only {together:.4f} of their cpu together")
        for name, part in guests.items():
            if part is None:
                continue
            had = got[f"{pool}-{name}"] / (together if all_of_it else 1)
            text = f"{pool}-{name} had {had:.4f} where {part:.4f} is right: {100 * (had / part - 1):+.2f}%"
            print(f"     {text}", flush=True)
            if abs(had / part - 1) > 0.02:
                wrong.append(text)
    check(not wrong, "; ".join(wrong))


@sched.test("eight pools have eight policies at the same time, and all their guests run")
def _(r):
    for pool in POOLS:
        r.sh.cmd_has("pool list", rf"^{pool} +1 +{pool}\b")
    start(r)


@sched.test("busy guests of weight 1, 2 and 4 share a cpu so within 2 percent under each fair policy; under arinc653, by windows")
def _(r):
    shares(r, {"null": {"busy": 1}, "arinc653": {"a": .3, "b": .5}} |
           dict.fromkeys(FAIR, {"one": 1 / 7, "two": 2 / 7, "four": 4 / 7}), seconds=8)


@sched.test("weights changed by vm set change the shares of running guests")
def _(r):
    for pool in FAIR:
        r.sh.cmd(f"vm set {pool}-one weight=400")
        r.sh.cmd(f"vm set {pool}-four weight=200")
    shares(r, dict.fromkeys(FAIR, {"one": 1 / 2, "two": 1 / 4, "four": 1 / 4}))


@sched.test("caps of 25 and 50 percent hold within 2 percent, and what they leave goes to the third or stays idle")
def _(r):
    for pool, longest in FAIR.items():
        r.sh.cmd(f"pool set {pool} {longest}=50ms")     # a budget in one piece
        r.sh.cmd(f"vm set {pool}-one cap=25 weight=400")
        r.sh.cmd(f"vm set {pool}-two cap=50 weight=1000")
        r.sh.cmd(f"vm set {pool}-four weight=200")
    shares(r, dict.fromkeys(FAIR, {"one": 1 / 4, "two": 1 / 2, "four": None}), seconds=8)
    stop(r, *(f"{pool}-four" for pool in FAIR))
    shares(r, dict.fromkeys(FAIR, {"one": 1 / 4, "two": 1 / 2}), seconds=8)


def jobs(r, vm):
    """Jobs, missed ones, and the latest end in microseconds after the release, of a guest periodic.c that is done."""
    start(r)
    r.sh.until("vm list", vm_state(vm, "stopped", "the guest exited with code 0"), 120)
    told = re.search(r"periodic: (\d+) jobs, (\d+) missed, the latest done (\d+) us", said(r, vm))
    check(told, f"{vm} did not tell of its jobs")
    print(f"     {vm}: {told.group(0)}")
    return [int(n) for n in told.groups()]


@sched.test("two periodic guests beside two busy ones on one cpu miss no deadline under sedf and rtds")
def _(r):
    for pool in ("sedf", "rtds"):
        for name, (_, _, _, count) in TASKS.items():
            did, missed, latest = jobs(r, f"{pool}-{name}")
            check(did == count and missed == 0, f"{pool}-{name} missed {missed} of {did} jobs, the latest done after {latest} us")


@sched.test("the same guests under rr do miss deadlines")
def _(r):
    for name, (_, _, _, count) in TASKS.items():
        did, missed, _ = jobs(r, f"rr-{name}")
        check(did == count and missed > count // 10, f"rr-{name} missed {missed} of {did} jobs")


@sched.test("every policy's own check holds after that, and the watchdog has nothing to say")
def _(r):
    for pool in POOLS:
        r.sh.cmd(f"sched dump {pool}")
        check(as_json(r, f"pool show {pool}")["failed"] == "", f"the scheduler of {pool} failed:\n{r.sh.cmd('log')}")
    r.sh.cmd("stats")
