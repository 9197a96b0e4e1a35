#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tries the counting of tests/run.py on programs that pass, fail, crash and hang."""

import contextlib
import importlib.util
import io
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("tests_run", os.path.join(HERE, "run.py"))
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)
run.SILENCE_MAX_SECONDS = 2

# Sentence, what a shell does, and the passed, failed and skipped that must come of it.
CASES = [
    ("a program's counts are added", "echo 'x: 3 passed, 0 failed'", (3, 0, 0)),
    ("skipped tests are counted apart", "echo 'x: 3 passed, 0 failed, 2 skipped'", (3, 0, 2)),
    ("the last counts of a program are the ones that hold",
     "echo 'boot: 9 passed, 9 failed'; echo 'x: 3 passed, 0 failed'", (3, 0, 0)),
    ("failed tests are counted once although the status is bad too", "echo 'x: 3 passed, 2 failed'; exit 1", (3, 2, 0)),
    ("a program without counts is one test", "echo fine", (1, 0, 0)),
    ("a program without counts and with a bad status is one failure", "exit 3", (0, 1, 0)),
    ("a crash before the counts is a failure", "echo 'ok one'; kill -SEGV $$", (0, 1, 0)),
    ("a crash after good counts is a failure", "echo 'x: 3 passed, 0 failed'; exit 1", (3, 1, 0)),
    ("a program that hangs in silence is ended and fails", "echo begun; sleep 60", (0, 1, 0)),
]
LAST_LINE = "the last line is the counts of passed and failed alone, skipped or not"


def last_line():
    """Whatever was skipped, scripts find the counts alone in the last line."""
    totals = run.Totals()
    totals.add(3, 1, 2)
    return totals.lines() == "2 skipped\n3 passed, 1 failed"


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    cases = [c for c in CASES if only in c[0]]
    failed = 0
    for sentence, script, want in cases:
        totals = run.Totals()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            run.run_program(["/bin/sh", "-c", script], totals)
        got = (totals.passed, totals.failed, totals.skipped)
        if got == want:
            print(f"ok   {sentence}")
        else:
            failed += 1
            print(f"FAIL {sentence}\n  got {got}, want {want}; it printed:\n{printed.getvalue()}")
    if only in LAST_LINE:
        cases.append(LAST_LINE)
        failed += not last_line()
        print(f"{'ok  ' if last_line() else 'FAIL'} {LAST_LINE}")
    print(f"test_run: {len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
