# SPDX-License-Identifier: BSD-2-Clause
"""The machine tests of guests' consoles: scrollback, floods, an editor and a large paste in Linux. See list.py."""

import hashlib
import re
import time

import screen
from console import check, check_near
from list_vtx import rates
from machine import Machine
from steps import SHELL, attach, panics, running, stop, vm_state

TINY_CONF = "[pool fast]\nsched = rr\ncpus = 1\n[pool other]\nsched = rr\ncpus = 2\n"
for name, pool, kernel in (("scroll", "fast", "scroll"), ("flood", "fast", "flood"), ("spin", "fast", "spin"),
                           ("beside", "fast", "counter"), ("far", "other", "counter"), ("near", "pool0", "counter")):
    TINY_CONF += f"[vm {name}]\npool = {pool}\nmemory = 16M\nkernel = {kernel}.elf\nautostart = no\n"

tiny = Machine("Bochs with guests that write much", emulator="bochs", ips=10_000_000, cpus=3, nodes=1, mem=512, vtx=True,
               manifest=TINY_CONF, files=[f"guests/{n}.elf" for n in ("scroll", "flood", "counter", "spin")])

KEPT_BYTES = 64 << 10


@tiny.test("who attaches sees exactly the last 64 KiB of what a guest wrote, and how much there was before")
def _(r):
    r.sh.cmd("vm start scroll")
    r.sh.until("vm list", vm_state("scroll", "stopped", "the guest exited with code 0"), 60)
    said = "".join(f"line number {i:06d}\r\n" for i in range(5120))
    r.sh.attach("scroll")
    r.console.expect(rf"\[tarn: {len(said) - KEPT_BYTES} bytes before these are no longer kept\]\n", 10)
    text = r.console.expect(r"(?s)\A.*line number 005119\n", 60).group(0)
    r.sh.detach()
    # The console's reader drops every CR, and the first line is cut.
    want = said[-KEPT_BYTES:].replace("\r", "")
    check(text == want, f"{len(text)} bytes from {text[:40]!r} on, not {len(want)} from {want[:40]!r} on")


@tiny.test("a guest that floods its console costs others no more than one that spins, but for a little of the cpu that shows it, and the shell answers")
def _(r):
    running(r, "beside", "far", "near", "spin")
    quiet = rates(r, "beside", "far", "near")
    stop(r, "spin")
    running(r, "flood")
    r.console.type("console rich\r")
    r.console.expect(r"\[flood\] 0123456789", 20)
    for _ in range(3):
        r.console.type("version\r")
        r.console.expect(r"Tarn [^\n]*\n(?s:.*?)\bok\n", 5)
    r.console.type("console plain\r")
    r.console.expect(r"ok\n" + SHELL, 20)
    loud = rates(r, "beside", "far", "near")
    for vm, before, after in zip(("beside", "far"), quiet, loud):
        check_near(after, before, 0.02, f"{vm}'s counts a ms beside flood")
    # That cpu sends the bytes and draws them on the screen: measured, 5% of the 10,000 instructions that Bochs has here in a ms.
    check_near(loud[2], quiet[2], 0.07, "near's counts a ms on the cpu that shows what flood writes")


@tiny.test("what was dropped of a flood is said with its count, in the log and while attached")
def _(r):
    running(r, "flood")
    stop(r, "beside", "far", "near")        # alone it is faster than the serial port
    r.console.type("console rich\r")
    r.console.expect(r"vm flood: \d+ bytes of its output were dropped", 30)
    r.console.type("console plain\r")
    r.console.expect(r"ok\n" + SHELL, 20)
    r.sh.attach("flood")
    r.console.expect(r"\[tarn: \d+ bytes dropped\]\n", 20)
    r.sh.detach()
    r.sh.cmd_has("vm show flood", r"console: \d+ bytes written, [1-9]\d* dropped")
    stop(r, "flood")


LINUX = r"lx:\S+# $"
LINUX_CONF = """\
[pool lin]
sched = null
cpus = 1
[vm lx]
pool = lin
memory = 128M
kernel = vmlinuz
initrd = initrd.gz
cmdline = "console=ttyS0 quiet cryptomgr.notests tarn.name=lx"
[vm flood]
memory = 16M
kernel = flood.elf
autostart = no
"""

linux = Machine("Bochs with a Linux to type at", emulator="bochs", ips=100_000_000, cpus=2, nodes=1, mem=512, vtx=True,
                manifest=LINUX_CONF, files=["guest/vmlinuz", "guest/initrd.gz", "guests/flood.elf"], slow=True, boot_seconds=180)


def text_lines(count):
    """count bytes in lines of 64, none like another."""
    lines = [hashlib.sha256(str(i).encode()).hexdigest()[:63] + "\n" for i in range(count // 64)]
    return "".join(lines)


def line(r, command, pattern, seconds=60):
    """Types a command to the guest's shell; waits for the pattern and the prompt after it."""
    r.console.type(command + "\r")
    match = r.console.expect(pattern, seconds)
    r.console.expect(LINUX, seconds)
    return match


@linux.test("a text typed into vi in a guest, arrow keys and all, is in the file that vi saved")
def _(r):
    attach(r, "lx", LINUX, 400)
    r.console.type("vi /root/f\r")
    r.console.expect(r"- /root/f", 60)
    # Left twice, End, Enter, up, End: as a terminal sends them.
    r.console.type("iacd\x1b[D\x1b[Db\x1b[4~\rsecond line\x1b[A\x1b[4~!")
    r.console.expect(r"I /root/f \[Modified\] 1/2", 60)
    r.console.type("\x1b")
    r.console.expect(r"- /root/f \[Modified\] 1/2", 60)
    r.console.type(":wq\r")
    r.console.expect(LINUX, 60)
    line(r, "cat /root/f; echo end", r"\nabcd!\nsecond line\nend\n")
    r.sh.detach()


@linux.test("Ctrl-C goes to the guest, and every byte but Ctrl-] arrives there as it was typed")
def _(r):
    attach(r, "lx", LINUX, 400)
    # The line that busybox' shell edits is echoed before the shell gives the terminal back, and what is typed in between is read
    # by cat but echoed by nobody (on any machine): so we wait for what a command of that line says.
    r.console.type("echo go; cat\r")
    r.console.expect(r"\ngo\n", 20)
    r.console.type("are you there\r")
    # Once by the terminal and once by cat, which is then the one that Ctrl-C meets.
    r.console.expect(r"are you there\nare you there\n", 20)
    r.console.type("\x03")
    r.console.expect(LINUX, 20)
    sent = bytes(b for b in range(256) if b != 0x1d) * 4
    r.console.type(f"stty raw -echo; echo go; head -c {len(sent)} | md5sum; stty sane\r")
    r.console.expect(r"\ngo\n", 30)
    r.emulator.write(sent)
    r.console.expect(rf"(?s){hashlib.md5(sent).hexdigest()}.*{LINUX}", 60)
    r.sh.detach()


@linux.test("10 KB pasted into cat arrive complete, and so do 10 KB for a program that reads only later")
def _(r):
    attach(r, "lx", LINUX, 400)
    text = text_lines(10240)
    r.console.type("echo go; cat > /root/p\r")
    r.console.expect(r"\ngo\n", 20)
    r.console.type(text)
    r.console.type("\x04")
    r.console.expect(LINUX, 120)
    line(r, "wc -c < /root/p; md5sum /root/p", rf"\n{len(text)}\n{hashlib.md5(text.encode()).hexdigest()} ")
    r.console.type(f"stty raw -echo; echo go; sleep 4; head -c {len(text)} | md5sum; stty sane\r")
    r.console.expect(r"\ngo\n", 30)
    r.console.type(text)
    r.console.expect(rf"(?s){hashlib.md5(text.encode()).hexdigest()}.*{LINUX}", 120)
    r.sh.detach()
    r.sh.cmd_has("vm show lx", r"console: \d+ bytes written, 0 dropped; 0 typed bytes dropped")


def pasted(r, text, keys):
    """Types keys, which hold the text, into `cat > file`: the file has the text, and nothing was dropped."""
    attach(r, "lx", LINUX, 400)
    r.console.type("echo go; cat > /root/p\r")
    r.console.expect(r"\ngo\n", 20)
    r.console.type(keys + "\x04")
    # Who attaches again sees old prompts: only the sum tells the end.
    r.console.type("md5sum /root/p\r")
    r.console.expect(rf"\n{hashlib.md5(text.encode()).hexdigest()}  /root/p\n{LINUX}", 120)
    r.sh.detach()
    r.sh.cmd_has("vm show lx", r"console: \d+ bytes written, 0 dropped; 0 typed bytes dropped")
    check("input was lost" not in r.sh.cmd("log"), "the log says that input was lost")


@linux.test("10 KB pasted while a VM floods its console, on the cpu that serves the terminal, arrive complete")
def _(r):
    running(r, "flood")
    text = text_lines(10240).upper()
    pasted(r, text, text)
    stop(r, "flood")


@linux.test("keys typed at full speed go where they should: 10 KB to a guest, with Ctrl-] and back twice in their middle")
def _(r):
    text = text_lines(10240)[::-1].lstrip() + "\n"
    back = "\x1dvm console lx\r"
    pasted(r, text, text[:3000] + back + text[3000:7000] + back + text[7000:])


with_screen = Machine("QEMU with a screen", emulator="qemu", cpus=2, nodes=1, mem=512, extra=screen.QEMU_EXTRA)


def on_screen(r, pattern, seconds=10):
    """Waits until the screen shows the pattern: it is drawn a little after the serial port has the same."""
    deadline = time.monotonic() + seconds * r.console.slow
    while time.monotonic() < deadline:
        shown = screen.text(r.emulator)
        if re.search(pattern, shown, re.M):
            return shown
        r.console.read(1)
    check(False, f"no '{pattern}' on the screen, but:\n{shown}")


@with_screen.test("the screen shows what the serial port says, from the first line of the log to the prompt")
def _(r):
    shown = on_screen(r, r"^tarn> console plain\nok\ntarn>$")
    check("\0" not in shown, f"not all of the screen was drawn:\n{shown}")
    for pattern in (r"^\S.* Tarn \d", r"tarn: ready: 2 cpus"):
        check(re.search(pattern, shown, re.M), f"no '{pattern}' on the screen, but:\n{shown}")


@with_screen.test("the screen scrolls, and a line typed in rich mode is edited on it")
def _(r):
    r.sh.cmd("log")
    r.sh.cmd("help")
    on_screen(r, r"ok\ntarn>$")
    r.console.type("console rich\r")
    r.console.expect(r"ok\n" + SHELL, 20)
    r.console.type("cpu lixx\x7f\x7fst\x01\x1b[C\x1b[3~")      # now "cu list"
    on_screen(r, r"^tarn> cu list$")
    r.console.type("p\r")
    on_screen(r, r"^tarn> cpu list\n.*\n *0 .*\n *1 .*\nok\ntarn>$")
    r.console.type("console plain\r")
    r.console.expect(r"ok\n" + SHELL, 20)


@with_screen.test("a person's keys do what they are for: Tab, history, Ctrl-C, Ctrl-U; odd bytes and what is typed ahead do no harm")
def _(r):
    def typed(keys, pattern):
        r.console.type(keys)
        r.console.expect(r"(?s)" + pattern + r".*?\nok\n", 10)
        r.console.expect(SHELL, 10)
    typed("console rich\r", "console rich")
    typed("vers\t\r", r"\nTarn \d")
    typed("pool sh\tpoo\t\r", r"\nname +pool0\n")
    typed("pool destroy pool0\x03version\r", r"\nTarn \d")
    typed("\x1b[A\r", r"\nTarn \d")
    typed("\x1b[A\x1b[A\r", r"\nname +pool0\n")      # the same line twice is remembered once
    r.emulator.write(b"version" + bytes(range(128, 256)) + b"\0\x07\x15")
    typed("version\r", r"\nTarn \d")
    typed("help\rversion\r", r"cpu list.*\nmachine\n.*\nok\ntarn> version\nTarn \d")
    r.console.type("x" * 600 + "\r")
    r.console.expect(r"\nerror: line: longer than 512 bytes\n", 10)
    typed("console plain\r", "console plain")


@with_screen.test("a panic is on the screen, registers and all")
def _(r):
    panics(r, "panic", r"invalid opcode \(vector 6")
    on_screen(r, r"(?s)tarn: panic: .*^rip [0-9a-f]{16} .*^tarn: stopped$")
