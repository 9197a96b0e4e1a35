# SPDX-License-Identifier: BSD-2-Clause
"""What the policies promise, in simulated time: shares, caps, waits and deadlines on plans that Xen's policies were run on too.

tarn-sim runs the very sources of the kernel; figures repeat to the digit. Ideal shares are computed here, not asked of a policy.
"""
import json
import os
import random
import subprocess
import tempfile

from common import BUILD, ROOT, BenchError, make

FAIR = ("credit2", "eevdf", "credit")
SECONDS = 10
WEIGHTS = (256, 512, 1024, 2048)

# (words, weights, cpus), worst error in % of Xen's credit2 and credit, and the most that credit2 and eevdf may have.
SHARES = (("4 busy 1:2:4:8 on 1 cpu", WEIGHTS, 1, "0.05 / 8.0", 0.05),
          ("14 busy 1:2:4:8 on 7 cpus", [WEIGHTS[i % 4] for i in range(14)], 7, "0.68 / 12.2", 0.5),
          ("3 busy 1:1:1 on 2 cpus", [256] * 3, 2, "3.45 / 0.4", 0.2))
CAPS = ((25, "0.00 / 0.8", 0.1), (50, "0.00 / 0.8", 0.1))
# (words, busy, interactive, cpus), p50/p99/max us and switches a second of Xen's credit2 and credit.
WAKES = (("8 busy + 1 on 1 cpu", 8, 1, 1, "592/991/1000 1437; 0/0/0 1000"),
         ("8 busy + 4 on 1 cpu", 8, 4, 1, "532/1074/1271 2774; 422/1053/339085 2715"),
         ("64 busy + 32 on 8 cpus", 64, 32, 8, "159/971/1293 22259; 442/996/158674 22250"))
WAKE_P99_US, WAKE_MAX_US = 100, 300
RUN_US, EVERY_US, JITTER_US = 100, 2000, 200
REAL_TIME = {"sedf": "slice", "rtds": "budget"}
# (percent of one cpu, what Xen's rtds missed of it)
LOADS = ((80, "0.15 %"), (95, "4.4 %"), (100, "-"))
SETS, TASKS = 20, 5


def simulate(plan, *policies):
    """The rows of a run: {policy: {vm: figures}}."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = os.path.join(folder, "p.plan"), os.path.join(folder, "out.json")
        with open(path, "w", encoding="ascii") as f:
            f.write(plan)
        done = subprocess.run([os.path.join(ROOT, BUILD, "host", "tarn-sim"), path, "--json", out, "--compare", *policies],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"tarn-sim on\n{plan}\n{done.stdout[-800:]}{done.stderr[-800:]}")
        with open(out, encoding="ascii") as f:
            rows = json.load(f)
    found = {policy: {} for policy in policies}
    for row in rows:
        found[row["policy"]][row["vm"]] = row
    return found


def machine(cpus, seconds, warmup=0):
    return f"[machine]\ncpus = {cpus}\nuntil = {seconds}s\nwarmup = {warmup}s\n[pool p]\nsched = rr\n"


def vm(name, **keys):
    return f"[vm {name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def filled(weights, cpus):
    """Each one's share of a cpu, at most 1; what is left over by those goes to the others by weight."""
    share, left = {}, dict(enumerate(weights))
    while left:
        room = cpus - len(share)
        full = [i for i, w in left.items() if w * room >= sum(left.values())]
        if not full:
            share.update({i: w * room / sum(left.values()) for i, w in left.items()})
            break
        for i in full:
            share[i] = 1.0
            del left[i]
    return share


def worst_error(rows, ideal):
    return max(abs(rows[name]["run_ns"] / (SECONDS * 1e9) / share - 1) * 100 for name, share in ideal.items())


def shares(weights, cpus):
    plan = machine(cpus, SECONDS) + "".join(vm(f"v{i}", weight=w) for i, w in enumerate(weights))
    ideal = {f"v{i}": share for i, share in filled(weights, cpus).items()}
    return [worst_error(rows, ideal) for rows in simulate(plan, *FAIR).values()]


def caps(cap):
    """The worst over none, one and three rivals."""
    worst = [0.0] * len(FAIR)
    for rivals in (0, 1, 3):
        plan = machine(1, SECONDS) + vm("v", cap=cap) + (vm("rival", copies=rivals) if rivals else "")
        ideal = {"v": min(cap / 100, 1 / (1 + rivals))}
        worst = [max(w, worst_error(rows, ideal)) for w, rows in zip(worst, simulate(plan, *FAIR).values())]
    return worst


def wakes(busy, interactive, cpus, seconds=60):
    """(p50, p99, max) of the worst of them in us, switches a second."""
    plan = machine(cpus, seconds, warmup=2) + vm("busy", copies=busy)
    for i in range(interactive):
        plan += vm(f"i{i}", pattern="interactive", run=f"{RUN_US}us", every=f"{EVERY_US}us", jitter=f"{JITTER_US}us")
    found = []
    for rows in simulate(plan, *FAIR).values():
        mine = [row for name, row in rows.items() if name.startswith("i")]
        found.append(tuple(max(row[k] for row in mine) / 1000 for k in ("wake_p50_ns", "wake_p99_ns", "wake_max_ns")) +
                     (rows["all"]["switches"] / seconds,))
    return found


def least_switches(interactive, seconds=60):
    """
    Switches a second that no scheduler of one cpu can do without, where 99% of wakes run within WAKE_P99_US and others are busy.

    Each wake is a switch to who woke, and each stretch of such runs without a gap ends with one back to who is busy. So as few
    stretches are wanted as can be, by one who knows all wakes beforehand: the k-th run of a stretch that starts at s starts at
    s + k * RUN_US, which must be from its wake on and within the bound. Longest first is best, for a part of a stretch is one.
    A wake that need not keep the bound is in no stretch's way, and may close the gap between two: two switches less.
    """
    rng = random.Random(1)
    at = []
    for _ in range(interactive):
        wake = rng.uniform(0, EVERY_US)
        while wake < seconds * 1e6:
            at.append(wake)
            wake += EVERY_US + rng.uniform(0, JITTER_US)
    stretches, first, last, k = 0, 0, -1, 0         # the present one may start from first to last
    for wake in sorted(at):
        start = wake - k * RUN_US
        if max(first, start) <= min(last, start + WAKE_P99_US):
            first, last, k = max(first, start), min(last, start + WAKE_P99_US), k + 1
        else:
            stretches, first, last, k = stretches + 1, wake, wake + WAKE_P99_US, 1
    return (len(at) + stretches - 2 * 0.01 * len(at)) / seconds


def task_set(rng, percent):
    """(budget, period) in us of TASKS tasks of that load together: UUniFast, periods log-uniform from 10 to 100 ms.

    Budgets are at least 100 us, the least that a policy takes.
    """
    tasks, left = [], percent / 100
    for i in range(TASKS):
        after = left * rng.random() ** (1 / (TASKS - 1 - i)) if i < TASKS - 1 else 0.0
        period = round(10_000 * 10 ** rng.random())
        tasks.append((int((left - after) * period), period))
        left = after
    return tasks if min(tasks)[0] >= 100 else task_set(rng, percent)


def misses(policy, percent, seconds=60):
    """(jobs, missed, sets refused) of SETS random sets on one cpu, released at random phases."""
    rng = random.Random(percent)
    jobs = missed = refused = 0
    for _ in range(SETS):
        plan = machine(1, seconds)
        for i, (budget, period) in enumerate(task_set(rng, percent)):
            plan += vm(f"t{i}", **{"period": f"{period}us", REAL_TIME[policy]: f"{budget}us", "pattern": "periodic",
                                   "run": f"{budget}us", "every": f"{period}us", "phase": "random"})
        rows = simulate(plan, policy)[policy]
        jobs += rows["all"]["jobs"]
        missed += rows["all"]["misses"]
        refused += any(row["jobs"] == 0 for row in rows.values())
    return jobs, missed, refused


def measure(_):
    make(f"{BUILD}/host/tarn-sim")
    return {"shares": [shares(weights, cpus) for _, weights, cpus, _, _ in SHARES], "caps": [caps(cap) for cap, _, _ in CAPS],
            "wakes": [wakes(*case[1:4]) for case in WAKES],
            "misses": [[misses(policy, percent) for policy in REAL_TIME] for percent, _ in LOADS]}


def line(words, cells, xen, over):
    print(f"  {words:<34}" + "".join(f"{cell:>24}" for cell in cells) + f"   {xen}{'  OVER ' + over if over else ''}")


def heads(words, policies, xen):
    print(f"\n{words:<36}" + "".join(f"{p:>24}" for p in policies) + f"   Xen {xen}")


def show(got):
    heads("worst share error in 10 s, %", FAIR, "credit2 / credit")
    cases = [(words, xen, most) for words, _, _, xen, most in SHARES] + [(f"cap {c}%, 0, 1, 3 rivals", x, m) for c, x, m in CAPS]
    for (words, xen, most), errors in zip(cases, got["shares"] + got["caps"]):
        over = [p for p, e in zip(FAIR, errors) if p != "credit" and round(e, 3) > most]
        line(words, [f"{e:.3f}" for e in errors], xen, " ".join(over))
    heads("wake to run, us; switches a s", FAIR, "credit2; credit")
    for (words, _, interactive, cpus, xen), found in zip(WAKES, got["wakes"]):
        _, p99, longest, switches = found[FAIR.index("eevdf")]
        over = p99 > WAKE_P99_US or longest > WAKE_MAX_US or switches > float(xen.split(";")[0].split()[1])
        line(words, [f"{a:.0f}/{b:.0f}/{c:.0f} {d:.0f}" for a, b, c, d in found], xen, "eevdf" if over else "")
        if cpus == 1:
            print(f"  {'':<34}   with p99 {WAKE_P99_US} us, a scheduler that knew all wakes beforehand had at least "
                  f"{least_switches(interactive):.0f} switches a s")
    heads("missed of jobs; sets refused", REAL_TIME, "rtds")
    for (percent, xen), found in zip(LOADS, got["misses"]):
        over = [p for p, (jobs, missed, refused) in zip(REAL_TIME, found) if missed or refused]
        line(f"{SETS} sets of {TASKS} of U {percent / 100:.2f}, 1 cpu", [f"{m} of {j}; {r}" for j, m, r in found], xen,
             " ".join(over))
    print(f"At most: what the headings' last columns beat, and for eevdf p99 {WAKE_P99_US} us, max {WAKE_MAX_US} us, no more switches"
          " than Xen's credit2;\nno deadline missed, no set refused.")
