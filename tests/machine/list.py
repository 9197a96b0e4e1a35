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
STOPPED = r"(stopped|crashed)"


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


def find_dicts(value):
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from find_dicts(item)


def used_ns(r, vm):
    """Time that a VM's vcpus ran, from `vcpu list`."""
    mine = [d for d in find_dicts(as_json(r, "vcpu list")) if d.get("vm") == vm and "used_ns" in d]
    check(mine, f"'vcpu list -j' has no used_ns of {vm}")
    return sum(d["used_ns"] for d in mine)


def vm_state(name, state):
    return rf"^\s*{name}\b.*\b{state}\b"


def pool_cpus(name, cpus):
    """A row of `pool list -c`."""
    return rf"^\s*{name}\b.*(?<![\d,-]){cpus}(?![\d,-])"


def running(r, *vms):
    """Starts those that do not run: a test may be run without the ones before it."""
    for vm in vms:
        if not re.search(vm_state(vm, "running"), r.sh.cmd("vm list"), re.M):
            r.sh.cmd(f"vm start {vm}")


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


# --- The loader, with a small kernel of its own that checks what is handed over ---------------------------------------

for emulator in ("qemu", "bochs"):
    handoff = Machine(f"the hand-off under {emulator}", emulator=emulator, ips=10_000_000, cpus=2, nodes=2, mem=512,
                      program="BOOTTEST.EFI", manifest="[boot]\nfiles = initrd.gz\n", files=["guest/initrd.gz"])

    @handoff.test(f"the loader under {emulator} hands over what boot_info.h promises, and the machine turns off")
    def _(r):
        match = r.console.expect(r"boottest: (\d+) passed, (\d+) failed", r.machine.boot_seconds)
        check(int(match.group(1)) >= 20 and match.group(2) == "0", match.group(0))
        r.console.expect_end(20)


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


@one.test("an unknown command is an error that says so")
def _(r):
    r.sh.cmd_error("frobnicate")
    r.sh.cmd_error("pool frobnicate")


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


@four.test("four cpus in two nodes under QEMU boot with the manifest's pools")
def _(r):
    check((r.figures["cpus"], r.figures["nodes"], r.figures["pools"]) == (4, 2, 3), str(r.figures))
    r.sh.cmd_has("pool list -c", pool_cpus("pool0", "0"), pool_cpus("rt", "1"), pool_cpus("web", "2[-,]3"))


@four.test("cpu list has a row for every cpu and none is dead")
def _(r):
    text = r.sh.cmd("cpu list")
    check(len(rows(text)) == 4 and "dead" not in text, f"cpu list:\n{text}")
    r.sh.cmd("cpu list -v")
    check(len([d for d in find_dicts(as_json(r, "cpu list")) if "node" in d]) == 4, "cpu list -j has not four cpus")


@four.test("node list has both nodes with their distances")
def _(r):
    text = r.sh.cmd_has("node list", r"\b10\b", r"\b2[01]\b")
    check(len(rows(text)) >= 2, f"node list:\n{text}")


@four.test("mem, log, sched list, vm list, vcpu list and manifest show have something to say")
def _(r):
    r.sh.cmd_has("mem", r"\d+(\.\d+)?\s*[KMG]i?B?")
    r.sh.cmd_has("log", r"(?i)cpu")
    r.sh.cmd_has("sched list", r"\bnull\b", r"\brr\b", r"\btimeslice\b")
    r.sh.cmd("vm list")
    r.sh.cmd("vcpu list")
    r.sh.cmd_has("manifest show", r"\[pool web\]")
    r.sh.cmd_has("file list", r"hello\.elf")


@four.test("help lists the commands of every group")
def _(r):
    r.sh.cmd_has("help", "cpu list", "node list", r"\bmem\b", "pool list", "pool create", "vm list", "vm console",
                 "vcpu list", "sched list", "manifest check", r"\bstats\b", r"\blog\b", "version", "poweroff")
    r.sh.cmd_has("help pool create", r"sched=")


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
    after = r.sh.cmd("pool list -c")
    check(before == after, f"pool list -c was\n{before}and is\n{after}")


@four.test("starting a VM where there is no VT-x says that VT-x is missing")
def _(r):
    r.sh.cmd_error("vm start sensor", r"(?i)VT-x")


@four.test("a line of a hundred words and one of a thousand characters do no harm")
def _(r):
    r.sh.cmd_error("pool create " + "x " * 100)
    r.sh.cmd_error("y" * 1000)
    r.sh.cmd("version")


bare = Machine("QEMU without a manifest", emulator="qemu", cpus=3, nodes=1, mem=512, manifest=None)


@bare.test("without a manifest every cpu is in pool0")
def _(r):
    check((r.figures["cpus"], r.figures["pools"], r.figures["vms"]) == (3, 1, 0), str(r.figures))
    r.sh.cmd_has("pool list -c", pool_cpus("pool0", "0-2"))


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
[vm v
"""

bad = Machine("QEMU with a bad manifest", emulator="qemu", cpus=4, nodes=2, mem=512, manifest=BAD_CONF,
              manifest_bad=True)


@bad.test("a bad manifest is reported line by line and what is right is built")
def _(r):
    r.sh.cmd_has("log", r"tarn\.conf:2:1: ", r"tarn\.conf:7:9: .*nosuch", r"tarn\.conf:9:", r"tarn\.conf:10:")
    text = r.sh.cmd_has("pool list -c", pool_cpus("good", "1"))
    check("worse" not in text, f"pool worse was made:\n{text}")


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


@x8dtt.test("a dead cpu cannot join a pool")
def _(r):
    r.sh.cmd_error("pool create p sched=rr cpus=2", r"(?i)dead|answer|online")


# --- Bochs: VT-x ------------------------------------------------------------------------------------------------------

GUESTS_CONF = """\
[pool rt]
sched = null
cpus  = 1
[pool web]
sched     = rr
timeslice = 5ms
cpus      = 2

[vm hello]
pool = rt
memory = 16M
kernel = hello.elf
autostart = no
[vm a]
pool = web
memory = 16M
kernel = counter.elf
autostart = no
[vm b]
pool = web
memory = 16M
kernel = counter.elf
autostart = no
[vm triple]
pool = web
memory = 16M
kernel = triple.elf
autostart = no
[vm spin]
pool = web
memory = 16M
kernel = spin.elf
autostart = no
[vm outside]
pool = web
memory = 16M
kernel = outside.elf
autostart = no
"""

guests = Machine("Bochs with four cpus and tiny guests", emulator="bochs", ips=10_000_000, cpus=4, nodes=2,
                 mem=1024, vtx=True, manifest=GUESTS_CONF,
                 files=[f"guests/{n}.elf" for n in ("hello", "counter", "triple", "spin", "outside")])


@guests.test("four cpus in two nodes are read from the generated tables under Bochs")
def _(r):
    check((r.figures["cpus"], r.figures["nodes"], r.figures["pools"]) == (4, 2, 3), str(r.figures))
    text = r.sh.cmd("cpu list")
    check(len(rows(text)) == 4 and "dead" not in text, f"cpu list:\n{text}")


@guests.test("a guest says hello on its console and powers off")
def _(r):
    r.sh.cmd("vm start hello")
    r.sh.until("vm list", vm_state("hello", "stopped"), 30)
    r.sh.attach("hello")
    r.console.expect(r"(?i)hello", 10)
    r.sh.detach()


@guests.test("two busy guests on one cpu share it within 2 percent under rr")
def _(r):
    running(r, "a", "b")
    first = used_ns(r, "a"), used_ns(r, "b")
    for _ in range(120):
        r.console.expect_absent(r"panic", 1)
        if used_ns(r, "a") + used_ns(r, "b") - sum(first) > 1_000_000_000:
            break
    # Paused before it is read, so that both figures are of one moment.
    r.sh.cmd("vm pause a")
    r.sh.cmd("vm pause b")
    got = [after - before for after, before in zip((used_ns(r, "a"), used_ns(r, "b")), first)]
    check(sum(got) > 1_000_000_000, f"they ran {got} ns only")
    check_near(got[0], sum(got) / 2, 0.02, f"a's share of {got} ns")
    r.sh.cmd("vm resume a")
    r.sh.cmd("vm resume b")


@guests.test("a guest that triple-faults is stopped with its registers in the log, and its neighbour runs on")
def _(r):
    running(r, "a")
    before = used_ns(r, "a")
    r.sh.cmd("vm start triple")
    r.sh.until("vm list", vm_state("triple", STOPPED), 30)
    r.sh.cmd_has("log", r"(?i)triple.*fault", r"(?i)\brip\b")
    r.sh.cmd_has("vm list", vm_state("a", "running"))
    r.console.expect_absent(r"panic", 1)
    check(used_ns(r, "a") > before, "guest a stopped running")


@guests.test("a guest that spins with interrupts off keeps neither its cpu nor itself from being stopped")
def _(r):
    running(r, "a")
    r.sh.cmd("vm start spin")
    before = used_ns(r, "a")
    r.console.expect_absent(r"panic", 3)
    check(used_ns(r, "a") > before, "guest a stopped running")
    r.sh.cmd("vm stop spin", seconds=30)
    r.sh.until("vm list", vm_state("spin", "stopped"), 30)


@guests.test("a guest that touches memory outside its map is stopped, and its neighbour runs on")
def _(r):
    running(r, "a")
    r.sh.cmd("vm start outside")
    r.sh.until("vm list", vm_state("outside", STOPPED), 30)
    before = used_ns(r, "a")
    r.console.expect_absent(r"panic", 1)
    check(used_ns(r, "a") > before, "guest a stopped running")


@guests.test("a running guest moves to another pool and back")
def _(r):
    running(r, "a")
    r.sh.cmd("vm migrate a pool0")
    before = used_ns(r, "a")
    r.console.expect_absent(r"panic", 1)
    check(used_ns(r, "a") > before, "guest a does not run in its new pool")
    r.sh.cmd_error("pool destroy pool0")
    r.sh.cmd("vm migrate a web")
    r.sh.cmd_has("vm list", vm_state("a", "running"))


@guests.test("a cpu leaves a pool while guests run there, and comes back")
def _(r):
    running(r, "a", "b")
    r.sh.cmd_error("pool cpu-remove web 2")
    r.sh.cmd("pool cpu-remove pool0 3")
    r.sh.cmd("pool cpu-add web 3")
    r.sh.cmd("pool cpu-remove web 2")
    before = used_ns(r, "a"), used_ns(r, "b")
    r.console.expect_absent(r"panic", 2)
    check(used_ns(r, "a") > before[0] and used_ns(r, "b") > before[1], "a guest stopped when its cpu left")
    r.sh.cmd("pool cpu-add web 2")


# Models without some features, so that the fallbacks run.
for model in ("corei7_haswell_4770", "corei3_cnl", "corei7_icelake_u"):
    other = Machine(f"Bochs with one {model}", emulator="bochs", ips=10_000_000, model=model, cpus=1, nodes=1, mem=512,
                    vtx=True, manifest="[vm hello]\nmemory = 16M\nkernel = hello.elf\nautostart = no\n",
                    files=["guests/hello.elf"])

    @other.test(f"a guest runs on {model} too")
    def _(r):
        r.sh.cmd("vm start hello")
        r.sh.until("vm list", vm_state("hello", "stopped"), 30)


LINUX_CONF = """\
[boot]
housekeeping = 0
[pool rt]
sched = null
cpus  = 1
[vm web]
pool    = rt
memory  = 256M
kernel  = vmlinuz
initrd  = initrd.gz
cmdline = "console=ttyS0 quiet panic=-1 tarn.name=web"
"""

linux = Machine("Bochs with a Linux guest", emulator="bochs", ips=100_000_000, cpus=2, nodes=1, mem=1024, vtx=True,
                manifest=LINUX_CONF, files=["guest/vmlinuz", "guest/initrd.gz"], boot_seconds=180)


LINUX_PROMPT = r"web:~# $"


@linux.test("Linux boots to its shell as a guest, and Ctrl-] leaves its console")
def _(r):
    attach(r, "web", LINUX_PROMPT, 400)
    r.sh.detach()
    r.sh.cmd_has("vm list", vm_state("web", "running"))


@linux.test("uname -a answers in vm console")
def _(r):
    attach(r, "web", LINUX_PROMPT, 400)
    r.console.type("uname -a\r")
    r.console.expect(r"Linux web 6\.[^\n]*x86_64", 60)
    r.sh.detach()


@linux.test("a guest's lines are shown under its name where the console is not plain")
def _(r):
    attach(r, "web", LINUX_PROMPT, 400)
    r.console.type("(sleep 2; echo tarn-mark) &\r")
    r.console.expect(LINUX_PROMPT, 60)
    r.sh.detach()
    r.console.type("console rich\r")
    r.console.expect(r"\[web\] [^\n]*tarn-mark\n", 60)
    r.console.type("console plain\r")
    r.console.expect(r"ok\n" + SHELL, 20)


@linux.test("poweroff inside Linux leaves the VM stopped, and it starts again")
def _(r):
    attach(r, "web", LINUX_PROMPT, 400)
    r.console.type("poweroff -f\r")
    r.console.expect(r"Power down", 60)
    r.sh.detach()
    r.sh.until("vm list", vm_state("web", "stopped"), 60)
    r.sh.cmd("vm start web")
    r.sh.cmd_has("vm list", vm_state("web", "running"))


def demo_conf():
    path = os.path.join(ROOT, "manifests", "demo.conf")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as f:
        return f.read()


demo = Machine("Bochs with the demo", emulator="bochs", ips=100_000_000, cpus=4, nodes=2, mem=2048, vtx=True,
               manifest=demo_conf(), files=["guest/vmlinuz", "guest/initrd.gz"], boot_seconds=180)


@demo.test("the demo boots three Linux guests")
def _(r):
    names = re.findall(r"^\[vm (\S+)\]", r.machine.manifest or "", re.M)
    check(len(names) == 3, f"manifests/demo.conf has the VMs {names}, want three")
    for name in names:
        attach(r, name, r"tarn-guest: \S+ (ready|\d+)|:~# ", 600)
        r.sh.detach()
        r.sh.cmd_has("vm list", vm_state(name, "running"))
