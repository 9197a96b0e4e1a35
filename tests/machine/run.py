#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the machine tests of list*.py and attacks.py: boots images under QEMU and Bochs and talks to them over the serial
console.

    run.py [--only TEXT] [--no-vtx] [--list] [--keep-images]

--only keeps the tests whose sentence, or whose machine's name, holds TEXT. Each boot's console is kept in
build/test-logs/MACHINE/serial.log. SLOW=1 runs the machines that take minutes, too. TARN_SLOW=2 doubles every wait, for
a busy computer.
"""

import argparse
import concurrent.futures
import importlib
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from console import Console, Failure, MachineEnded, Shell  # noqa: E402
from image import ImageError, image_make, images_keep  # noqa: E402
from machine import BUILD, ROOT, Run, machines_all  # noqa: E402

EMULATORS_AT_ONCE = 2
TAIL_LINES = 30
RECOVER_SECONDS = 15
BOOT_LIFE_SECONDS = 3600        # whatever happens, no emulator outlives this
HEARTBEAT_SECONDS = 60          # of silence, then what runs is named: tests/run.py ends who is silent for long
LOGS = os.path.join(BUILD, "test-logs")
SLOW_TOO = os.environ.get("SLOW", "") not in ("", "0")
SLOW = float(os.environ.get("TARN_SLOW", "1"))


class Report:
    """Counts and prints; several boots report at the same time."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0
        self.spoken = time.monotonic()
        self.doing = {}         # machine's name: what is tried there, since when, until when at the latest

    def print(self, text):
        self.spoken = time.monotonic()
        print(text, flush=True)

    def say(self, text):
        with self.lock:
            self.print(text)

    def ok(self, name, seconds):
        with self.lock:
            self.passed += 1
            self.print(f"ok   {name} ({seconds:.1f} s)")

    def fail(self, name, why, log=None):
        with self.lock:
            self.failed += 1
            self.print(f"FAIL {name}: {why}")
            if log:
                print_tail(log)

    def skip(self, name, why):
        with self.lock:
            self.skipped += 1
            self.print(f"skip {name}: {why}")

    def tries(self, machine, what):
        """What the machine is at from now on; None: it is off."""
        now = time.monotonic()
        with self.lock:
            end = self.doing.pop(machine, (None, None, now + BOOT_LIFE_SECONDS * SLOW))[2]
            if what:
                self.doing[machine] = (what, now, end)

    def heartbeat(self, done):
        """Until done: after each silence names what runs, but for what should have ended by now."""
        while not done.wait(HEARTBEAT_SECONDS / 10):
            with self.lock:
                now = time.monotonic()
                alive = [(what, since) for what, since, end in self.doing.values() if now < end]
                if alive and now - self.spoken >= HEARTBEAT_SECONDS:
                    ages = [f"{now - since:.0f} s: {what}" for what, since in alive]
                    self.print("     since " + "; ".join(ages))

    def summary(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"machine tests: {self.passed} passed, {self.failed} failed{skipped}"


def print_tail(log):
    try:
        with open(log, "rb") as f:
            lines = f.read().decode("utf-8", errors="replace").replace("\r", "").split("\n")
    except OSError:
        return
    print(f"     console log: {log}; its last lines:")
    for line in [ln for ln in lines if ln.strip()][-TAIL_LINES:]:
        print("     | " + "".join(c if c.isprintable() else "?" for c in line))
    sys.stdout.flush()


class Lane:
    """The emulators that run now, so that an interrupted run can end them all."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = set()
        self.closed = False

    def start(self, emulator):
        with self.lock:
            if self.closed:
                raise Failure("the run was interrupted")
            self.running.add(emulator)
        emulator.start()

    def end(self, emulator):
        emulator.close()
        with self.lock:
            self.running.discard(emulator)

    def close(self):
        with self.lock:
            self.closed = True
            left = list(self.running)
        for emulator in left:
            emulator.kill()


def boot(machine, folder, emulator_class, lane):
    """Starts the machine; returns a Run, on which nothing has been waited for yet."""
    image = image_make(machine, folder)
    extra = {k: getattr(machine, k) for k in ("model", "ips", "extra") if getattr(machine, k) is not None}
    emulator = emulator_class(machine.emulator, image, cpus=machine.cpus, nodes=machine.nodes, mem=machine.mem,
                              workdir=folder, timeout=BOOT_LIFE_SECONDS * SLOW, **extra)
    lane.start(emulator)
    console = Console(emulator, SLOW)
    return Run(machine, console, Shell(console), emulator, image)


def run_one(run, sentence, function, report, log):
    """Returns whether the machine can be used further."""
    begun = time.monotonic()
    report.tries(run.machine.name, sentence)
    try:
        function(run)
        report.ok(sentence, time.monotonic() - begun)
        return True
    except MachineEnded as e:
        report.fail(sentence, f"{e} ({run.emulator.reason()})", log)
        return False
    except Failure as e:
        report.fail(sentence, e, log)
    except Exception as e:  # a mistake in the test itself must not stop the others
        report.fail(sentence, f"the test itself broke: {type(e).__name__}: {e}", log)
    return run.sh.recover(RECOVER_SECONDS)


def run_machine(machine, tests, report, emulator_class, lane):
    """One boot and its tests. Returns the image used, if any."""
    folder = os.path.join(LOGS, machine.folder())
    os.makedirs(folder, exist_ok=True)
    log = os.path.join(folder, "serial.log")
    run = None
    report.say(f"     starting: {machine.name} ({len(tests)} tests)")
    left = list(tests)
    report.tries(machine.name, f"{machine.name} starts")
    try:
        run = boot(machine, folder, emulator_class, lane)
        run.figures = run.sh.ready(machine.boot_seconds)
        run.sh.plain()
        while left:
            sentence, function = left.pop(0)
            if not run_one(run, sentence, function, report, log):
                for sentence, _ in left:
                    report.fail(sentence, f"not tried: the machine no longer answers (log {log})")
                left = []
    except ImageError as e:
        for number, (sentence, _) in enumerate(left):
            report.fail(sentence, f"no image: {e}" if number == 0 else "no image, as above")
    except Failure as e:
        # Nothing came up: the first test carries the log.
        for number, (sentence, _) in enumerate(left):
            report.fail(sentence, f"{machine.name} did not come up: {e}", log if number == 0 else None)
    except Exception as e:
        for number, (sentence, _) in enumerate(left):
            report.fail(sentence, f"{machine.name} could not be started: {type(e).__name__}: {e}",
                        log if number == 0 else None)
    finally:
        report.tries(machine.name, None)
        if run:
            lane.end(run.emulator)
    return run.image if run else None


def wanted(machines, only, vtx):
    """[(machine, [(sentence, function)])] of what was asked for."""
    chosen = []
    for machine in machines:
        if (machine.vtx and not vtx) or (machine.slow and not SLOW_TOO):
            continue
        tests = [t for t in machine.tests if not only or only in t[0] or only in machine.name]
        if tests:
            chosen.append((machine, tests))
    return chosen


def run_all(chosen, report, emulator_class):
    images = set()
    lane = Lane()
    todo = []
    for machine, tests in chosen:
        why = machine.skip_reason()
        if why:
            for sentence, _ in tests:
                report.skip(sentence, why)
        else:
            todo.append((machine, tests))
    # The slow ones first, so that both lanes end at about the same time.
    todo.sort(key=lambda mt: (mt[0].emulator == "qemu", -mt[0].boot_seconds))
    done = threading.Event()
    threading.Thread(target=report.heartbeat, args=[done], daemon=True).start()
    with concurrent.futures.ThreadPoolExecutor(max_workers=EMULATORS_AT_ONCE) as pool:
        futures = [pool.submit(run_machine, m, t, report, emulator_class, lane) for m, t in todo]
        try:
            for future in concurrent.futures.as_completed(futures):
                images.add(future.result())
        except BaseException:
            for future in futures:
                future.cancel()
            lane.close()
            raise
        finally:
            done.set()
    return images


def main():
    os.chdir(ROOT)
    parser = argparse.ArgumentParser(description="machine tests")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--no-vtx", action="store_true", help="leave out what starts guests")
    parser.add_argument("--list", action="store_true", help="print the sentences and run nothing")
    parser.add_argument("--keep-images", action="store_true", help="keep images of earlier runs")
    options = parser.parse_args()
    chosen = wanted(machines_all(), options.only, not options.no_vtx)
    if options.list:
        for machine, tests in chosen:
            print(f"{machine.name}{' [vt-x]' if machine.vtx else ''}")
            for sentence, _ in tests:
                print(f"    {sentence}")
        return 0
    sys.path.insert(0, os.path.join(ROOT, "tools"))
    emulator_class = importlib.import_module("emulator").Emulator
    # A terminated run must not leave emulators behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = Report()
    images = run_all(chosen, report, emulator_class)
    if not options.only and not options.keep_images:
        images_keep(images)
    print(report.summary())
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
