#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Reads folders of ACPI tables with tarn-check (built with sanitizers) and compares with what each set should give.

usage: tests/acpi-sets.py [DIR...]

A set is a folder that holds *.dat; DIR is searched for them. Without DIR: tests/acpi, and ../shared/acpi where
that stands beside the checkout. expected.json is what `tarn-check --topology` has to print, extra.json (as far as its
fields are read at all) what `--tables` has to; case.json says what a careful reader does with tables made wrong on
purpose. TARN_CHECK names another program to run.
"""
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.environ.get("TARN_CHECK", os.path.join(ROOT, "build/host/tarn-check-asan"))
LIMIT_S = 60
SUBJECTS = {"APIC": "MADT", "FACP": "FADT"}


class Fail(Exception):
    pass


def run(*args):
    """(output, errors) of a run that must end well: exit 0, no sanitizer report, in time."""
    try:
        done = subprocess.run([PROGRAM, *args], capture_output=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise Fail("did not end within %d s" % LIMIT_S)
    errors = done.stderr.decode(errors="replace")
    if re.search(r"Sanitizer|runtime error", errors):
        raise Fail("sanitizer report: " + next(l for l in errors.splitlines() if re.search(r"Saniti|runtime", l)))
    if done.returncode != 0:
        raise Fail("exit status %d: %s" % (done.returncode, errors.strip()[-300:]))
    return done.stdout.decode(), errors


def parse(text):
    try:
        return json.loads(text)
    except ValueError as e:
        raise Fail("output is not JSON: %s" % e)


def load(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    with open(path) as f:
        return json.load(f)


def difference(found, want, where=""):
    """The first place where found differs from want, or None."""
    if isinstance(want, dict) and isinstance(found, dict):
        for key in want:
            if key not in found:
                return "%s.%s is missing" % (where, key)
            at = difference(found[key], want[key], "%s.%s" % (where, key))
            if at:
                return at
        return None
    if isinstance(want, list) and isinstance(found, list):
        if len(found) != len(want):
            return "%s has %d items, want %d" % (where, len(found), len(want))
        for i, (a, b) in enumerate(zip(found, want)):
            at = difference(a, b, "%s[%d]" % (where, i))
            if at:
                return at
        return None
    return None if found == want else "%s is %r, want %r" % (where, found, want)


def check_expected(found, want):
    at = difference(found, want) or difference(want, found)
    if at:
        raise Fail("topology: " + at)


def check_extra(found, extra):
    """extra.json has fields of tables that we do not read; those we do must agree."""
    for table in ("madt", "srat", "fadt", "hpet", "mcfg"):
        want = extra.get(table)
        if want is None:
            continue
        if table not in found:
            raise Fail("%s: not read" % table)
        if isinstance(want, dict):
            want = {k: v for k, v in want.items() if k in found[table]}
        if table == "fadt" and extra["fadt"].get("x_dsdt") and found["fadt"]["dsdt"] != extra["fadt"]["x_dsdt"]:
            raise Fail("fadt.dsdt is %d, want x_dsdt" % found["fadt"]["dsdt"])
        if table == "madt":
            for nmi in found["madt"]["lapic_nmis"] + want["lapic_nmis"]:
                nmi["uid"] = 0xffffffff if nmi["uid"] == 255 else nmi["uid"]     # type 4's way to say "all"
        at = difference(found[table], want, table)
        if at:
            raise Fail(at)


def check_counts(found, errors, case):
    for key in ("cpus", "memory"):
        if key in case and len(found[key]) != case[key]:
            raise Fail("%d %s, want %d" % (len(found[key]), key, case[key]))
    if "processors" not in case:
        return
    started = int(re.search(r"^tarn: (\d+) cpus", errors, re.M).group(1))
    over = re.search(r"MADT: (\d+) cpus, of which", errors)
    # Without a usable cpu entry the boot cpu is still there.
    if (int(over.group(1)) if over else started) != max(case["processors"], 1):
        raise Fail("%d processors, want %d" % (started, case["processors"]))


def bad_table(case):
    """The table that case.json's words are about: the first one they name."""
    names = re.findall(r"\b(MADT|SRAT|SLIT|HPET|FADT|MCFG|SPCR)\b", case["why"])
    return names[0] if names else None


def check_rejected(errors, case):
    name = bad_table(case)
    lines = [l for l in errors.splitlines() if l.startswith("error:") and "not used" in l]
    if not any(name in l for l in lines):
        raise Fail("no error names the %s: %r" % (name, errors[:300]))


def check_set(folder):
    case = load(folder, "case.json") or {}
    want = load(folder, "expected.json")
    extra = load(folder, "extra.json")
    output, errors = run("--topology", folder, "-v")
    found = parse(output)
    if case.get("want", "accept") != "survive" and want is not None:
        check_expected(found, want)
    if case.get("want") == "reject":
        check_rejected(errors, case)
    elif "error:" in errors and not case:
        raise Fail("a good table is not used: " + next(l for l in errors.splitlines() if "error:" in l))
    check_counts(found, errors, case)
    tables = parse(run("--tables", folder)[0])
    if extra:
        check_extra(tables, extra)


def sets(top):
    for folder, subfolders, files in os.walk(top):
        subfolders.sort()
        if any(f.lower().endswith(".dat") for f in files):
            yield folder


def main():
    tops = sys.argv[1:]
    if tops and tops[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if not tops:
        beside = os.path.join(ROOT, "..", "shared", "acpi")
        tops = [os.path.join(ROOT, "tests", "acpi")] + ([beside] if os.path.isdir(beside) else [])
    if "TARN_CHECK" not in os.environ:
        # Also when it is there: an old one would be tested otherwise. A make that called us keeps its own flags.
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        subprocess.run(["make", "-s", "-C", ROOT, "build/host/tarn-check-asan"], check=True, env=env, stdout=sys.stderr)
    passed = failed = 0
    for top in tops:
        label = os.path.basename(os.path.dirname(os.path.abspath(top)))
        for folder in sets(top):
            name = "%s/%s" % (label, os.path.relpath(folder, top))
            try:
                check_set(folder)
                print("ok %s" % name)
                passed += 1
            except Fail as why:
                print("FAIL %s: %s" % (name, why))
                failed += 1
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
