#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The tables of `make bench`: what exits, interrupts, switches, start-up, pool operations and the program itself cost, beside
what other hypervisors need and what we allow ourselves.

Nothing here is a time of this machine's: Bochs with one cpu counts instructions by its TSC, callgrind does on the host. Exit
status 1: something could not be measured. A figure over its target is marked, not an error.

    tools/bench [--logs DIR] [--only PART]...
"""
import argparse
import os
import subprocess
import sys

import guests
import pools
import promises
import sched
import share
import sizes
from common import ROOT, BenchError, EmulatorError

PARTS = {"guests": guests, "share": share, "pools": pools, "sched": sched, "promises": promises, "sizes": sizes}
# Rows that wait for a measurement or for what they would measure.
NOT_YET = ("exits on SVM",)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", metavar="DIR", help="keep the emulator's logs there")
    parser.add_argument("--only", metavar="PART", action="append", choices=sorted(PARTS), help=", ".join(PARTS))
    options = parser.parse_args()
    os.chdir(ROOT)
    for name, part in PARTS.items():
        if options.only is None or name in options.only:
            part.show(part.measure(options.logs))
            sys.stdout.flush()
    print("\nNot measured yet: " + "; ".join(NOT_YET) + ".")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, EmulatorError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")
