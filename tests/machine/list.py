# SPDX-License-Identifier: BSD-2-Clause
"""The machine tests that need no VT-x; the other list_*.py have the rest.

A stanza is a Machine (what boots, once) and its tests, in order, on that boot. A test is a sentence of what must hold
and a function that does what a person at the console would: r.sh.cmd("pool list") types a command and returns its
answer, r.console is what lies under it, r.figures holds the counts of the line `tarn: ready`. See machine.py for what a
Machine can have and console.py for what can be asked. A test leaves the machine as the next ones expect it.
"""

import os
import re

from console import check
from machine import BUILD, ROOT, Machine
from steps import SHELL, as_json, panics, pool_cpus, rows


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
default-sched = eevdf
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
    r.sh.cmd_has("log", r"cpu: 4 of 4 online", r"virt: VMs cannot run")
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
    pools = [(p["name"], p["cpu_list"]) for p in as_json(r, "pool list")]
    check(pools == [("pool0", "0"), ("rt", "1"), ("web", "2-3")], f"pool list -j has {pools}")
    check(as_json(r, "pool show web")["values"] == {"timeslice": "10ms"}, "pool show -j has another timeslice")
    check({s["name"] for s in as_json(r, "sched list")} >= {"credit2", "null", "rr"}, "sched list -j lacks a policy")
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
    r.sh.cmd_has("help vm create", r"^  memory +RAM: a size.*, must be given")
    r.sh.cmd_has("help pool create", r"^  cpus +the pool's cpus")
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


@four.test("a pool without a scheduler of its own has the manifest's default-sched, made at boot or at the console")
def _(r):
    r.sh.cmd("pool cpu-remove web 3")
    r.sh.cmd("pool create tmp cpus=free")
    r.sh.cmd_has("pool list", r"^pool0 +1 +eevdf\b", r"^tmp +1 +eevdf\b")
    r.sh.cmd("pool destroy tmp")
    r.sh.cmd("pool cpu-add web 3")


@four.test("pool numa-split makes each other node's cpus a pool like the first, or says why not and changes nothing")
def _(r):
    r.sh.cmd_error("pool numa-split", "pool0: found cpus of no other node than 0 in it")
    r.sh.cmd("pool cpu-remove web 2-3")
    r.sh.cmd("pool cpu-add pool0 free")
    r.sh.cmd("pool set pool0 timeslice=7ms")
    r.sh.cmd("pool create node1")
    r.sh.cmd_error("pool numa-split", "node1 exists already")
    r.sh.cmd_has("pool list -c", pool_cpus("pool0", "0,2-3"), r"^node1 +0 ")
    r.sh.cmd("pool destroy node1")
    r.sh.cmd("cpupool-numa-split")
    r.sh.cmd_has("pool list -c", pool_cpus("pool0", "0"), pool_cpus("node1", "2-3"), r"^node1 +2 +eevdf\b")
    r.sh.cmd_has("pool show node1", r"^memory node +1$", r"^timeslice +7ms$")
    r.sh.cmd("pool destroy node1")
    r.sh.cmd("pool cpu-add web free")


@four.test("file list has each file of the manifest with its size, and manifest show prints the manifest as it is on the stick")
def _(r):
    size = os.path.getsize(os.path.join(ROOT, BUILD, "guests", "hello.elf"))
    r.sh.cmd_has("file list", rf"^hello\.elf +{size} ")
    check(as_json(r, "file list") == [{"file": "hello.elf", "bytes": size}], r.sh.cmd("file list -j"))
    shown = r.sh.cmd("manifest show")
    check(shown == FOUR_CONF, f"manifest show:\n{shown}")
    r.sh.cmd_error("manifest show nosuch", "nosuch: found no file of that name")


@four.test("manifest check finds this machine's manifest right, and a guest's image no manifest")
def _(r):
    r.sh.cmd_has("manifest check", r"\A3 pools, 1 VM, 0 warnings\n\Z")
    r.sh.cmd_error("manifest check hello.elf", r"hello\.elf: \d+ errors")


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


@high.test("with memory above 4 GiB every cpu comes up, and all of it is used")
def _(r):
    check(r.figures["cpus"] == 2, str(r.figures))
    total = sum(n["total_pages"] for n in as_json(r, "mem")) * 4096
    check(total >= 5.5 * 2**30, f"mem has {total} bytes of 6 GiB")


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
    for name in ("worse", "again", "far"):
        check(not re.search(rf"^{name}\b", text, re.M), f"pool {name} was made:\n{text}")


@bad.test("manifest check lists what the log had at boot, and the manifest is shown as it is")
def _(r):
    r.sh.cmd_error("manifest check", r"tarn\.conf: \d+ errors")
    text, _ = r.sh.answer("manifest check", 20)
    faults = re.findall(r"^tarn\.conf:\d+:.*$", text, re.M)
    check(len(faults) >= 6 and all(fault in r.sh.cmd("log") for fault in faults), f"manifest check:\n{text}")
    check(r.sh.cmd("manifest show") == BAD_CONF, "manifest show has another text")


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
