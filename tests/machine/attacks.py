# SPDX-License-Identifier: BSD-2-Clause
"""The machine tests of hostile guests: docs/attacks.md says what each tries and what must come of it."""

import os
import re

from console import Failure, check
from machine import ROOT, Machine
from steps import as_json, counts, running, said, vm_state

FAMILIES = ("ports", "msrs", "insns", "regs", "apic", "mmio", "code")
RANDOM_SEEDS, RANDOM_COUNT = (1, 2), 5_000_000

# What the command line of attack_end names, and what `vm list` must then say; None: it runs on, and is stopped.
ENDS = {
    "idt": "crashed.*triple fault",
    "idt-outside": r"crashed.*read at guest-physical 0xd0000060",
    "stack-outside": r"crashed.*write at guest-physical 0xd0000038",
    "ist-outside": r"crashed.*write at guest-physical 0xd00000[0-3]8",
    "ist-device": r"crashed.*(read|write) at guest-physical 0xfee000[0-f]8",
    "fetch-device": "crashed.*instruction fetch at guest-physical 0xfee00000",
    "fetch-outside": "crashed.*instruction fetch at guest-physical 0xd0000000",
    "cross": "crashed.*not emulated",
    "form": "crashed.*not emulated",
    "cr3-outside": "crashed.*guest-physical 0xd0000000",
    "cr3-device": "crashed.*guest-physical 0xfee00000",
    "cr3-top": "crashed.*guest-physical 0xfffffff000",
    "pt-outside": "crashed.*guest-physical 0xd0000000",
    "pt-device": "crashed.*guest-physical 0xfee00000, where",
    "pt-same": "crashed.*guest-physical 0xfee00080, where",
    "task": "stopped.*exited with code 0",
    "task32": "crashed.*unexpected exit, reason 0x9",
    "init": "stopped.*INIT to its first vCPU",
    "hlt": None, "icebp": None, "db": None, "ac": None, "ud": None, "pf": None, "gp": None, "nmi": None,
}
# Each 2^n up to the last physical address, and 8 below it; around the device pages. Memory ends at 4 MiB = 2^22.
PHYSICAL_BITS = 40              # of Bochs' cpu
ADDRESSES = [(1 << n) - below for n in (12, 20, *range(22, PHYSICAL_BITS)) for below in (0, 8)]
ADDRESSES += [(1 << PHYSICAL_BITS) - 8]
ADDRESSES += [0xfec00000 - 8, 0xfec01000, 0xfee00000 - 8, 0xfee01000, 0xc0000000 - 8]
for n, at in enumerate(ADDRESSES):
    word = "write" if n % 3 == 1 else "read"
    ENDS[f"at={at}" + (" write" if word == "write" else "")] = (
        "stopped.*exited with code 0" if at < 4 << 20 else rf"crashed.*{word} at guest-physical {at:#x},")
RING0 = [f"ring0 seed={seed} count=200000" for seed in range(1, 9)]


def vm_of(line):
    return "e-" + re.sub("[^a-z0-9]+", "-", line)


def vm_text(name, pool, kernel, line, more=""):
    return (f"[vm {name}]\npool = {pool}\nmemory = 4M\n{more}kernel = {kernel}.elf\nautostart = no\non-reboot = stop\n"
            f"cmdline = \"{line}\"\n")


CONF = """\
[pool far]
sched = null
cpus  = 1
[pool near]
sched     = rr
timeslice = 5ms
cpus      = 2
[pool wide]
sched     = rr
timeslice = 5ms
cpus      = 3-4
[vm neighbour]
pool   = far
memory = 4M
kernel = counter.elf
[vm mate]
pool   = near
memory = 4M
kernel = counter.elf
"""
CONF += "".join(vm_text(f, "near", f"attack_{f}", "seed=1") for f in FAMILIES)
CONF += "".join(vm_text(f"random{s}", "wide", "attack_random", f"seed={s} count={RANDOM_COUNT}") for s in RANDOM_SEEDS)
CONF += vm_text("smp", "wide", "attack_smp", "seed=1", "vcpus = 3\n")
CONF += "".join(vm_text(vm_of(line), "wide" if want else "near", "attack_end", line) for line, want in ENDS.items())
CONF += "".join(vm_text(f"r{n}", "near", "attack_random", line) for n, line in enumerate(RING0))
# On the cpu that does housekeeping, alone.
CONF += "".join(vm_text(f"here-{line}", "pool0", "attack_end", line) for line in ("db", "ac", "icebp"))

FILES = ["guests/counter.elf", "guests/attack_end.elf"] + [f"guests/attack_{f}.elf" for f in (*FAMILIES, "smp", "random")]
attacks = Machine("Bochs with hostile guests", emulator="bochs", ips=20_000_000, cpus=5, nodes=1, mem=1024, vtx=True,
                  manifest=CONF, files=FILES)
more = Machine("Bochs with more hostile guests", emulator="bochs", ips=20_000_000, cpus=5, nodes=1, mem=1024, vtx=True,
               slow=True, manifest=CONF, files=FILES)


def rate(r, vm, before):
    """Counts a millisecond of the guest's own clock since `before`."""
    now = counts(r, vm, before)
    return 1000 * (now[0] - before[0]) / (now[1] - before[1])


def attacked_ms(r):
    """How long hostile guests have run, or waited for a cpu: {the mate: those in its pool, the neighbour: all}."""
    ms = {vm["vm"]: sum(v["run_ns"] + v["wait_ns"] for v in vm["vcpus"]) / 1e6 for vm in as_json(r, "stats")["vms"]}
    near = {vm["vm"] for vm in as_json(r, "vm list") if vm["pool"] == "near"}
    hostile = set(ms) - {"mate", "neighbour"}
    return {"mate": sum(ms[vm] for vm in hostile & near), "neighbour": sum(ms[vm] for vm in hostile)}


NOISE, SLICES_MS = 0.001, 10        # of the rates alone; two slices of rr, for an attack may begin and end with one


def beside(r, what):
    """
    Does what(), and holds the neighbours to the rates they had alone: the one in the other pool loses at most 2% of the time in
    which somebody attacked, the one in the same pool at most 55%, by the hypervisor's count of that time, which the guests'
    own counts of theirs would belie. The time before, between and after attacks is not there to make up for what was lost.
    """
    running(r, "neighbour", "mate")
    if not hasattr(r, "quiet"):
        start = {vm: counts(r, vm) for vm in ("neighbour", "mate")}
        r.console.expect_absent("panic", 3)
        r.quiet = {vm: rate(r, vm, start[vm]) for vm in start}
        r.least = {}
    start, before = {vm: counts(r, vm) for vm in r.quiet}, attacked_ms(r)
    what()
    r.sh.cmd_has("version", "(?i)tarn")
    after = attacked_ms(r)
    for vm, most in (("neighbour", 0.02), ("mate", 0.55)):
        attacked, now = after[vm] - before[vm], counts(r, vm, counts(r, vm))
        passed = (now[1] - start[vm][1]) / 1000
        lost = passed - (now[0] - start[vm][0]) / r.quiet[vm]
        if attacked > 100:
            r.least[vm] = min(r.least.get(vm, 1), 1 - lost / attacked)
        check(lost <= most * attacked + NOISE * passed + SLICES_MS,
              f"{vm} lost {lost:.1f} ms of {attacked:.1f} in which it was attacked ({passed:.1f} passed)")


def attack(r, family, seconds, *vms):
    """Runs the family's guests, of its own name where none is given; all must come to their end with nothing wrong."""
    def go():
        for vm in vms or (family,):
            r.sh.cmd(f"vm start {vm}")
        for vm in vms or (family,):
            try:
                r.sh.until(f"vm show {vm}", rf"^vm {vm}: (stopped|crashed)\b", seconds, every=1)
            except Failure as e:
                check(False, f"{vm} said:\n{said(r, vm)}\n{e}")
            text = said(r, vm)
            check(re.search(rf"attack {family}: done, [1-9]\d* checks, 0 wrong", text),
                  f"{vm} said:\n{text}\n" + r.sh.cmd("vm list") + r.sh.cmd("log")[-1500:])
            r.sh.cmd_has("vm list", vm_state(vm, "stopped", "exited with code 0"))
    beside(r, go)


for family, words in (("ports", "every port, read and written in every size, is the guest's own or nothing"),
                      ("msrs", "every MSR is the guest's own or #GP"),
                      ("insns", "instructions that a guest has not are refused, and hypercalls take any argument"),
                      ("regs", "reserved bits of control and debug registers are refused as by hardware"),
                      ("mmio", "every form of access to a device by memory does as it does on RAM"),
                      ("code", "code that changes under itself runs as it reads")):
    attacks.test(words)(lambda r, family=family: attack(r, family, 240))


@more.test("interrupt controllers take storms, garbage and absent targets")
def _(r):
    attack(r, "apic", 240)


@more.test("ten million random instructions at CPL 3 harm nobody")
def _(r):
    vms = [f"random{seed}" for seed in RANDOM_SEEDS]
    attack(r, "random", 600, *vms)
    for vm, seed in zip(vms, RANDOM_SEEDS):
        print(f"     seed={seed} count={RANDOM_COUNT}: " + re.findall(r"random: (\d+ instructions in .*)", said(r, vm))[-1])


@more.test("two vCPUs that storm, race and change code and tables leave the third of their VM and all others to work")
def _(r):
    attack(r, "smp", 240)


@more.test("each way to end ends its own VM with the reason named, at every power of two where there is no memory")
def _(r):
    def go():
        wrong = []
        for line, want in ENDS.items():
            if want is not None:
                r.sh.cmd(f"vm start {vm_of(line)}")
                while r.console.read(0.3):      # a slow machine loses what is typed while a crash is logged
                    pass
                r.sh.until(f"vm show {vm_of(line)}", rf"^vm {vm_of(line)}: (stopped|crashed)\b", 20, every=0.2)
        text = r.sh.cmd("vm list")
        for line, want in ENDS.items():
            row = re.search(rf"^{vm_of(line)} .*$", text, re.M).group(0)
            wrong += [] if want is None or re.search(want, row) else [f"want '{want}': {row}"]
        check(not wrong, "\n".join(wrong))
    beside(r, go)


def hangs(r, vm):
    r.sh.cmd(f"vm start {vm}")
    r.console.expect_absent("panic", 1)
    r.sh.cmd_has("vm list", vm_state(vm, "running"))
    r.sh.cmd(f"vm stop {vm}")
    r.sh.cmd_has("vm list", vm_state(vm, "stopped", "by command"))
    text = said(r, vm)
    check("end: " in text and "survived" not in text and "left the loop" not in text, f"{vm} said:\n{text}")


@more.test("a guest that hangs itself, or loops in #DB or #AC without end, costs its slices and can be stopped")
def _(r):
    def go():
        for line, want in ENDS.items():
            if want is None:
                hangs(r, vm_of(line))
    beside(r, go)


@more.test("endless #DB and #AC on the housekeeping cpu leave the shell to answer")
def _(r):
    beside(r, lambda: [hangs(r, f"here-{line}") for line in ("icebp", "db", "ac")])


@more.test("random instructions at CPL 0, under eight seeds, end, hang or go on, and harm nobody else")
def _(r):
    def go():
        reported = 0
        for n, line in enumerate(RING0):
            r.sh.cmd(f"vm start r{n}")
            r.console.expect_absent("tarn: panic", 1.5)
            if re.search(vm_state(f"r{n}", "running"), r.sh.cmd("vm list"), re.M):
                r.sh.answer(f"vm stop r{n}", 20)        # it may crash meanwhile
            reports = re.findall(r"random: (\d+) instructions", said(r, f"r{n}"))
            reported += bool(reports)
            print(f"     {line}: {reports[-1] if reports else 'fewer than the first report has'} instructions; " +
                  re.search(rf"^r{n}\b.*$", r.sh.cmd("vm list"), re.M).group(0))
        check(reported >= len(RING0) // 2, f"only {reported} of {len(RING0)} guests told of instructions")
    beside(r, go)


# Exits that no guest brings about: the control is off, the emulator has none of it, or it is the host's own.
NO_GUESTS = {"bus lock", "failed entry", "nmi", "apic write", "apic eoi"}


@more.test("what the attacks met: every kind of exit but those that no guest brings about, and every port")
def _(r):
    exits = {vm["vm"]: any(v["exits"] for v in vm["vcpus"]) for vm in as_json(r, "stats")["vms"]}
    for family in ("ports", "insns", "regs", "apic", "smp"):
        if not exits[family]:
            attack(r, family, 240)
    for line in ("idt", "task32", "fetch-device"):
        if not exits[vm_of(line)]:
            r.sh.cmd(f"vm start {vm_of(line)}")
            r.sh.until("vm list", vm_state(vm_of(line), "crashed"), 20)
    with open(os.path.join(ROOT, "arch", "x86_64", "virt.h"), encoding="utf-8") as f:
        kinds = set(re.findall(r'X\([A-Z_]+, "([a-z ]+)"\)', f.read()))
    met = {}
    for vm in as_json(r, "stats")["vms"]:
        for vcpu in vm["vcpus"] if vm["vm"] not in ("neighbour", "mate") else ():
            for words, count in vcpu["exits"].items():
                met[words] = met.get(words, 0) + count
                if vm["vm"] == "ports" and words == "io":
                    port_exits = count
    print("     exits: " + ", ".join(f"{words} {met[words]}" for words in sorted(met)))
    print("     never: " + ", ".join(sorted(kinds - set(met))))
    text = said(r, "ports")
    for line in re.findall(r"^ports never .*$", text, re.M):
        print("     " + line)
    accesses = int(re.search(r"port accesses: (\d+)", text).group(1))
    print(f"     port accesses: {accesses} by the guest's count, {port_exits} exits")
    print("     least rate while attacked: " + ", ".join(f"{vm} {100 * x:.2f}%" for vm, x in r.least.items()))
    check(kinds - set(met) <= NO_GUESTS, f"never met: {kinds - set(met)}")
    check("ports never read:\n" in text, f"not every port was read: {text}")
    check(accesses <= port_exits <= accesses + 20_000, "the guest's count of accesses is not the hypervisor's of exits")


# --- State between guests ---------------------------------------------------------------------------------------------

with open(os.path.join(ROOT, "tests", "guests", "state.c"), encoding="utf-8") as source:
    LEAKS = re.findall(r"\bX\(([A-Z]\w+)\)", source.read())      # every class that the guest checks
SWITCHES = 10_000

STATE_CONF = "[pool near]\nsched = rr\ntimeslice = 1ms\ncpus = 1\n"
STATE_VMS = {"s1": "seed=1", "s2": "seed=2", "s3": "seed=3 narrow"}
for vm, line in STATE_VMS.items():
    STATE_CONF += vm_text(vm, "near", "state", line)
STATE_MSRS = STATE_CONF + vm_text("msrs", "near", "attack_msrs", "seed=7")

# Tiger Lake has AVX-512 and the speculation controls.
state = Machine("Bochs with guests that fill all state", emulator="bochs", model="tigerlake", ips=10_000_000, cpus=2, nodes=1, mem=512, vtx=True,
                manifest=STATE_MSRS, files=["guests/state.elf", "guests/attack_msrs.elf"])
# No such controls, so that switches are of the short kind.
plain = Machine("Bochs with guests that fill all state, without measures", emulator="bochs", ips=10_000_000, cpus=2, nodes=1,
                model="corei7_skylake_x", mem=512, vtx=True, manifest=STATE_CONF, files=["guests/state.elf"])
leaky = Machine("Bochs with leaks of guest state planted", emulator="bochs", model="tigerlake", ips=10_000_000, cpus=2, nodes=1, mem=512, vtx=True,
                manifest=STATE_CONF, program="LEAK.EFI", files=["guests/state.elf"])


@state.test("three guests that fill all state see only their own in ten thousand switches on one cpu")
@plain.test("three guests that fill all state see only their own in ten thousand switches where no measure is taken")
def fill_state(r):
    running(r, *STATE_VMS)
    for _ in range(120):
        r.console.expect_absent("panic", 1)
        vcpus = {v["vm"]: v["switches"] for v in as_json(r, "vcpu list") if v["vm"] in STATE_VMS}
        check(all(re.search(vm_state(vm, "running"), r.sh.cmd("vm list"), re.M) for vm in vcpus), r.sh.cmd("vm list"))
        if sum(vcpus.values()) >= SWITCHES:
            break
    check(sum(vcpus.values()) >= SWITCHES, f"switches: {vcpus}")
    for vm in vcpus:
        check("mine after" in said(r, vm) and "not mine" not in said(r, vm), f"{vm} said:\n{said(r, vm)}")


def taken(r):
    """What was taken on cpu 1 against leaks: {measure: times}."""
    text = re.search(r"^taken on cpu 1: (.*)$", r.sh.cmd("version -v"), re.M)[1]
    return {words: int(count) for words, count in re.findall(r"([A-Z][\w ]*?) (\d+)", text)}


@state.test("a cpu takes an IBPB each time another VM comes on it, none for the same again, and VERW and the rest at each entry and exit")
def _(r):
    r.sh.cmd_has("version -v", r"^mitigations: at a change of VM IBPB, RSB fill; at each entry VERW; at each exit RSB guard, BHB clear; "
                               r"the hypervisor runs with IBRS")
    fill_state(r)
    # The counts are read one after the other: that cpu stands still meanwhile.
    for vm in STATE_VMS:
        r.sh.cmd(f"vm pause {vm}")
    before = taken(r)
    check(before["IBPB"] == before["RSB fill"] >= SWITCHES * 0.9, f"{before} in {SWITCHES} switches")
    for vm in STATE_VMS:
        r.sh.cmd(f"vm resume {vm}")
    r.sh.cmd("vm stop s2")
    r.sh.cmd("vm stop s3")
    alone = taken(r)
    r.console.read(2)
    later = taken(r)
    check(later["IBPB"] == alone["IBPB"] and later["VERW"] > alone["VERW"] + 100, f"{alone}, then {later}")
    check(all(later[what] - alone[what] > 100 for what in ("RSB guard", "BHB clear")), f"{alone}, then {later}")
    # A new VM in the place of one that ran here last is another VM.
    r.sh.cmd("vm destroy s1")
    before = taken(r)["IBPB"]
    r.sh.cmd('vm create s1 pool=near memory=8M kernel=state.elf cmdline="seed=1"')
    r.sh.cmd("vm start s1")
    r.sh.until("vcpu list", r"^s1\b.*\brunning", 10)
    check(taken(r)["IBPB"] == before + 1, f"{taken(r)} after {before}")


@state.test("MSRs of speculation are there for a guest as CPUID says, and refuse what they have to")
def _(r):
    r.sh.cmd("vm start msrs")
    ended = r.sh.until("vm list", vm_state("msrs", "(stopped|crashed)"), 120)
    check(re.search(vm_state("msrs", "stopped", "exited with code 0"), ended, re.M), said(r, "msrs"))


@leaky.test("a leak of each class of state, planted in a copy of the hypervisor, is seen by the same guests")
def _(r):
    missed = []
    check(len(LEAKS) >= 26, f"state.c has the classes {LEAKS}")
    for name in LEAKS:
        pair = ("s1", "s3") if name in ("CR0", "CR4", "EFER", "XCR0") else ("s1", "s2")     # s3 is narrow: it has other bits on
        r.sh.cmd("leak none")
        for vm in pair:
            r.sh.cmd(f"vm start {vm}")
        r.console.expect_absent("panic", 0.3)
        check(all(re.search(vm_state(vm, "running"), r.sh.cmd("vm list"), re.M) for vm in pair), r.sh.cmd("vm list"))
        r.sh.cmd(f"leak {name}")
        for _ in range(20):
            text = r.sh.cmd("vm list")
            ended = [vm for vm in pair if not re.search(vm_state(vm, "running"), text, re.M)]
            if ended:
                break
            r.console.read(0.2)
        text = "".join(said(r, vm) for vm in ended)
        if f"not mine: {name}\n" not in text:
            missed.append(f"{name}: {ended} said {text[-100:]!r}")
        for vm in set(pair) - set(ended):
            r.sh.answer(f"vm stop {vm}", 20)
        r.sh.cmd("leak none")
    check(not missed, "\n".join(missed))
