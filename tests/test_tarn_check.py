#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs tarn-check (the one with sanitizers) on manifests: what it prints, where, and its exit status."""

import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
CHECK = os.path.join(BUILD, "host", "tarn-check-asan")

DEMO = """machine: 4 cpus, 2 nodes
pool pool0: cpu 0 of node 0, scheduler credit2
pool rt: cpu 1 of node 0, scheduler null
pool shared: cpu 2 of node 1, scheduler rr
free: cpu 3 of node 1
"""
VM = "[vm a]\nmemory = 1M\nkernel = k\n"
BAD = "[boot]\nruns = x\n[vm a]\nmemory = 128\nkernel = k\n[pool b]\nsched = foo\n"
BAD_SAID = """M:2:1: unknown key "runs", expected one of: default-sched, housekeeping, numa-split, mitigations, files, run
M:4:10: memory: found "128", expected a size such as 128M (K, M, G, T), at least 1M, a multiple of 4K
M:7:9: unknown scheduler "foo", expected one of: """

# Sentence; the manifest's text or a file of the tree; options; status; beginnings of stdout and stderr (None: empty).
CASES = [
    ("the demo manifest's plan is printed", "manifests/demo.conf", [], 0, DEMO, None),
    ("values that are not defaults are printed", "manifests/numa.conf", [], 0,
     "machine: 4 cpus, 2 nodes\npool pool0: cpus 0-1 of node 0, scheduler credit2\n"
     "pool node1: cpus 2-3 of node 1, scheduler rr, timeslice 5ms\n", None),
    ("so are windows, and words that are not defaults",
     "[boot]\nhousekeeping = 1\nmitigations = off\n[pool a]\nsched = arinc653\nframe = 20ms\ncpus = 1\nadmission = warn\n"
     "window = 1 z.0 10ms\nwindow = 1 idle 5ms\n[vm z]\npool = a\nmemory = 1M\nkernel = k\nmemory-policy = prefer\n"
     "on-crash = restart\n", [], 0, "machine: 4 cpus, 2 nodes, housekeeping on cpu 1, mitigations off\n"
     "pool pool0: cpus 0,2-3 of nodes 0-1, scheduler credit2\n"
     "pool a: cpu 1 of node 0, scheduler arinc653, frame 20ms, window 1 z.0 10ms, window 1 idle 5ms, admission warn\n"
     "vm z: pool a, 1 vcpu, memory 1M, kernel k, memory-policy prefer, on-crash restart, started at boot\n", None),
    ("an empty manifest is pool0 of every cpu", "", ["CPUS=3", "NODES=1"], 0,
     "machine: 3 cpus, 1 node\npool pool0: cpus 0-2 of node 0, scheduler credit2\n", None),
    ("one cpu alone is one node", VM, ["CPUS=1"], 0, "machine: 1 cpu, 1 node\npool pool0: cpu 0 of node 0", None),
    ("the machine may come from ACPI tables", "manifests/numa.conf", ["ACPI=tests/acpi/own-2s-smt"], 0,
     "machine: 8 cpus, 2 nodes\npool pool0: cpus 0-3 of node 0, scheduler credit2\npool node1: cpus 4-7 of node 1", None),
    ("errors go to stderr in the order of the text, and there is no plan", BAD, [], 1, None, BAD_SAID),
    ("a warning is no error", "[pool b]\nlend = yes\n", [], 0, "machine: 4 cpus",
     "M:2:1: warning: key lend: not built yet, ignored\n"),
    ("a manifest that cannot be read is told", "no/such/file", [], 2, None, "no/such/file: "),
    ("a wrong option is told", VM, ["CPUS=0"], 2, None, "error: found CPUS=0, expected: tarn-check MANIFEST"),
    ("a folder without tables is told", VM, ["ACPI=docs"], 2, None, "error: "),
]


def right(got, want):
    return got == "" if want is None else got.startswith(want)


def run(case, folder):
    sentence, text, options, status, out, err = case
    path = text
    if text == "" or "\n" in text:
        path = os.path.join(folder, "m.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    done = subprocess.run([CHECK, path] + options, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    said = done.stderr.replace(path, "M") if path != text else done.stderr
    good = done.returncode == status and right(done.stdout, out) and right(said, err)
    print(f"{'ok  ' if good else 'FAIL'} {sentence}")
    if not good:
        print(f"  status {done.returncode}, stdout {done.stdout!r}, stderr {said!r}")
    return good


def main():
    cases = [c for c in CASES if len(sys.argv) < 2 or sys.argv[1] in c[0]]
    with tempfile.TemporaryDirectory() as folder:
        passed = sum(run(c, folder) for c in cases)
    print(f"test_tarn_check: {passed} passed, {len(cases) - passed} failed")
    return 0 if passed == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
