# SPDX-License-Identifier: BSD-2-Clause
"""What the ops of each policy cost: callgrind's count of every single call, so that mean and worst are exact and repeat.

tests/bench/sched_cost.c has the simulator drive the kernel's own objects and says which call was which.
"""
import os
import re
import subprocess
import tempfile

from common import BUILD, ROOT, BenchError, make

# Cpus, entities: instructions of wake, of pick with what re-queues the one that ran, and the worst single call, timers too.
XEN = """
credit2 busy  1x1 - 539 539      1x8 - 1013 654    1x64 - 1287 1568   1x512 - 3526 9165    1x4096 - 21447 70093
credit2 busy  8x64 - 1775 1827   8x512 - 4014 9443 64x64 - 449 1538   64x512 - 2651 3400
credit2 churn 1x1 305 531 561    1x8 713 671 805   1x64 727 693 1581  1x512 861 995 1983   1x4096 14840 15591 21076
credit2 churn 8x64 1160 892 1923 8x512 1249 1198 9534 64x64 392 546 31466 64x512 1647 1809 1637547
credit busy   1x1 - 227 391      1x8 - 258 737     1x64 - 435 5461    1x512 - 2782 7048    1x4096 - 20702 41027
credit busy   8x64 - 249 5469    8x512 - 482 22285 64x64 - 227 6134   64x512 - 259 43389
credit churn  1x1 283 339 480    1x8 263 233 801   1x64 268 213 4370  1x512 392 439 23103  1x4096 12450 3526 73251
credit churn  8x64 277 347 4804  8x512 273 210 33990 64x64 299 758 14670 64x512 289 1066 35609
rtds busy     1x1 - 142 145      1x8 - 590 1545    1x64 - 1139 71013  1x512 - 5528 4350000 1x4096 - 40652 277000000
rtds busy     8x64 - 1445 57923  8x512 - 5831 4240000 64x64 - 141 27029 64x512 - 8059 3400000
rtds churn    1x1 226 213 242    1x8 366 404 1575  1x64 1530 614 69170 1x512 10881 2349 4050000 1x4096 49399 5147 87000000
rtds churn    8x64 1405 699 46399 8x512 10562 2414 3700000 64x64 336 203 4244 64x512 9402 2445 2120000
null churn    1x1 59 70 72       64x64 59 70 72
"""
OPS = (("wake", "w"), ("block", "b"), ("pick", "k"), ("charge", "c"), ("released", "[rR]"), ("switch", None))
EVENTS = re.compile(rb"^events-\d+: (\d+)", re.M)
# One turn on a cpu; the entity that ran goes off still runnable. A pick may fetch from another domain and be asked again.
PICK, SWITCH = re.compile("kuk|k"), re.compile("c?y?(?:kuk|k)R")
CALLS = os.environ.get("CALLS", "")
WORST = 2000


def xen():
    table = {}
    for line in XEN.strip().splitlines():
        policy, load, *cells = line.split()
        for at in range(0, len(cells), 4):
            table[policy, load, *map(int, cells[at].split("x"))] = cells[at + 1:at + 4]
    return table


def measure(_):
    make(f"{BUILD}/bench/sched_cost")
    program = os.path.join(ROOT, BUILD, "bench", "sched_cost")
    names = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    return {name: cases(program, name) for name in names}


def cases(program, policy):
    """{(load, cpus, entities): {op: (mean, worst)} or words of a refusal}"""
    with tempfile.NamedTemporaryFile() as log:
        done = subprocess.run(["valgrind", "--tool=callgrind", "--instr-atstart=no", "--toggle-collect=measured_*",
                               "--callgrind-out-file=/dev/null", f"--log-file={log.name}", program, policy,
                               *CALLS.split()], capture_output=True, text=True)
        counts = [int(x) for x in EVENTS.findall(log.read())]
    if done.returncode != 0:
        raise BenchError(f"callgrind on sched_cost {policy}:\n{done.stderr[-1500:]}")
    got, empty, at = {}, {}, 0
    for line in done.stdout.splitlines():
        load, cpus, entities, letters = line.split(" ", 3)
        if letters.startswith("!"):
            got[load, int(cpus), int(entities)] = letters[2:]
            continue
        mine, at = counts[at:at + len(letters)], at + len(letters)
        costs = [b - a - empty.get(letter, 0) for a, b, letter in zip(mine, mine[1:], letters[1:])]
        if load == "empty":
            empty = {letter: cost for letter, cost in zip(letters[-8:], costs[-8:])}
            empty["r"] = empty["R"]
        else:
            got[load, int(cpus), int(entities)] = figures(letters[1:], costs)
    if at != len(counts):
        raise BenchError(f"sched_cost {policy}: {len(counts)} counts for {at} calls")
    return got


def figures(letters, costs):
    found = {}
    for op, pattern in OPS:
        which = {"pick": PICK, "switch": SWITCH}.get(op) or re.compile(pattern)
        each = [sum(costs[m.start():m.end()]) for m in which.finditer(letters)]
        found[op] = (sum(each) / len(each), max(each), len(each)) if each else None
    found["worst"] = max(costs, default=0)
    return found


def limit(policy, load, cpus, entities, op):
    """The most that we allow a mean to be; None: no target."""
    if policy == "null":
        return 40
    if load == "pinned" or op not in ("wake", "switch"):
        return None
    return 200 if entities <= 64 and cpus <= 8 else 300


def too_much(policy, load, cpus, entities, ops):
    """The names of the figures that are."""
    over = []
    for op, _ in OPS:
        most = limit(policy, load, cpus, entities, op)
        if ops[op] is not None and most is not None and round(ops[op][0]) > most:
            over.append(op)
    return over + ["worst"] * (ops["worst"] > WORST)


def show(got):
    others = xen()
    for policy, rows in got.items():
        print(f"\n{policy + ': instructions a call, mean/worst':<36}" + "".join(f"{op:>14}" for op, _ in OPS) +
              "    worst   Xen: wake switch worst")
        refused = {}
        for (load, cpus, entities), ops in rows.items():
            if isinstance(ops, str):
                refused.setdefault((cpus, entities), ops)
                continue
            what = f"  {load:<7} {entities:>5} on {cpus} cpu{'s' if cpus > 1 else ''}"
            cells = "".join(f"{f'{ops[op][0]:.0f}/{ops[op][1]}' if ops[op] else '-':>14}" for op, _ in OPS)
            like = policy if (policy, "churn", 1, 1) in others else "credit2"
            anchor = " ".join(others.get((like, load, cpus, entities), []))
            over = too_much(policy, load, cpus, entities, ops)
            print(f"{what:<36}{cells}{ops['worst']:>9}   {f'{like} {anchor}' if anchor else '':<34}"
                  f"{'OVER ' + ' '.join(over) if over else ''}".rstrip())
        if refused:
            print("  refused: " + ", ".join(f"{entities} on {cpus}" for cpus, entities in refused) +
                  "\n           " + next(iter(refused.values())))
    fewest = min(sum(op[2] for op in ops.values() if isinstance(op, tuple)) for rows in got.values()
                 for ops in rows.values() if not isinstance(ops, str) and ops["worst"] > 0)
    print(f"At most: mean of wake and switch 200 up to 64 entities on 8 cpus, 300 above; null 40 each; worst {WORST:,}."
          f"\nswitch: charge, pick, released. At least {fewest:,} calls a row, after every entity has run. pinned: half may run"
          "\non one cpu only, half on a quarter of them.")
