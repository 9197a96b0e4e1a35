# SPDX-License-Identifier: BSD-2-Clause
"""Machine tests with guests that nobody here wrote, out of Debian's packages (tools/guest-images.sh).

Each runs alone on its machine, to what its own documentation or last line calls the end. The slow ones run only with
SLOW=1 in the environment: they take minutes each.
"""

import re

from console import check
from machine import Machine


def start(r, vm):
    """Starts a VM and attaches to its console, which repeats what was written since."""
    r.sh.cmd(f"vm start {vm}")
    r.sh.attach(vm)


def ended(r, vm, state, why, seconds):
    """Waits until a VM has ended; returns its row of `vm list`."""
    return r.sh.until("vm list", rf"^{vm}\b.*\b{state}\b.*{why}", seconds, every=2)


def conf(**sections):
    """A manifest with VMs that are started by the tests."""
    text = ""
    for name, keys in sections.items():
        text += f"[vm {name}]\nautostart = no\non-reboot = stop\n{keys}\n"
    return text


# --- Cheap: every `make test` --------------------------------------------------------------------------------------

SMALL_CONF = conf(mach="memory = 64M\nkernel = gnumach\ncmdline = console=com0",
                  invaders="pool = game\nmemory = 16M\nkernel = invaders",
                  pvh="memory = 256M\nkernel = vmlinux\ninitrd = initrd.gz\n"
                      'cmdline = "console=ttyS0 quiet cryptomgr.notests tarn.run=true"')

# Bochs lets no interrupt of the host's through while such a game has its own off: so it has a cpu away from the shell's.
SMALL_CONF += "[pool game]\nsched = null\ncpus = 1\n"
small = Machine("Bochs with GNU Mach and a PVH Linux", emulator="bochs", cpus=2, nodes=1, mem=768, manifest=SMALL_CONF, vtx=True,
                files=["guest/gnumach", "guest/invaders", "guest/vmlinux", "guest/initrd.gz"], boot_seconds=240)


@small.test("GNU Mach, a Multiboot ELF64, finds its memory, clock and serial port, and asks for a bootstrap module")
def _(r):
    start(r, "mach")
    text = r.console.expect(r"(?s)GNU Mach 1\.8.*No bootstrap code loaded with the kernel!", 120).group(0)
    for pattern in (r"biosmem: physical memory map:", r"biosmem: 000000000000000000:00000000000009f000, available",
                    r"biosmem: 000000000000100000:000000000004000000, available", r"RTC time is 2\d\d\d-\d\d-\d\d"):
        check(re.search(pattern, text), f"GNU Mach did not print '{pattern}':\n{text}")
    r.sh.detach()
    r.sh.cmd("vm stop mach")


@small.test("grub-invaders, a flat Multiboot image, polls the clock and the keyboard of its text screen")
def _(r):
    r.sh.cmd("vm start invaders")
    # It prints nothing but on the screen: it must still be at its game loop, reading the 8254 and port 0x64.
    r.sh.until("vm show invaders", r"exits io +\d{4,}", 60)
    r.sh.cmd_has("vm list", r"^invaders\b.*\brunning\b")
    r.sh.cmd("vm stop invaders")


@small.test("Linux starts by its PVH entry note, runs /init and powers off")
def _(r):
    start(r, "pvh")
    r.console.expect(r"tarn-guest: linux ready, Linux 6\.\S+-cloud-amd64, 1 cpus", 120)
    r.console.expect(r"tarn-guest: linux done, status 0", 60)
    r.sh.detach()
    ended(r, "pvh", "stopped", "powered off", 60)


# --- SMP Linux under load: tests/linux/load.c -----------------------------------------------------------------------

COMPLAINTS = r"(?:unstable|self-detected stall|detected stalls|lockup|BUG:|WARNING: CPU|hung task|not responding|XSAVE consistency)"


def smp(vcpus, cpus, rounds, **more):
    """A machine with one Linux of so many vCPUs on so many cpus; they take short turns where there are too few."""
    pool = f"[boot]\nhousekeeping = 0\n[pool p]\nsched = rr\ntimeslice = 1ms\ncpus = 0-{cpus - 1}\n" if vcpus > cpus else ""
    machine = Machine(f"Bochs with a Linux of {vcpus} vCPUs on {cpus}, {rounds} rounds", emulator="bochs",
                      cpus=cpus, mem=768, vtx=True, files=["guest/vmlinuz", "guest/initrd.gz"],
                      boot_seconds=240,
                      manifest=pool + conf(smp=f"{'pool = p' if pool else ''}\nvcpus = {vcpus}\nmemory = 256M\nkernel = vmlinuz\ninitrd = initrd.gz\n"
                                        f'cmdline = "console=ttyS0 cryptomgr.notests tarn.run=load {rounds}"'), **more)

    @machine.test(f"a Linux of {vcpus} vCPUs on {cpus} cpus survives {rounds} rounds of fork, exec, pipe, signal and"
                  " TLB shoot-downs, all of them used")
    def _(r):
        start(r, "smp")
        text = r.console.expect(rf"(?s).*tarn-guest: linux ready, Linux 6\.\S+, {vcpus} cpus", 300).group(0)
        text += r.console.expect(r"(?s).*(tarn-guest: linux done, status \d+|load: FAILED[^\n]*)", 900).group(0)
        check(f"load: all {rounds} rounds were right on {vcpus} cpus" in text, f"the load ended so:\n{text[-1000:]}")
        complaint = re.search(rf"[^\n]*{COMPLAINTS}[^\n]*", text)
        check(not complaint, f"Linux says: {complaint and complaint.group(0)}")
        r.sh.detach()
        ended(r, "smp", "stopped", "powered off", 60)


smp(2, 2, 300)
smp(2, 2, 1000, slow=True)
smp(4, 4, 1000, slow=True)
smp(4, 2, 1000, slow=True)
smp(2, 1, 1000, slow=True)


# --- Slow ----------------------------------------------------------------------------------------------------------

LINUX_ARGS = 'initrd = initrd.gz\ncmdline = "console=ttyS0 quiet cryptomgr.notests tarn.run=true"'
LINUX_CONF = conf(full=f"memory = 256M\nkernel = vmlinuz-full\n{LINUX_ARGS}",
                  rt=f"memory = 256M\nkernel = vmlinuz-rt\n{LINUX_ARGS}")

linux = Machine("Bochs with Debian's full and RT kernels", emulator="bochs", mem=768, manifest=LINUX_CONF, vtx=True,
                files=["guest/vmlinuz-full", "guest/vmlinuz-rt", "guest/initrd.gz"], boot_seconds=240, slow=True)


def linux_runs(r, vm, release):
    start(r, vm)
    r.console.expect(rf"tarn-guest: linux ready, Linux 6\.\S+{release}, 1 cpus", 400)
    r.sh.detach()
    ended(r, vm, "stopped", "powered off", 60)


@linux.test("Debian's full Linux kernel runs /init and powers off")
def _(r):
    linux_runs(r, "full", r"\d-amd64")


@linux.test("Debian's PREEMPT_RT Linux kernel runs /init and powers off")
def _(r):
    linux_runs(r, "rt", "-rt-amd64")


# Mach's delay() is a loop of instructions, not of time: 1,000 times 20 million of them after a panic.
mach = Machine("Bochs with GNU Mach to its reset", emulator="bochs", mem=256, vtx=True, files=["guest/gnumach"], slow=True,
               manifest=conf(mach="memory = 64M\nkernel = gnumach\ncmdline = console=com0"))


@mach.test("GNU Mach resets itself when its wait after the panic is over")
def _(r):
    start(r, "mach")
    r.console.expect(r"No bootstrap code loaded with the kernel!", 120)
    r.sh.detach()
    ended(r, "mach", "stopped", "the guest reset itself", 1800)


memtest = Machine("Bochs with memtest86+", emulator="bochs", mem=256, vtx=True, files=["guest/memtest"], slow=True,
                  manifest=conf(memtest='memory = 16M\nkernel = memtest\ncmdline = "console=ttyS0,115200"'))


@memtest.test("memtest86+ gets through test 9 without an error")
def _(r):
    start(r, "memtest")
    r.console.expect(r"Memtest86\+ v6", 60)
    # It writes what changes on its screen; the escape sequences between are gone.
    text = r.console.expect(r"(?s).*#9 +\[Modulo 20, random pattern\].*?#10 +\[Bit fade", 900).group(0)
    check("FAILED" not in text and not re.search(r"Errors: *[1-9]", text), f"memtest86+ saw errors:\n{text[-2000:]}")
    r.sh.detach()
    r.sh.cmd("vm stop memtest")


# Debian's cloud kernel is no dom0: the full one is.
XEN_CONF = conf(xen="memory = 768M\nkernel = xen\n"
                    'cmdline = "com1=115200,8n1 console=com1 noreboot dom0_mem=400M"\n'
                    "module = vmlinuz-full console=hvc0 panic=-1 quiet tarn.run=true\nmodule = initrd.gz")

xen = Machine("Bochs with Xen and its Linux dom0", emulator="bochs", mem=1536, manifest=XEN_CONF, vtx=True, slow=True,
              files=["guest/xen", "guest/vmlinuz-full", "guest/initrd.gz"], boot_seconds=240)


@xen.test("Xen builds its dom0 from Multiboot modules, whose /init runs and powers the machine off")
def _(r):
    start(r, "xen")
    r.console.expect(r"\(XEN\) Xen version 4\.17", 60)
    r.console.expect(r"\(XEN\)  Dom0 kernel: 64-bit", 300)
    r.console.expect(r"tarn-guest: linux ready, Linux 6\.\S+, 1 cpus", 900)
    r.sh.detach()
    ended(r, "xen", "stopped", "powered off", 120)
