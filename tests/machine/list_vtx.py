# SPDX-License-Identifier: BSD-2-Clause
"""The machine tests on Bochs' VT-x: tiny guests, machines whose VT-x is not enough, Linux. See list.py."""

import os
import re

from console import check, check_near
from machine import ROOT, Machine
from steps import SHELL, as_json, attach, counts, panics, pool_cpus, rows, running, stop, vcpu, vm_state

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


def rates(r, *vms, seconds=3):
    """Counts a millisecond of each guest's own clock, all over the same few seconds."""
    # A later one than there is: that may be from before the last guest started.
    before = {vm: counts(r, vm, counts(r, vm)) for vm in vms}
    for _ in range(60):
        r.console.expect_absent(r"panic", 1)
        after = {vm: counts(r, vm) for vm in vms}
        if all(after[vm][1] - before[vm][1] > seconds * 1_000_000 for vm in vms):
            return [1000 * (after[vm][0] - before[vm][0]) / (after[vm][1] - before[vm][1]) for vm in vms]
    check(False, f"the guests' clocks hardly move: {before}, {after}")


def as_stats(r, vm):
    """What `stats` tells of a VM's first vCPU."""
    return as_json(r, f"stats {vm}")["vms"][0]["vcpus"][0]


def goes_on(r, vm):
    counts(r, vm, counts(r, vm))


@guests.test("four cpus in two nodes of the generated tables come up in x2APIC mode under Bochs")
def _(r):
    check((r.figures["cpus"], r.figures["nodes"], r.figures["pools"]) == (4, 2, 4), str(r.figures))
    text = r.sh.cmd("cpu list")
    check(len(rows(text)) == 4 and "dead" not in text, f"cpu list:\n{text}")
    r.sh.cmd_has("log", r"4 of 4 online in 2 nodes, x2APIC mode", r"virt: on: VT-x, guests. local APICs in software")


@guests.test("a guest says hello on its console and exits with code 0")
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
        check_near(used / max(switches, 1), slice_ms, 0.1, f"{vm}: {switches} switches in {used:.0f} ms, each")


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


@guests.test("a busy guest alone under null is not interrupted once in four seconds, and stats see it run all the same")
def _(r):
    running(r, "busy")
    check("free" not in r.sh.cmd("cpu list"), "a free cpu could watch")
    looks, seconds = [], counts(r, "busy")[1] // 1_000_000
    for _ in range(2):
        looks.append(as_stats(r, "busy"))
        seconds += 4
        while counts(r, "busy")[1] < seconds * 1_000_000:
            r.console.expect_absent("panic", 1)
    exits = [look["exits"] for look in looks]
    grown = {kind: n - exits[0].get(kind, 0) for kind, n in exits[1].items() if n != exits[0].get(kind, 0)}
    ran_ms = (looks[1]["run_ns"] - looks[0]["run_ns"]) / 1e6
    listed = [vm["used_ns"] for vm in as_json(r, "vm list") if vm["vm"] == "busy"]
    stop(r, "busy")
    print(f"     its exits meanwhile: {grown}")
    check(set(grown) == {"io"}, f"exits of busy meanwhile: {grown}")
    check(ran_ms > 3500 and listed[0] >= looks[1]["run_ns"], f"stats saw it run for {ran_ms} ms; vm list has {listed}")


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


@demo.test("two guests busy on one cpu see the other's share as stolen time, and stats tells where their time went")
def _(r):
    attach(r, "blue", LINUX_PROMPT, 400)
    r.console.type("while :; do :; done &\r")
    r.sh.detach()
    before = as_stats(r, "red")
    attach(r, "red", LINUX_PROMPT, 400)
    r.console.type("head -n 1 /proc/stat; while :; do :; done & sleep 3; head -n 1 /proc/stat; kill $!\r")
    steal = [int(r.console.expect(r"\ncpu +(?:\d+ +){7}(\d+) ", 200).group(1)) for _ in range(2)]
    r.sh.detach()
    check(50 <= steal[1] - steal[0] <= 250, f"of 3 s beside another busy guest {steal[1] - steal[0]} ticks of 10 ms were stolen")
    after = as_stats(r, "red")
    grown = {key: after[key] - before[key] for key in ("run_ns", "wait_ns", "interrupts")}
    check(min(grown.values()) > 0 and after["blocked_ns"] > 0, f"stats: {grown} while it was busy, blocked {after['blocked_ns']} ns")
    check(after["exits"].get("hlt", 0) > 0 and after["exits"].get("timer", 0) > 0, f"stats: exits {after['exits']}")
    attach(r, "blue", LINUX_PROMPT, 400)
    r.console.type("kill $!\r")
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
