#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Puts every manifest of the tree before tarn-check: the examples, and those that machine tests boot with."""

import glob
import importlib
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHECK = os.path.join(ROOT, os.environ.get("BUILD", "build"), "host", "tarn-check")
sys.path.insert(0, os.path.join(ROOT, "tests", "machine"))


def manifests():
    """(sentence, text, what the machine is, whether it is right)"""
    for path in sorted(glob.glob(os.path.join(ROOT, "manifests", "*.conf"))):
        with open(path, encoding="utf-8") as f:
            yield f"the example {os.path.basename(path)} is accepted by tarn-check", f.read(), [], True
    for machine in importlib.import_module("machine").machines_all():
        if machine.manifest:
            good = not machine.manifest_bad
            yield (f"the manifest of '{machine.name}' is {'accepted' if good else 'refused'} by tarn-check",
                   machine.manifest, [f"CPUS={max(4, machine.cpus)}"], good)


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    passed = failed = 0
    wanted = [m for m in manifests() if only in m[0]]
    for sentence, text, where, good in wanted:
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(text)
            f.flush()
            done = subprocess.run([CHECK, f.name, *where], capture_output=True, text=True, timeout=60)
        if done.returncode == (0 if good else 1):
            passed += 1
            print(f"ok   {sentence}")
        else:
            failed += 1
            print(f"FAIL {sentence}\n  status {done.returncode}: {done.stdout}{done.stderr}")
    print(f"test_manifests: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
