# SPDX-License-Identifier: BSD-2-Clause
"""Machine tests of a VM's life: how it ends and what follows, many VMs one after the other, many vCPUs, bad images."""

from console import check, check_near
from machine import Machine
from steps import as_json, counts, pool_cpus, stop, vcpu, vm_state

# Images with one field made wrong (build.mk), and what `vm start` then says.
BAD = {
    "cut": r"segment 0: p_offset 0x1000 \+ p_filesz",
    "arm": r"e_machine: 183",
    "overlap": r"p_paddr 0x\w+ overlaps segment",
    "big": r"p_paddr, p_memsz: 0x7fffffff bytes at 0x\w+, but RAM ends at 0x1000000",
}

# What the guest does, and what `vm list` says then.
ENDS = {
    "exit=42": ("stopped", "exited with code 42"),
    "poweroff": ("stopped", "powered off"),
    "port-cf9": ("stopped", "reset itself"),
    "port-64": ("stopped", "reset itself"),
    "triple": ("crashed", "triple fault"),
}


CONF = ("[boot]\nfiles = end.elf counter.elf" + "".join(f" bad-{b}.elf" for b in BAD) + "\n"
        "[pool two]\ncpus = 1-2\n[vm all]\npool = two\nvcpus = 64\nmemory = 16M\nkernel = smp.elf\nautostart = no\n")

life = Machine("Bochs with VMs that come and go", emulator="bochs", ips=10_000_000, cpus=3, nodes=2, mem=1024, vtx=True,
               manifest=CONF, files=["guests/end.elf", "guests/counter.elf", "guests/smp.elf"] + [f"guests/bad-{b}.elf" for b in BAD])


def create(r, name, line, more=""):
    r.sh.cmd(f'vm create {name} kernel=end.elf memory=16M cmdline="{line}" {more}')


def free_bytes(r):
    return [n["free_bytes"] for n in as_json(r, "node list")]


@life.test("exit, power-off, both reset ports and a triple fault end a guest in its state, with the reason, again and again")
def _(r):
    for line, (state, why) in ENDS.items():
        create(r, "e", line, "on-reboot=stop")
        for _ in range(3):
            r.sh.cmd("vm start e")
            r.sh.until("vm list", vm_state("e", state, why), 30)
        r.sh.cmd("vm destroy e")
    create(r, "e", "exit=42")
    r.sh.cmd("vm start e")
    r.sh.until("vm list", vm_state("e", "stopped", "42"), 30)
    check(as_json(r, "vm list")[-1]["exit_code"] == 42, "vm list -j has another exit code")
    r.sh.cmd("vm destroy e")


@life.test("on-poweroff, on-reboot and on-crash stop, restart or destroy a VM as they say")
def _(r):
    for line, key in (("poweroff", "on-poweroff"), ("port-cf9", "on-reboot"), ("triple", "on-crash")):
        state, why = ENDS[line]
        create(r, "s", line, f"{key}=stop")
        create(r, "d", line, f"{key}=destroy")
        create(r, "again", line, f"{key}=restart")
        for vm in ("s", "d", "again"):
            r.sh.cmd(f"vm start {vm}")
        r.sh.until("vm list", vm_state("s", state, why), 30)
        r.sh.until("vm list", r"\A(?![\s\S]*^d\b)", 30)
        # Twice at least; the pause between doubles each time.
        r.sh.attach("again")
        r.console.expect(rf"{line}\n[\s\S]*{line}\n", 60)
        r.sh.detach()
        r.sh.cmd("vm stop again")
        r.sh.cmd("vm destroy s")
        r.sh.cmd("vm destroy again")


def rounds(r, count):
    before = free_bytes(r)
    for i in range(count):
        r.sh.cmd(f"vm create v{i % 3} kernel=end.elf memory=16M vcpus={1 + i % 4} cmdline=exit={i}")
        r.sh.cmd(f"vm start v{i % 3}")
        if i % 2 == 0:
            r.sh.until("vm list", vm_state(f"v{i % 3}", "stopped", f"code {i}"), 30, every=0.1)
        r.sh.cmd(f"vm destroy v{i % 3}")
    check(free_bytes(r) == before, f"free bytes by node: {before} before, {free_bytes(r)} after")


@life.test("after 50 rounds of create, start and destroy each node has exactly as much free memory as before")
def _(r):
    rounds(r, 50)


@life.test("a VM of 64 vCPUs on two cpus starts all of them, and each counts")
def _(r):
    r.sh.cmd("vm start all")
    r.sh.until("vm list", vm_state("all", "stopped", "exited with code 0"), 120)
    r.sh.attach("all")
    r.console.expect(r"vCPUs that count: 64 of 64", 10)
    r.sh.detach()
    r.sh.cmd_error("vm create more vcpus=65 kernel=smp.elf memory=16M", "64")


@life.test("a truncated, an overlapping, a too big and another machine's image are refused by the name of the field")
def _(r):
    for name, why in BAD.items():
        r.sh.cmd(f"vm create bad kernel=bad-{name}.elf memory=16M")
        r.sh.cmd_error("vm start bad", why)
        r.sh.cmd("vm destroy bad")


@life.test("a vCPU that is pinned runs on the cpus it is pinned to, and they cannot leave its pool meanwhile")
def _(r):
    r.sh.cmd("vm create pinned pool=two kernel=counter.elf memory=16M autostart=yes")
    for cpu in (1, 2, 1):
        r.sh.cmd(f"vcpu pin pinned 0 {cpu}")
        r.sh.until("vcpu list", rf"^pinned +0 +running +{cpu} ", 10)
        last = counts(r, "pinned")
        check(counts(r, "pinned", last)[0] > last[0] and vcpu(r, "pinned")["cpu"] == cpu, "it does not run there")
        r.sh.cmd_error(f"pool cpu-remove two {cpu}", "vCPU 0 of pinned may run nowhere else")
    r.sh.cmd_error("vcpu pin pinned 0 0", "pool two has none of these cpus")
    r.sh.cmd_error("vcpu pin pinned 1 1", "1")
    r.sh.cmd_error("vcpu pin nosuch 0 1", "nosuch")
    check(vcpu(r, "pinned")["cpu"] == 1, "a refused pin moved it")
    r.sh.cmd("vcpu pin pinned 0 all 2")         # would rather be on 2, and that is free
    r.sh.cmd("pool cpu-remove two 1")
    r.sh.cmd_has("pool list -c", pool_cpus("two", "2"))
    r.sh.until("vcpu list", r"^pinned +0 +running +2 ", 10)
    r.sh.cmd("pool cpu-add two 1")
    r.sh.cmd("vm destroy pinned")


def used_mib(r, before):
    """MiB that each node has less than before."""
    return [(was - now) / 2**20 for was, now in zip(before, free_bytes(r))]


@life.test("memory comes from the pool's node: under strict all of it or the VM is not made, under prefer the rest from elsewhere")
def _(r):
    before = free_bytes(r)
    r.sh.cmd("pool cpu-remove two 2")
    r.sh.cmd("pool create far cpus=2")
    free = free_bytes(r)
    more = f"memory={free[1] // 2**20 + 64}M"
    r.sh.cmd("vm create near pool=far kernel=end.elf memory=128M")
    here, there = used_mib(r, free)
    check(here < 1, f"{here} MiB of node 0 went to a VM of a pool in node 1")
    check_near(there, 129, 0.01, "MiB of node 1 for a VM of 128 MiB")
    r.sh.cmd("vm destroy near")
    r.sh.cmd_error(f"vm create large pool=far kernel=end.elf {more}", r"nodes have \d+ MiB of \d+ MiB")
    check(free_bytes(r) == free, f"free bytes by node: {free} before it was refused, {free_bytes(r)} after")
    r.sh.cmd(f"vm create large pool=far kernel=end.elf {more} memory-policy=prefer cmdline=exit=7")
    here, there = used_mib(r, free)
    check(here >= 60 and free[1] / 2**20 - there < 8, f"of nodes 0 and 1 {here:.0f} and {there:.0f} MiB are used")
    r.sh.cmd("vm start large")
    r.sh.until("vm list", vm_state("large", "stopped", "exited with code 7"), 60)
    r.sh.cmd("vm destroy large")
    r.sh.cmd("pool destroy far")
    r.sh.cmd("pool cpu-add two 2")
    check(free_bytes(r) == before, f"free bytes by node: {before} before, {free_bytes(r)} after")


@life.test("under admission=warn a VM that does not fit is let in with the arithmetic on the log, under refuse it is not made")
def _(r):
    r.sh.cmd("pool cpu-remove two 2")
    r.sh.cmd("pool create tight sched=sedf cpus=2")
    r.sh.cmd("vm create fits pool=tight kernel=counter.elf memory=4M period=10ms slice=6ms")
    over = "vm create over pool=tight kernel=counter.elf memory=4M period=10ms slice=5ms"
    r.sh.cmd_error(over, r"slices take 0\.600 there \+ 0\.500 new = 1\.100 of 1 cpus")
    r.sh.cmd("pool set tight admission=warn")
    r.sh.cmd(over)
    r.sh.cmd_has("log", r"pool tight: over, although slices take 0\.600 there \+ 0\.500 new = 1\.100 of 1 cpus")
    for vm in ("fits", "over"):
        r.sh.cmd(f"vm start {vm}")
        counts(r, vm, counts(r, vm))
    r.sh.cmd("pool set tight admission=refuse")
    r.sh.cmd_error("vm create more pool=tight kernel=counter.elf memory=4M period=10ms slice=1ms",
                   r"slices take 1\.100 there \+ 0\.100 new")
    for vm in ("fits", "over"):
        stop(r, vm)
        r.sh.cmd(f"vm destroy {vm}")
    r.sh.cmd("pool destroy tight")
    r.sh.cmd("pool cpu-add two 2")


many = Machine("Bochs with 1,000 VMs one after the other", emulator="bochs", ips=10_000_000, cpus=3, nodes=2, mem=1024, vtx=True,
               slow=True, manifest=CONF, files=life.files)


@many.test("after 1,000 rounds of create, start and destroy each node has exactly as much free memory as before")
def _(r):
    rounds(r, 1000)
