#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Everything that can be checked on this machine, for `make test`. The last line is `N passed, N failed`.

    tests/run.py [--quick] [--no-vtx] [TEXT]

TEXT keeps only tests whose sentence holds it. --quick leaves out what needs an emulator. A part that does not build
is a failed test, and the others still run. TARN_JOBS=N: how many compilers at a time.
"""

import argparse
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BUILD", "build")
COUNTS = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$")
NOTHING = re.compile(r": 0 passed, 0 failed$")
TOOLS = [os.path.join(BUILD, "host", f"tarn-{t}") for t in ("check", "check-asan", "sim", "sim-asan")]
# A program that says nothing for so long hangs. What may take longer names itself meanwhile.
SILENCE_MAX_SECONDS = 900


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.broken = []        # what failed as a whole

    def add(self, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def fail(self, what):
        self.failed += 1
        self.broken.append(what)
        print(f"FAIL {what}", flush=True)

    def lines(self):
        skipped = f"{self.skipped} skipped\n" if self.skipped else ""
        return f"{skipped}{self.passed} passed, {self.failed} failed"


def environment():
    """A make of our own: not the flags and variables of the one that started us."""
    kept = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    kept["BUILD"] = BUILD
    return kept


def make(*goals):
    jobs = os.environ.get("TARN_JOBS") or str(os.cpu_count() or 1)
    return subprocess.run(["make", "-s", "-k", f"-j{jobs}", "--output-sync=target", f"BUILD={BUILD}", *goals],
                          cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL).returncode == 0


def run_program(command, totals):
    """Shows a program's output while it runs and adds its counts; one that ends badly without counts is a failure."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                               start_new_session=True)
    silent = {"since": time.monotonic(), "killed": False}
    done = threading.Event()

    def watch():
        while not done.wait(1):
            if time.monotonic() - silent["since"] > SILENCE_MAX_SECONDS:
                silent["killed"] = True
                os.killpg(process.pid, signal.SIGKILL)
                return

    threading.Thread(target=watch, daemon=True).start()
    counts = None
    try:
        for line in process.stdout:
            silent["since"] = time.monotonic()
            match = COUNTS.search(line)
            counts = tuple(int(n or 0) for n in match.groups()) if match else counts
            if not NOTHING.search(line):
                sys.stdout.write(line)
                sys.stdout.flush()
        status = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    finally:
        done.set()
    if counts:
        totals.add(*counts)
    if silent["killed"]:
        totals.fail(f"{command[0]} printed nothing for {SILENCE_MAX_SECONDS} s and was ended")
    elif counts is None and status == 0:
        totals.add(1, 0)
    elif status != 0 and (counts is None or counts[1] == 0):
        totals.fail(f"{' '.join(command)} ended with status {status}")


def host_programs(totals, text):
    print("--- host tests", flush=True)
    make("host-programs", "host-tools")
    for tool in TOOLS:
        if not uptodate(tool):
            totals.fail(f"{tool} does not build")
    for source in sorted(glob.glob(os.path.join(ROOT, "tests/host/test_*.c"))):
        program = os.path.join(BUILD, "host", os.path.basename(source)[:-2])
        # Asked again, one by one: an old program must not stand in for one that no longer builds.
        if not uptodate(program):
            totals.fail(f"{program} does not build")
            continue
        run_program([os.path.join(".", program)] + ([text] if text else []), totals)


def uptodate(goal):
    return subprocess.run(["make", "-s", "-q", f"BUILD={BUILD}", goal], cwd=ROOT, env=environment(),
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def scripts(totals, text):
    """tests/test_*.py, and the table reader against other people's machines."""
    print("--- tests of the tools", flush=True)
    found = sorted(glob.glob(os.path.join(ROOT, "tests/test_*.py")))
    for script in found:
        run_program([os.path.relpath(script, ROOT)] + ([text] if text else []), totals)
    # Its arguments are folders, so it runs whole or not at all.
    if text in "acpi-sets" and os.path.exists(os.path.join(ROOT, "tests/acpi-sets.py")):
        run_program(["tests/acpi-sets.py"], totals)


def layers(totals, text):
    if text in "check-layers":
        run_program(["tools/check-layers.py"], totals)


def handoff(totals, text):
    """The loader with a kernel that checks what it is given."""
    run_program(["tests/boot/handoff.py"] + ([text] if text else []), totals)


def machine_tests(totals, text, vtx):
    options = (["--only", text] if text else []) + ([] if vtx else ["--no-vtx"])
    listed = subprocess.run(["tests/machine/run.py", "--list", *options], cwd=ROOT, env=environment(),
                            capture_output=True, text=True)
    if listed.returncode == 0 and not listed.stdout.strip():
        return
    print("--- machine tests", flush=True)
    if not make("all", "test-guests"):
        totals.fail("the product, or the guests it is tested with, do not build")
    run_program(["tests/machine/run.py", *options], totals)


def main():
    parser = argparse.ArgumentParser(description="all tests")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-vtx", action="store_true")
    parser.add_argument("text", nargs="?", default="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.chdir(ROOT)
    totals = Totals()
    layers(totals, options.text)
    host_programs(totals, options.text)
    scripts(totals, options.text)
    if not options.quick:
        handoff(totals, options.text)
        machine_tests(totals, options.text, not options.no_vtx)
    if totals.passed + totals.failed + totals.skipped == 0:
        totals.fail(f"no test has '{options.text}' in its name")
    for what in totals.broken:
        print(f"broken: {what}")
    print(totals.lines(), flush=True)
    return 1 if totals.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("tests: interrupted")
