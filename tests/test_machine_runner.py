#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tries the machine tests' runner on a fake machine: a shell on a pty that answers, lies, hangs or dies on demand."""

import contextlib
import io
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import tty

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "machine"))

import run as runner  # noqa: E402
from console import Console, Failure, Shell, check_near  # noqa: E402
from machine import Machine  # noqa: E402

# What the fake machine does: firmware noise, a ready line, then a shell.
FAKE = r'''
import sys, time
out, inp = sys.stdout, sys.stdin
def say(text): out.write(text); out.flush()
say("\x1b[2J\x1b[01;01HBdsDxe: loading\r\n")
if "silent" in sys.argv: time.sleep(60)
say("tarn: ready, 4 cpus, 2 nodes, 1 pool, 0 VMs, 12.5 ms since hand-off\r\ntarn> ")
line = ""
while True:
    c = inp.read(1)
    if not c: break
    if c not in "\r\x1d\x03": say(c); line += c; continue
    if c != "\r": continue
    say("\r\n")
    if line == "die": sys.exit(0)
    if line == "hang": time.sleep(60)
    if line == "cpu list": say("cpu 0 online\r\ncpu 1 online\r\nok\r\n")
    elif line == "late":
        say("one\r\nok\r\n[   1.000] a log line\r\ntarn> \r\n[   1.001] another\r\n")
        line = ""
        continue
    elif line == "plain error": say("error: nothing else\r\n")
    elif line.startswith("vm console"):
        say("attached to web; Ctrl-] leaves\r\n")
        say("hello\r\nlast")
        while inp.read(1) != "\x1d": pass
        say("\r\nok\r\n[   1.000] a log line\r\n")
    elif line == "console plain" or not line: say("ok\r\n" if line else "")
    else: say("error: %s: no such command\r\n" % line)
    say("tarn> ")
    line = ""
'''


class FakeEmulator:
    """As much of tools/emulator.py as the runner uses."""

    def __init__(self, kind, image, *, cpus, nodes, mem, workdir, timeout):
        self.kind = kind
        self.workdir = workdir

    def start(self):
        self.fd, other = pty.openpty()
        tty.setraw(other)
        self.log = open(os.path.join(self.workdir, "serial.log"), "wb", buffering=0)
        self.process = subprocess.Popen([sys.executable, "-c", FAKE, self.kind], stdin=other, stdout=other)
        os.close(other)

    def poll(self):
        return self.process.poll()

    def reason(self):
        return f"ended with status {self.poll()}"

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
            time.sleep(min(seconds, 0.05))
        self.log.write(data)
        return data

    def write(self, data):
        os.write(self.fd, data)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        os.close(self.fd)
        self.log.close()


def run_tests(kind, *tests, boot_seconds=5):
    """What the runner prints, and its report, for such tests on one fake machine."""
    machine = Machine("fake machine", emulator=kind, boot_seconds=boot_seconds)
    Machine.every.remove(machine)
    report = runner.Report()
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(printed):
        runner.LOGS = folder
        runner.RECOVER_SECONDS = 1
        runner.image_make = lambda machine, folder: "no image"
        runner.run_all([(machine, list(tests))], report, FakeEmulator)
    return report, printed.getvalue()


def want(condition, text):
    if not condition:
        raise AssertionError(text)


def expect_report(kind, tests, passed, failed, *patterns, **more):
    report, text = run_tests(kind, *tests, **more)
    want((report.passed, report.failed) == (passed, failed), f"{report.summary()}:\n{text}")
    for pattern in patterns:
        want(re.search(pattern, text, re.S), f"no '{pattern}' in:\n{text}")


def good(r):
    r.sh.cmd_has("cpu list", "^cpu 1 online$")


def figures(r):
    want(r.figures == {"cpus": 4, "nodes": 2, "pools": 1, "vms": 0, "ms": 12}, str(r.figures))


def test_pass():
    expect_report("qemu", [("good", good), ("figures", figures)], 2, 0, r"ok   good \(\d+\.\d s\)", "ok   figures")


def test_answer_only():
    def exact(r):
        text = r.sh.cmd("cpu list")
        want(text == "cpu 0 online\ncpu 1 online\n", repr(text))
    expect_report("qemu", [("exact", exact)], 1, 0)


def test_log_line():
    expect_report("qemu", [("late", lambda r: want(r.sh.cmd("late") == "one\n", "late")), ("next", good)], 2, 0)


def test_wrong_text():
    expect_report("qemu", [("wrong", lambda r: r.sh.cmd_has("cpu list", "cpu 7")), ("next", good)], 1, 1,
                  "FAIL wrong: 'cpu list' printed no 'cpu 7' but:\ncpu 0 online", r"console log: .*serial\.log",
                  r"\| cpu 1 online", "ok   next")


def test_error_is_failure():
    expect_report("qemu", [("e", lambda r: r.sh.cmd("pool x"))], 0, 1, "'pool x' ended in 'error: pool x: no such")


def test_error_wanted():
    expect_report("qemu", [("e", lambda r: r.sh.cmd_error("pool x", "no such")),
                           ("ok is none", lambda r: r.sh.cmd_error("cpu list")),
                           ("form", lambda r: r.sh.cmd_error("plain error"))], 1, 2,
                  "ended in 'ok' and not in 'error",
                  "'error: nothing else' and not in 'error: WHAT: WHY'")


def test_wait_runs_out():
    expect_report("qemu", [("w", lambda r: (r.console.type("cpu list\r"), r.console.expect("never", 1)))], 0, 1,
                  r"FAIL w: waited \d+ s for 'never' after typing 'cpu list'; last seen: '.*ok.ntarn>'")


def test_machine_dies():
    expect_report("qemu", [("d", lambda r: r.sh.cmd("die")), ("after", good)], 0, 2,
                  r"FAIL d: the machine ended .*\(ended with status 0\)", "FAIL after: not tried")


def test_machine_hangs():
    expect_report("qemu", [("h", lambda r: r.sh.cmd("hang", seconds=1))], 0, 1, "waited 1 s for the answer to 'hang'")


def test_left_in_guest():
    expect_report("qemu", [("left", lambda r: (r.sh.attach("web"), r.console.expect("no such text", 1))),
                           ("next", good)], 1, 1, "ok   next")


def test_detach():
    def leave(r):
        r.sh.attach("web")
        text = r.sh.detach()
        want(text == "hello\nlast", repr(text))
    expect_report("qemu", [("leave", leave), ("next", good)], 2, 0)


def test_no_ready():
    expect_report("silent", [("one", good), ("two", good)], 0, 2,
                  r"FAIL one: fake machine did not come up: waited \d+ s for 'tarn: ready", r"\| .*BdsDxe", boot_seconds=1)


def test_expect_end():
    expect_report("qemu", [("end", lambda r: (r.console.type("die\r"), r.console.expect_end(5))),
                           ("no end", good)], 1, 1)


def test_broken_test():
    expect_report("qemu", [("b", lambda r: {}["x"]), ("next", good)], 1, 1, "the test itself broke: KeyError: 'x'")


def test_escape_split():
    console = Console(None)
    for part in (b"ab\x1b[3", b"1mcd\r", b"\n\x1b", b"[0mx\xc3\xa9"):
        console.take(part)
    want(console.text == "abcd\nxé", repr(console.text))


def test_heartbeat():
    """In a tenth of a second's silence; then with a boot that should have ended long ago."""
    kept = runner.HEARTBEAT_SECONDS, runner.BOOT_LIFE_SECONDS
    runner.HEARTBEAT_SECONDS = 0.1
    try:
        expect_report("qemu", [("slow", lambda r: time.sleep(1)), ("next", good)], 2, 0, r"     since \d s: slow\n.*ok   slow")
        runner.BOOT_LIFE_SECONDS = 0
        _, text = run_tests("qemu", ("slow", lambda r: time.sleep(1)))
        want("since" not in text, text)
    finally:
        runner.HEARTBEAT_SECONDS, runner.BOOT_LIFE_SECONDS = kept


def test_near():
    check_near(101, 100, 0.02, "share")
    try:
        check_near(103, 100, 0.02, "share")
    except Failure:
        return
    want(False, "103 passed as near 100")


def test_skip():
    machine = Machine("absent", emulator="qemu", acpi="no/such/folder")
    Machine.every.remove(machine)
    report = runner.Report()
    with contextlib.redirect_stdout(io.StringIO()):
        runner.run_all([(machine, [("s", good)])], report, FakeEmulator)
    want((report.skipped, report.failed) == (1, 0), report.summary())


TESTS = [
    ("a test that sees what it wants passes, and so do the ready line's figures", test_pass),
    ("an answer is what came between the echo and ok", test_answer_only),
    ("log lines around the prompt do not disturb", test_log_line),
    ("a wrong answer fails with what was seen, and the next test runs", test_wrong_text),
    ("an error line fails a command that must work", test_error_is_failure),
    ("a command that must fail has to, and in the right form", test_error_wanted),
    ("a wait that runs out says for what, and after what", test_wait_runs_out),
    ("a machine that dies fails its test and those left", test_machine_dies),
    ("a command without an answer fails in time", test_machine_hangs),
    ("a test left inside a guest's console does not disturb the next", test_left_in_guest),
    ("leaving a guest's console returns what it said, with log lines about or not", test_detach),
    ("a machine that does not come up fails all its tests and shows its console", test_no_ready),
    ("a machine's end can be waited for", test_expect_end),
    ("a broken test is a failed test", test_broken_test),
    ("escape sequences are dropped even when they come in pieces", test_escape_split),
    ("a long wait is named while it lasts, but not past the end of any boot", test_heartbeat),
    ("a share outside its bounds is found", test_near),
    ("a machine whose tables are absent is skipped, not failed", test_skip),
]


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    failed = 0
    tests = [t for t in TESTS if only in t[0]]
    for sentence, function in tests:
        try:
            function()
            print(f"ok   {sentence}", flush=True)
        except (AssertionError, Failure) as e:
            failed += 1
            print(f"FAIL {sentence}\n  {e}", flush=True)
    print(f"test_machine_runner: {len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
