# SPDX-License-Identifier: BSD-2-Clause
"""The machine tests: the one list.

A stanza is a Machine (what boots, once) and its tests, in order, on that boot. A test is a sentence of what must hold
and a function that does what a person at the console would: r.sh.cmd("pool list") types a command and returns its
answer, r.console is what lies under it, r.figures holds the counts of the line `tarn: ready`. See machine.py for what a
Machine can have and console.py for what can be asked. A test leaves the machine as the next ones expect it.
"""

import json
import os
import re

from console import Failure, MachineEnded, check, check_near
from machine import ROOT, Machine

SHELL = r"tarn> "


# --- Helpers ---------------------------------------------------------------------------------------------------------

def rows(text):
    """The lines of a table that start with a number."""
    return [line for line in text.splitlines() if re.match(r"\s*(cpu|node)?\s*\d+\b", line)]


def as_json(r, command):
    text = r.sh.cmd(command + " -j")
    try:
        return json.loads(text)
    except ValueError as e:
        check(False, f"'{command} -j' is not JSON ({e}):\n{text}")


def vcpu(r, vm):
    """The first vCPU of a VM, as `vcpu list -j` has it."""
    mine = [v for v in as_json(r, "vcpu list") if v["vm"] == vm]
    check(mine, f"'vcpu list -j' has no vCPU of {vm}")
    return mine[0]


def vm_state(name, state, why=""):
    """A row of `vm list`."""
    return rf"^{name}\b.*\b{state}\b.*{why}"


def pool_cpus(name, cpus):
    """A row of `pool list -c`."""
    return rf"^\s*{name}\b.*(?<![\d,-]){cpus}(?![\d,-])"


def running(r, *vms):
    """Starts those that do not run: a test may be run without the ones before it."""
    for vm in vms:
        if not re.search(vm_state(vm, "running"), r.sh.cmd("vm list"), re.M):
            r.sh.cmd(f"vm start {vm}")


def stop(r, *vms):
    for vm in vms:
        r.sh.cmd(f"vm stop {vm}")


def attach(r, vm, prompt, seconds):
    """Attaches to a VM's console and waits for the prompt there, pressing Enter now and then."""
    r.sh.attach(vm)
    for wait in [2] + [10] * (seconds // 10):
        try:
            return r.console.expect(prompt, wait)
        except MachineEnded:
            raise
        except Failure as e:
            r.console.type("\r")
            last = e
    raise last


def panics(r, command, *patterns):
    """A fault of the hypervisor: says what, where and how it came there, then nothing more, ever."""
    r.console.type(f"{command}\r")
    text = r.console.expect(r"tarn: panic: (?s:.*?)\ntarn: stopped\n", 20).group(0)
    for pattern in patterns + (r"on cpu 0\b", r"\nrip [0-9a-f]{16}  rsp [0-9a-f]{16}", r"\ncr0 [0-9a-f]{16}",
                               r"\nbacktrace[^\n]*\n(  [0-9a-f]{16}\n){4}"):
        check(re.search(pattern, text), f"the panic holds no '{pattern}':\n{text}")
    r.console.type("version\r")
    r.console.expect_absent(r"\S", 2)


# --- QEMU: all that needs no VT-x -------------------------------------------------------------------------------------

one = Machine("QEMU with one cpu", emulator="qemu", cpus=1, nodes=1, mem=512)


@one.test("one cpu under QEMU boots to the shell")
def _(r):
    check(r.figures["cpus"] == 1 and r.figures["nodes"] == 1 and r.figures["vms"] == 0, str(r.figures))
    r.sh.cmd_has("version", r"(?i)tarn")


@one.test("the only cpu is in pool0 and cannot be taken from a pool that does not have it")
def _(r):
    r.sh.cmd_has("pool list -c", pool_cpus("pool0", "0"))
    r.sh.cmd_error("pool cpu-remove pool0 1")


@one.test("poweroff prints its code and ends the machine")
def _(r):
    r.console.type("poweroff 3\r")
    r.console.expect(r"(?m)^tarn: exit 3$", 20)
    r.console.expect_end(20)


FOUR_CONF = """\
[boot]
run = pool list -c

[pool rt]                      # cpu 0 stays in pool0
sched = null
cpus  = 1
[pool web]
sched     = rr
timeslice = 10ms
cpus      = node:1

[vm sensor]
pool      = rt
memory    = 16M
kernel    = hello.elf
autostart = no
"""

four = Machine("QEMU with four cpus in two nodes", emulator="qemu", cpus=4, nodes=2, mem=1024, manifest=FOUR_CONF,
               files=["guests/hello.elf"])


@four.test("four cpus in two nodes under QEMU come up in xAPIC mode, with the manifest's pools")
def _(r):
    check((r.figures["cpus"], r.figures["nodes"], r.figures["pools"]) == (4, 2, 3), str(r.figures))
    r.sh.cmd_has("pool list -c", pool_cpus("pool0", "0"), pool_cpus("rt", "1"), pool_cpus("web", "2[-,]3"))
    r.sh.cmd_has("log", r"4 of 4 online in 2 nodes, xAPIC mode")


@four.test("cpu list has a row for every cpu and none is dead")
def _(r):
    text = r.sh.cmd("cpu list")
    check(len(rows(text)) == 4 and "dead" not in text, f"cpu list:\n{text}")


@four.test("node list has both nodes with their distances")
def _(r):
    text = r.sh.cmd_has("node list", r"\b10\b", r"\b2[01]\b")
    check(len(rows(text)) >= 2, f"node list:\n{text}")


@four.test("mem, log, sched list, pool show, vm list, vcpu list and console rich have something to say")
def _(r):
    r.sh.cmd_has("mem", r"(?m)^\s*0\b.*\d+", r"(?m)^\s*1\b.*\d+", r"(?m)^\s*all\b.*\d+")
    r.sh.cmd_has("log", r"(?i)cpu")
    r.sh.cmd_has("sched list", r"\bnull\b", r"\brr\b", r"\btimeslice\b")
    r.sh.cmd_has("sched dump web", "queue:")
    r.sh.cmd_has("pool show web", r"timeslice\s+10\s*ms")
    r.sh.cmd_has("vm list", "state")
    r.sh.cmd_has("vcpu list", "switches")
    r.console.type("console rich\r")
    r.console.expect(r"ok\n" + SHELL, 20)
    r.sh.cmd("console plain")


@four.test("-j makes JSON of every list")
def _(r):
    check([c["cpu"] for c in as_json(r, "cpu list")] == [0, 1, 2, 3], "cpu list -j has not four cpus")
    check([n["cpus"] for n in as_json(r, "node list")] == [[0, 1], [2, 3]], "node list -j has other cpus")
    check(as_json(r, "mem"), "mem -j is empty")
    check([(p["name"], p["cpu_list"]) for p in as_json(r, "pool list")] == [("pool0", "0"), ("rt", "1"), ("web", "2-3")],
          f"pool list -j: {as_json(r, 'pool list')}")
    check(as_json(r, "pool show web")["values"] == {"timeslice": "10ms"}, "pool show -j has another timeslice")
    check({s["name"] for s in as_json(r, "sched list")} >= {"null", "rr"}, "sched list -j lacks a policy")
    check(as_json(r, "vm list") == [] and as_json(r, "vcpu list") == [], "there are VMs without VT-x")


def commands(r):
    """Every command that help lists, without its arguments."""
    return [" ".join(w for w in re.match(r"  (\S+(?: [a-z]+[a-z-]*)?)", line).group(1).split())
            for line in r.sh.cmd("help").splitlines() if re.match(r"  [a-z]", line)]


@four.test("every command that help lists explains itself, and refuses what it does not understand")
def _(r):
    names = commands(r)
    want = {"cpu list", "node list", "mem", "pool list", "pool show", "pool create", "pool destroy", "vm list",
            "vm show", "vm start", "vm stop", "vm console", "vcpu list", "sched list", "log", "version", "help",
            "console plain", "console rich", "panic", "reboot", "poweroff"}
    check(want <= set(names), f"help lacks {sorted(want - set(names))}; it has {names}")
    for name in names:
        r.sh.cmd_has(f"help {name}", rf"^{name}\b")
        r.sh.cmd_error(f"{name} no-such-thing b c d e f")


@four.test("an unknown command is an error that says so")
def _(r):
    r.sh.cmd_error("frobnicate", "frobnicate: no such command")
    r.sh.cmd_error("pool frobnicate", "no such command")


@four.test("Xen's names for the pool commands work")
def _(r):
    r.sh.cmd_has("cpupool-list", r"^\s*web\b")


@four.test("a cpu goes from one pool to another and back")
def _(r):
    r.sh.cmd("pool cpu-remove web 3")
    r.sh.cmd_has("pool list -c", pool_cpus("web", "2"))
    r.sh.cmd("pool cpu-add pool0 3")
    r.sh.cmd_has("pool list -c", pool_cpus("pool0", "0[-,]3"), pool_cpus("web", "2"))
    r.sh.cmd("pool cpu-remove pool0 3")
    r.sh.cmd("pool cpu-add web 3")
    r.sh.cmd_has("pool list -c", pool_cpus("pool0", "0"), pool_cpus("web", "2[-,]3"))


@four.test("a pool is made, renamed and destroyed, and its cpu is free again")
def _(r):
    r.sh.cmd("pool cpu-remove web 3")
    r.sh.cmd("pool create tmp sched=rr cpus=3 timeslice=5ms")
    r.sh.cmd_has("pool show tmp", r"\brr\b", r"5\s*ms")
    r.sh.cmd("pool set tmp timeslice=7ms")
    r.sh.cmd_has("pool show tmp", r"7\s*ms")
    r.sh.cmd_error("pool create tmp sched=rr")
    r.sh.cmd("pool rename tmp other")
    r.sh.cmd_error("pool show tmp")
    r.sh.cmd("pool destroy other")
    r.sh.cmd("pool cpu-add web free")
    r.sh.cmd_has("pool list -c", pool_cpus("web", "2[-,]3"))


@four.test("a refused command changes nothing")
def _(r):
    before = r.sh.cmd("pool list -c")
    r.sh.cmd_error("pool create bad sched=nosuch cpus=free", "nosuch")
    r.sh.cmd_error("pool create bad sched=rr cpus=2", r"\b2\b")
    r.sh.cmd_error("pool create bad sched=rr timeslice=-1")
    r.sh.cmd_error("pool cpu-add web 99")
    r.sh.cmd_error("pool destroy nosuch")
    r.sh.cmd_error("poweroff 256")
    after = r.sh.cmd("pool list -c")
    check(before == after, f"pool list -c was\n{before}and is\n{after}")


@four.test("starting a VM where there is no VT-x says that VT-x is missing, and so does the log")
def _(r):
    r.sh.cmd_error("vm start sensor", r"VMs cannot run on this machine: .*VT-x")
    r.sh.cmd_has("log", r"vm sensor: not made: .*VT-x")


@four.test("a line of a hundred words and one of a thousand characters do no harm")
def _(r):
    r.sh.cmd_error("pool create " + "x " * 100)
    r.sh.cmd_error("y" * 1000)
    r.sh.cmd("version")


@four.test("a write to the hypervisor's own code stops the machine with registers and backtrace")
def _(r):
    panics(r, "panic code", r"page fault \(vector 14, error 0x3\)")


bare = Machine("QEMU without a manifest", emulator="qemu", cpus=3, nodes=1, mem=512, manifest=None)


@bare.test("without a manifest every cpu is in pool0")
def _(r):
    check((r.figures["cpus"], r.figures["pools"], r.figures["vms"]) == (3, 1, 0), str(r.figures))
    r.sh.cmd_has("pool list -c", pool_cpus("pool0", "0-2"))


@bare.test("reboot says so and restarts the machine")
def _(r):
    r.console.type("reboot\r")
    r.console.expect(r"(?m)^tarn: reboot$", 20)
    r.console.expect_end(20)        # QEMU runs with -no-reboot


high = Machine("QEMU with memory above 4 GiB", emulator="qemu", cpus=2, nodes=1, mem=6144, manifest=None)


@high.test("with memory above 4 GiB every cpu comes up")
def _(r):
    check(r.figures["cpus"] == 2, str(r.figures))


BAD_CONF = """\
[boot]
nosuch = 1
[pool good]
sched = rr
cpus = 1
[pool worse]
sched = nosuch
cpus = 2
[pool good]
sched = null
[pool again]
cpus = 1
[pool far]
cpus = 17
[pool late]
cpus = 3
[vm v
"""

bad = Machine("QEMU with a bad manifest", emulator="qemu", cpus=4, nodes=2, mem=512, manifest=BAD_CONF,
              manifest_bad=True)


@bad.test("a bad manifest is reported line by line, and what is right is built")
def _(r):
    r.sh.cmd_has("log", r"tarn\.conf:2:1: ", r"tarn\.conf:7:9: .*nosuch", r"tarn\.conf:9:", r"tarn\.conf:12:8: .*\b1\b",
                 r"tarn\.conf:14:8: .*\b17\b", r"tarn\.conf:17:")
    text = r.sh.cmd_has("pool list -c", pool_cpus("good", "1"), pool_cpus("late", "3"))
    check("worse" not in text, f"pool worse was made:\n{text}")


@bad.test("a stack that overflows meets its guard page, and the machine stops and says so")
def _(r):
    panics(r, "panic stack", r"(page|double) fault.*: stack overflow")


# --- Tables of other people's machines --------------------------------------------------------------------------------

# 16 enabled cpus in a threads-last order, of which the emulator has those with APIC ids 0 to 3.
x8dtt = Machine("Bochs with a Supermicro X8DTT's tables", emulator="bochs", ips=10_000_000, cpus=4, nodes=2, mem=1024,
                acpi="../shared/acpi/supermicro-x8dtt")


@x8dtt.test("cpus that the tables name and that do not answer are dead, and the boot completes")
def _(r):
    text = r.sh.cmd("cpu list")
    dead = [line for line in rows(text) if "dead" in line]
    check(len(rows(text)) == 16 and len(dead) == 12, f"cpu list, want 16 cpus and 12 dead:\n{text}")
    alive = [int(re.search(r"\d+", line).group(0)) for line in rows(text) if "dead" not in line]
    check(alive == [0, 1, 8, 9], f"cpus {alive} are alive, want 0, 1, 8 and 9 (APIC ids 0, 2, 1, 3)")
    check(len(re.findall(r"did not answer", r.sh.cmd("log"))) == 12, "the log does not name the 12 dead cpus")


@x8dtt.test("memory that the tables name and that is not there is reported")
def _(r):
    r.sh.cmd_has("log", r"(?i)SRAT.*(GiB|MiB)")


@x8dtt.test("a dead cpu cannot join a pool")
def _(r):
    r.sh.cmd_error("pool create p sched=rr cpus=2", r"(?i)dead|answer|online")


@x8dtt.test("data that is executed stops the machine with registers and backtrace")
def _(r):
    panics(r, "panic data", r"page fault \(vector 14, error 0x11\)")


# --- Bochs: VT-x ------------------------------------------------------------------------------------------------------

GUESTS_CONF = """\
[pool rt]
sched = null
cpus  = 1
[pool fast]
sched     = rr
timeslice = 5ms
cpus      = 2
[pool slow]
sched     = rr
timeslice = 50ms
cpus      = 3
"""

for vm_name, vm_pool, vm_kernel in (("busy", "rt", "counter"), ("hello", "fast", "hello"),
                                    ("a", "fast", "counter"), ("b", "fast", "counter"),
                                    ("c", "slow", "counter"), ("d", "slow", "counter"),
                                    ("triple", "fast", "triple"), ("spin", "fast", "spin"),
                                    ("outside", "fast", "outside")):
    GUESTS_CONF += f"[vm {vm_name}]\npool = {vm_pool}\nmemory = 16M\nkernel = {vm_kernel}.elf\nautostart = no\n"

guests = Machine("Bochs with four cpus and tiny guests", emulator="bochs", ips=10_000_000, cpus=4, nodes=2,
                 mem=1024, vtx=True, manifest=GUESTS_CONF,
                 files=[f"guests/{n}.elf" for n in ("hello", "counter", "triple", "spin", "outside")])


def counts(r, vm):
    """What the guest counter.c said last on its own console: how far it counted, and its clock in microseconds."""
    for _ in range(20):
        r.sh.attach(vm)
        # Attaching repeats the last 32 KiB, so leaving at once is enough.
        said = re.findall(r"count (\d+) at (\d+) us\n", r.sh.detach())
        if said:
            return int(said[-1][0]), int(said[-1][1])
        r.console.read(0.2)
    check(False, f"{vm} does not count")


def rates(r, *vms, seconds=3):
    """Counts a millisecond of each guest's own clock, all over the same few seconds."""
    before = {vm: counts(r, vm) for vm in vms}
    for _ in range(60):
        r.console.expect_absent(r"panic", 1)
        after = {vm: counts(r, vm) for vm in vms}
        if all(after[vm][1] - before[vm][1] > seconds * 1_000_000 for vm in vms):
            return [1000 * (after[vm][0] - before[vm][0]) / (after[vm][1] - before[vm][1]) for vm in vms]
    check(False, f"the guests' clocks hardly move: {before}, {after}")


def goes_on(r, vm):
    """Ten seconds are long for a guest that counts; it may share its cpu with several."""
    before = counts(r, vm)
    for _ in range(20):
        if counts(r, vm) > before:
            return
        r.console.read(0.5)
    check(False, f"guest {vm} no longer counts")


@guests.test("four cpus in two nodes of the generated tables come up in x2APIC mode under Bochs")
def _(r):
    check((r.figures["cpus"], r.figures["nodes"], r.figures["pools"]) == (4, 2, 4), str(r.figures))
    text = r.sh.cmd("cpu list")
    check(len(rows(text)) == 4 and "dead" not in text, f"cpu list:\n{text}")
    r.sh.cmd_has("log", r"4 of 4 online in 2 nodes, x2APIC mode", r"virt: \S+ is on")


@guests.test("a guest says hello on its console and powers off")
def _(r):
    r.sh.cmd("vm start hello")
    r.sh.until("vm list", vm_state("hello", "stopped", "the guest exited with code 0"), 30)
    r.sh.attach("hello")
    r.console.expect(r"(?i)hello", 10)
    r.sh.detach()


@guests.test("two busy guests on one cpu each get half of it within 2 percent under rr, by their own counters")
def _(r):
    running(r, "a")
    alone = rates(r, "a")[0]
    running(r, "b")
    a, b = rates(r, "a", "b")
    check_near(a, (a + b) / 2, 0.02, f"a's counts a ms beside b's {b:.1f}")
    # The two print twice as much as a alone did, so together they count a little less.
    check_near(a + b, alone, 0.05, f"counts a ms of a ({a:.1f}) and b ({b:.1f}) together")


@guests.test("pools with different timeslices switch at different rates")
def _(r):
    running(r, "a", "b", "c", "d")
    before = {vm: vcpu(r, vm) for vm in "abcd"}
    for _ in range(60):
        r.console.expect_absent(r"panic", 1)
        after = {vm: vcpu(r, vm) for vm in "abcd"}
        if min(after[vm]["used_ns"] - before[vm]["used_ns"] for vm in "abcd") > 1_500_000_000:
            break
    for vm, slice_ms in (("a", 5), ("b", 5), ("c", 50), ("d", 50)):
        used = (after[vm]["used_ns"] - before[vm]["used_ns"]) / 1e6
        switches = after[vm]["switches"] - before[vm]["switches"]
        check_near(used / max(switches, 1), slice_ms, 0.1, f"{vm}: ms run a switch, {switches} switches in {used:.0f} ms")


@guests.test("a busy guest in another pool changes nothing for two that share a cpu")
def _(r):
    running(r, "a", "b")
    quiet = rates(r, "a", "b")
    running(r, "busy")
    beside = rates(r, "a", "b")
    goes_on(r, "busy")
    stop(r, "busy")
    for vm, before, after in zip("ab", quiet, beside):
        check_near(after, before, 0.01, f"{vm}'s counts a ms beside busy")


@guests.test("a guest that triple-faults is stopped with its registers in the log, and its neighbour runs on")
def _(r):
    running(r, "a")
    r.sh.cmd("vm start triple")
    r.sh.until("vm list", vm_state("triple", "crashed", "triple fault"), 30)
    r.sh.cmd_has("log", r"(?i)triple.*fault", r"vm triple: rip\b")
    goes_on(r, "a")


@guests.test("a guest that touches memory outside its map is stopped, and its neighbour runs on")
def _(r):
    running(r, "a")
    r.sh.cmd("vm start outside")
    r.sh.until("vm list", vm_state("outside", "crashed", "0xd0000000"), 30)
    goes_on(r, "a")


@guests.test("a guest that spins with interrupts off keeps neither its cpu nor itself from being stopped")
def _(r):
    running(r, "a")
    r.sh.cmd("vm start spin")
    r.sh.until("vm list", vm_state("spin", "running"), 10)
    goes_on(r, "a")
    check(vcpu(r, "spin")["used_ns"] > 0, "spin never ran")
    r.sh.cmd("vm stop spin", seconds=30)
    r.sh.cmd_has("vm list", vm_state("spin", "stopped", "by command"))


@guests.test("a paused guest stands still until it is resumed")
def _(r):
    running(r, "a")
    r.sh.cmd("vm pause a")
    r.sh.cmd_has("vm list", vm_state("a", "paused"))
    used = vcpu(r, "a")["used_ns"]
    r.console.expect_absent(r"panic", 1)
    check(vcpu(r, "a")["used_ns"] == used, "guest a ran while paused")
    r.sh.cmd_error("vm pause a", "it is paused")
    r.sh.cmd("vm resume a")
    goes_on(r, "a")


@guests.test("a cpu leaves a pool while guests run there, and comes back")
def _(r):
    running(r, "a", "b")
    r.sh.cmd_error("pool cpu-remove fast 2")
    r.sh.cmd("pool cpu-remove pool0 0")
    r.sh.cmd("pool cpu-add fast 0")
    r.sh.cmd("pool cpu-remove fast 2")
    goes_on(r, "a")
    goes_on(r, "b")
    r.sh.cmd("pool cpu-add fast 2")
    r.sh.cmd("pool cpu-remove fast 0")
    r.sh.cmd("pool cpu-add pool0 0")
    goes_on(r, "a")


@guests.test("destroyed VMs give all their memory back")
def _(r):
    stop(r, *(vm["vm"] for vm in as_json(r, "vm list") if vm["state"] == "running"))
    free = [n["free_bytes"] for n in as_json(r, "node list")]
    r.sh.cmd("vm destroy outside")
    r.sh.cmd("vm destroy spin")
    check("outside" not in r.sh.cmd("vm list"), "outside is still there")
    more = sum(n["free_bytes"] for n in as_json(r, "node list")) - sum(free)
    check(more >= 2 * (16 << 20), f"{more} bytes came back of two VMs with 16 MiB each")
    r.sh.cmd_error("vm start outside", "no VM")


@guests.test("a fault of the hypervisor while guests run stops guests and machine, with registers and backtrace")
def _(r):
    running(r, "a", "b", "c", "busy")
    panics(r, "panic", r"invalid opcode \(vector 6")


# Models without some features, so that the fallbacks run.
for model in ("corei7_haswell_4770", "corei3_cnl", "corei7_icelake_u"):
    other = Machine(f"Bochs with one {model}", emulator="bochs", ips=10_000_000, model=model, cpus=1, nodes=1, mem=512,
                    vtx=True, manifest="[vm hello]\nmemory = 16M\nkernel = hello.elf\nautostart = no\n",
                    files=["guests/hello.elf"])

    @other.test(f"a guest runs on {model} too")
    def _(r):
        r.sh.cmd("vm start hello")
        r.sh.until("vm list", vm_state("hello", "stopped", "the guest exited with code 0"), 30)


# --- Bochs: machines whose VT-x is not enough, or switched off --------------------------------------------------------

HELLO_CONF = "[vm hello]\nmemory = 16M\nkernel = hello.elf\n"


def no_vms(r, *whys):
    """The log and `vm start` say why VMs cannot run, and the rest of the machine works."""
    r.sh.cmd_has("log", *(rf"virt: VMs cannot run: .*{why}" for why in whys))
    for why in whys:
        r.sh.cmd_error("vm start hello", rf"VMs cannot run on this machine: .*{why}")
    r.sh.cmd_has("pool list -c", pool_cpus("pool0", "0.*"))
    check(r.figures["vms"] == 0, str(r.figures))


penryn = Machine("Bochs with two Core 2 Penryn", emulator="bochs", ips=10_000_000, model="core2_penryn_t9600", cpus=2,
                 nodes=2, mem=512, manifest=HELLO_CONF, files=["guests/hello.elf"])


@penryn.test("cpus without x2APIC come up in xAPIC mode under Bochs")
def _(r):
    check(r.figures["cpus"] == 2, str(r.figures))
    r.sh.cmd_has("log", r"2 of 2 online in 2 nodes, xAPIC mode")


@penryn.test("each feature that the VT-x of a Core 2 lacks is named")
def _(r):
    no_vms(r, r"\bEPT\b", "unrestricted guest", "VPID", "VMX-preemption timer")


lynnfield = Machine("Bochs with one Core i5 Lynnfield", emulator="bochs", ips=10_000_000, model="corei5_lynnfield_750",
                    cpus=1, nodes=1, mem=512, manifest=HELLO_CONF, files=["guests/hello.elf"])


@lynnfield.test("a VT-x that lacks only unrestricted guests is said to lack that")
def _(r):
    no_vms(r, "lacks: unrestricted guest$")


locked = Machine("Bochs with VT-x locked off", emulator="bochs", ips=10_000_000, cpus=2, nodes=1, mem=512,
                 program="LOCK.EFI", manifest=HELLO_CONF, files=["BOOTX64.EFI", "guests/hello.elf"])


@locked.test("where the firmware has locked VT-x off, it is said what to change in the set-up")
def _(r):
    no_vms(r, r"switched off and locked by the firmware.*set-up, enable .*VT-x.*power-cycle")


# --- Linux ------------------------------------------------------------------------------------------------------------

def demo_conf():
    with open(os.path.join(ROOT, "manifests", "demo.conf"), encoding="utf-8") as f:
        return f.read()


LINUX_PROMPT = r"linux:\S+# $"

demo = Machine("Bochs with the demo", emulator="bochs", ips=100_000_000, cpus=4, nodes=2, mem=2048, vtx=True,
               manifest=demo_conf(), files=["guest/vmlinuz", "guest/initrd.gz"], boot_seconds=180)


@demo.test("the demo boots three Linux guests to their shells, two on one cpu and one alone under null")
def _(r):
    names = re.findall(r"^\[vm (\S+)\]", r.machine.manifest, re.M)
    check(len(names) == 3, f"manifests/demo.conf has the VMs {names}, want three")
    for name in names:
        attach(r, name, LINUX_PROMPT, 600)
        r.sh.detach()
        r.sh.cmd_has("vm list", vm_state(name, "running"))
    r.sh.cmd_has("pool list -c", pool_cpus("rt", "1"), pool_cpus("shared", "2"))
    check((vcpu(r, "sensor")["cpu"], vcpu(r, "red")["cpu"], vcpu(r, "blue")["cpu"]) == (1, 2, 2), "they run elsewhere")


@demo.test("uname -a answers in vm console, and Ctrl-] leaves it with the guest running")
def _(r):
    for vm in ("sensor", "red"):
        attach(r, vm, LINUX_PROMPT, 400)
        r.console.type("uname -a\r")
        r.console.expect(r"Linux linux 6\.[^\n]*x86_64", 60)
        r.sh.detach()
        r.sh.cmd_has("vm list", vm_state(vm, "running"))


@demo.test("a guest's lines are shown under its name where the console is not plain")
def _(r):
    attach(r, "red", LINUX_PROMPT, 400)
    r.console.type("(sleep 2; echo tarn-mark) &\r")
    r.console.expect(LINUX_PROMPT, 60)
    r.sh.detach()
    r.console.type("console rich\r")
    r.console.expect(r"\[red\] [^\n]*tarn-mark\n", 60)
    r.console.type("console plain\r")
    r.console.expect(r"ok\n" + SHELL, 20)


@demo.test("a long line typed to a guest arrives whole")
def _(r):
    attach(r, "sensor", LINUX_PROMPT, 400)
    line = "".join(f"{i:04d}" for i in range(200))
    r.console.type(f"echo {line} | wc -c\r")
    r.console.expect(rf"\n{len(line) + 1}\n", 60)
    r.sh.detach()


@demo.test("poweroff inside Linux leaves the VM stopped with that reason, its neighbours running, and it starts again")
def _(r):
    attach(r, "sensor", LINUX_PROMPT, 400)
    r.console.type("poweroff -f\r")
    r.console.expect(r"Power down", 60)
    r.sh.detach()
    r.sh.until("vm list", vm_state("sensor", "stopped", "the guest powered off"), 60)
    r.sh.cmd_has("vm list", vm_state("red", "running"), vm_state("blue", "running"))
    r.sh.cmd("vm start sensor")
    r.sh.cmd_has("vm list", vm_state("sensor", "running"))


@demo.test("poweroff with Linux guests running ends the machine")
def _(r):
    r.console.type("poweroff\r")
    r.console.expect(r"(?m)^tarn: exit 0$", 20)
    r.console.expect_end(30)
