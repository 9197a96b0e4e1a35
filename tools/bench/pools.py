# SPDX-License-Identifier: BSD-2-Clause
"""What pool operations execute on all cpus together, counted by callgrind over the fake machine (tests/bench/pool_cost.c).

An operation polls while it waits for the other cpu's loop, and the fake machine runs that loop; both are counted.
"""
import re
import subprocess

from common import BUILD, ROOT, BenchError, heading, make, row

OPERATIONS = (("join", "a cpu joins a pool", "Xen 17,100 / 3,600", 2000),
              ("leave", "a cpu leaves a pool", "Xen 28,400 / 13,600", 3000),
              ("create", "create a pool", "Xen (credit) 3,300", 1500),
              ("destroy", "destroy a pool", "Xen (credit) 2,200", 1000),
              ("move", "a halted VM of 1 vCPU moves to another pool", "Xen 6,700 / 6,200", 1500))


def measure(_):
    make(f"{BUILD}/bench/pool_cost")
    return {name: count(name) for name, *_ in OPERATIONS}


def count(name):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=measured",
                           f"{BUILD}/bench/pool_cost", name], cwd=ROOT, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        raise BenchError(f"callgrind on pool_cost {name}:\n{done.stderr[-1500:]}")
    return int(found.group(1))


def show(got):
    heading("instructions, all cpus, in the pool functions")
    for name, words, anchor, target in OPERATIONS:
        row(words, got[name], anchor, target)
