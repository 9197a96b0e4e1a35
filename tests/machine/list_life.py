# SPDX-License-Identifier: BSD-2-Clause
"""Machine tests of a VM's life: how it ends and what follows, many VMs one after the other, many vCPUs, bad images."""

from console import check
from machine import Machine
from steps import as_json, vm_state

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


CONF = ("[boot]\nfiles = end.elf" + "".join(f" bad-{b}.elf" for b in BAD) + "\n"
        "[pool two]\ncpus = 1-2\n[vm all]\npool = two\nvcpus = 64\nmemory = 16M\nkernel = smp.elf\nautostart = no\n")

life = Machine("Bochs with VMs that come and go", emulator="bochs", ips=10_000_000, cpus=3, nodes=2, mem=1024, vtx=True,
               manifest=CONF, files=["guests/end.elf", "guests/smp.elf"] + [f"guests/bad-{b}.elf" for b in BAD])


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


many = Machine("Bochs with 1,000 VMs one after the other", emulator="bochs", ips=10_000_000, cpus=3, nodes=2, mem=1024, vtx=True,
               slow=True, manifest=CONF, files=life.files)


@many.test("after 1,000 rounds of create, start and destroy each node has exactly as much free memory as before")
def _(r):
    rounds(r, 1000)
