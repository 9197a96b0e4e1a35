#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs tarn-sim (the one with sanitizers) on plans: timetables worked out by hand, charts, traces, tables, errors."""

import glob
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
SIM = os.path.join(BUILD, "host", "tarn-sim-asan")
FAST = os.path.join(BUILD, "host", "tarn-sim")
DEMO = "tests/plans/demo.plan"

BAD = """cpus = 3
[machine]
cpus = 5000
threads = x
bogus = 1
[pool p]
sched = fifo
cpus = 0-9
timeslice = 1
[pool z]
[pool]
[vm a]
pool = q
pattern = dance
run = 3
timeslice = 3ms
run = 4ms
[vm a]
pattern = periodic
[vm <b>]
[events]
at = 20ms vm fly a
at = 5ms pool cpu-add
at = 5ms vcpu pin a 1 0
at = soon
at = 5ms vm set a wight=4
at = 5ms vm pause a b
[machine]
[vm many]
copies = 11
[vm many10]
[vm many1]
copies = 2
[vm many11]
[vm many01]
"""
BAD_SAID = """P:1:1: found a key before any section, expected [SECTION]
P:3:8: cpus: found "5000", expected a number from 1 to 1024
P:4:11: threads: found "x", expected a number
P:5:1: found "bogus", expected one of: KEYS
P:7:9: found policy "fifo", expected one of: POLICIES
P:8:10: found cpu 9, expected a cpu that the machine has (only 0)
P:9:13: timeslice: found "1", expected a time such as 500us, 10ms or 1s
P:10:2: pool z: found no sched, expected one
P:11:2: found [pool], expected [pool NAME]
P:13:8: found "q", expected the name of a pool of this plan
P:14:11: pattern: found "dance", expected one of: busy periodic interactive bursty random cheat yielder
P:15:7: run: found "3", expected a time with its unit such as 10ms (us, ms, s)
P:16:1: found "timeslice", expected it in a [pool] section
P:17:1: found "run" again, expected it once
P:18:2: found a second VM a, expected one
P:18:2: vm a: found no run, expected one for periodic
P:18:2: vm a: found no every, expected one for periodic
P:20:2: found "<b>", expected a name of letters, digits, - _ and .
P:22:11: found "vm fly", expected one of: KEYS
P:23:10: found "pool cpu-add", expected pool cpu-add P SET
P:24:21: found "1", expected the number of a vCPU of a
P:25:6: found "soon", expected TIME COMMAND, such as 20ms vm pause web
P:26:19: found "wight", expected a policy's setting or one of: KEYS
P:27:10: found "vm pause a b", expected vm pause V
P:28:2: found a second [machine], expected one
P:31:2: found VM many10 beside copies of many, expected other names
P:32:2: found VM many1 beside copies of many, expected other names
P:34:2: found VM many11 beside copies of many1, expected other names
"""


class Fail(Exception):
    pass


def need(condition, *what):
    if not condition:
        raise Fail(" ".join(str(w) for w in what))


def run(*args, status=0, program=SIM, seconds=60):
    done = subprocess.run([program, *args], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    need(done.returncode == status, f"{args}: status {done.returncode}, {done.stdout[-300:]!r}, {done.stderr[-500:]!r}")
    return done.stdout, done.stderr


def write(folder, text):
    path = os.path.join(folder, "p.plan")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def rows(out):
    """The figures by vm and policy, with the columns by their heads."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]
    at = next(i for i, line in enumerate(lines) if line[0] == "vm")
    heads = out.splitlines()[at].replace(" %", "%").replace(" us", "us").split()
    found = {}
    for line in out.splitlines()[at + 1:]:
        cells = line.split()
        if len(cells) == len(heads):
            found[cells[0], cells[1]] = dict(zip(heads[2:], map(float, cells[2:])))
    return found


def plans_are_right(folder):
    with open(os.path.join(ROOT, "docs/simulator.md"), encoding="utf-8") as f:
        example = re.search(r"^    \[machine\]\n(?:    .*\n|\n)+", f.read(), re.M).group(0)
    out, _ = run(write(folder, re.sub("^    ", "", example, flags=re.M)))
    need("note" not in out and "sensor" in out, "the plan of docs/simulator.md:", out)
    for plan in glob.glob(os.path.join(ROOT, "tests/plans/*.plan")):
        run(plan, "--check")


def keys_are_documented(folder):
    with open(os.path.join(ROOT, "docs/simulator.md"), encoding="utf-8") as f:
        page = f.read()
    for kind, text in (("machine", "[machine]\nx = 1\n"), ("pool NAME", "[pool p]\nx = 1\n"),
                       ("vm NAME", "[pool p]\nsched = rr\n[vm v]\nx = 1\n")):
        accepted = re.search(r'found "x", expected.* one of: (.*)', run(write(folder, text), status=1)[1]).group(1).split()
        row = re.search(r"^\| `\[%s\]` \|(.*)" % kind, page, re.M).group(1)
        told = re.findall(r"`([a-z-]+)`", row.split("every pool setting")[0])
        need(sorted(told) == sorted(accepted), kind, "told", told, "accepted", accepted)
    with open(os.path.join(ROOT, "tools/sim/plan_event.c"), encoding="utf-8") as f:
        forms = re.findall(r'"((?:pool|vm|vcpu) [a-z-]+ [^"]+)"', f.read())
    for word in forms + re.findall(r"^(--[a-z]+)", run("--help")[0], re.M):
        need(word == "--help" or "`" + word in page.replace("\n", " "), word, "is not told of")
    words = re.search(r'"dance", expected one of: (.*)', BAD_SAID).group(1).split()
    need(words == re.findall(r"^\| `(\w+)`(?: \(default\))? \| ", page.split("| `pattern` |")[1], re.M), words)


def timetables_are_as_expected(_):
    found = sorted(glob.glob(os.path.join(ROOT, "tests/plans/*.expected")))
    need(len(found) >= 2, "there are", len(found))
    for path in found:
        with open(path, encoding="utf-8") as f:
            want = f.read()
        out, _ = run(path.replace(".expected", ".plan"), "--timetable")
        need(out.startswith(want + "\n"), path, "found", out[:len(want) + 200])


def all_errors_are_told(folder):
    path = write(folder, BAD)
    _, err = run(path, "--check", status=1)
    err = re.sub(r"(expected one of: )null, .*", r"\1POLICIES", err.replace(path, "P"))
    err = re.sub(r"(expected one of: ).*\brr\b.*", r"\1POLICIES", err)
    err = re.sub(r"( one of: )(cpus|pool) .*", r"\1KEYS", err)
    for got, want in zip(err.splitlines() + [None] * 30, BAD_SAID.splitlines() + [None]):
        need(got == want, "found", got, "expected", want)
        if want is None:
            break
    need(run(path, status=1)[0] == "", "a plan with errors was run")


def tables_are_judged(folder):
    plan = "[machine]\ncpus = 1\nuntil = 1ms\n[pool p]\nsched = arinc653\nframe = %dus\nwindow = %s\n[vm a]\nvcpus = 2\n"
    windows = "; ".join(f"0 a.{i % 2} 10us" for i in range(60))
    out, _ = run(write(folder, plan % (600, windows)))
    need([rows(out)[vm, "arinc653"]["share%"] for vm in ("a.0", "a.1")] == [50, 50], out)
    path = write(folder, plan % (599, windows))
    for how in ("--check", "--timetable"):
        _, err = run(path, how, status=1)
        need(err == "error: pool p: slot 0: its windows up to that of a.1 last 600 us, the frame 599 us\n", err)


def charts_are_right(folder):
    path = os.path.join(folder, "c.svg")
    run(DEMO, "--svg", path, "--from", "10ms", "--to", "60ms", "--compare", "rr")
    path = os.path.join(folder, "c-rr.svg")
    tree = xml.parse(path).getroot()
    texts = [t.text for t in tree.iter("{http://www.w3.org/2000/svg}text")]
    boxes = [b for b in tree.iter("{http://www.w3.org/2000/svg}rect") if len(b)]
    for want in (DEMO + ", rr", "cpu 0 web", "cpu 2 rt, web", "sensor", "batch1", "10ms", "60ms", "idle", "waits", "parked"):
        need(want in texts, "no", want, "in", texts)
    need([t[5:] for t in texts if t[2:4] == "at"] == ["30ms vm migrate control web", "50ms pool cpu-add web 2",
                                                     "60ms pool set web timeslice=2ms"], texts)
    marks = [m[0].text for m in tree.iter("{http://www.w3.org/2000/svg}path") if len(m)]
    need(marks == ["30ms vm migrate control web", "50ms pool cpu-add web 2", "60ms pool set web timeslice=2ms"], marks)
    need(len(boxes) > 50, len(boxes), "boxes")
    for box in boxes:
        x, width = float(box.get("x")), float(box.get("width"))
        need(x >= 110 and x + width <= 110 + 1240 + 0.3, "a box of", width, "at", x)
    # What runs on one cpu does not overlap: boxes of the first row, in order.
    first = sorted((float(b.get("x")), float(b.get("width"))) for b in boxes if b.get("y") == "66.0")
    for (x, width), (after, _) in zip(first, first[1:]):
        need(x + width <= after + 0.02, "boxes overlap at", x, width, after)


def traces_are_right(folder):
    path = os.path.join(folder, "t.json")
    out, _ = run(DEMO, "--perfetto", path)
    with open(path, encoding="utf-8") as f:
        events = json.load(f)["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    place = {e["pid"]: e["args"]["sort_index"] for e in events if e["name"] == "process_sort_index"}
    order = {e["args"]["name"]: place[e["pid"]] for e in events if e["name"] == "process_name"}
    need(sorted(order, key=order.get) == ["plan", "cpus", "vcpus"], order)
    need(not any(pid == tid != 0 for pid, tid in names), "a track that is taken for its process' first:", names)
    since, ends, ran = {}, {}, {}
    for e in events:
        track = e["pid"], e["tid"]
        if e["ph"] == "B":
            need(track in names and track not in since and e["ts"] >= ends.get(track, 0), "slices overlap:", e)
            since[track] = e
        elif e["ph"] == "E":
            begin, ends[track] = since.pop(track), e["ts"]
            need(e["ts"] > begin["ts"], begin, e)
            if e["pid"] == 0:
                ran[begin["name"]] = ran.get(begin["name"], 0) + e["ts"] - begin["ts"]
    need(not since, since, "did not end")
    need({(0, cpu) for cpu in range(3)} < ends.keys(), "a cpu without a slice is not shown:", ends)
    told = [(e["ts"], e["name"]) for e in events if e["ph"] == "B" and names[e["pid"], e["tid"]] == "events"]
    need(told == [(0, "start"), (30000, "30ms vm migrate control web"), (50000, "50ms pool cpu-add web 2"),
                  (60000, "60ms pool set web timeslice=2ms")], told)
    for (vm, _), row in rows(out).items():
        if vm != "all":
            need(abs(ran[vm] / 1000 - row["share%"]) < 0.01, vm, ran[vm], row["share%"])


def tables_are_for_programs_too(folder):
    path = os.path.join(folder, "t.json")
    out, _ = run(DEMO, "--compare", "rr", "credit2", "--json", path)
    with open(path, encoding="utf-8") as f:
        objects = {(o["vm"], o["policy"]): o for o in json.load(f)}
    table = rows(out)
    need(objects.keys() == table.keys() and len(table) == 14, objects.keys(), table.keys())
    for key, row in table.items():
        need(abs(objects[key]["run_ns"] / 1e6 - row["share%"]) < 0.006 and objects[key]["switches"] == row["switches"] and
             objects[key]["jobs"] == row["jobs"] and abs(objects[key]["wake_max_ns"] / 1e3 - row["maxus"]) < 0.06, key, row)


def policies_stand_side_by_side(_):
    out, _ = run("tests/plans/turns.plan", "--compare", "rr", "null")
    found = rows(out)
    need(found["a", "rr"]["share%"] == 50.0 and found["a", "null"]["share%"] == 100.0, found)
    need(found["c", "rr"]["maxus"] == 8000.0, found)
    need(re.search(r"^b +null +did not start$", out, re.M), out)
    need("note: b does not start: null gives each vCPU a cpu: 1 there + 1 new > 1 cpus" in out, out)
    need("note: p: timeslice has no effect under null" in out, out)


def pages_tables():
    """docs/schedulers.md: {(policy, policy): letter}, {letter: (plan, column, vm, {policy: figure, None: does not start})}"""
    with open(os.path.join(ROOT, "docs/schedulers.md"), encoding="utf-8") as f:
        rows_of = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in f
                   if line.startswith("|") and "---" not in line]
    heads = next(row for row in rows_of if row[0] == "" and "null" in row)
    pairs, figures = {}, {}
    for first, *cells in rows_of[rows_of.index(heads) + 1:]:
        if len(first) > 1:
            pairs.update({(first, heads[1 + i]): cell for i, cell in enumerate(cells) if cell})
        elif cells[0].startswith("`"):
            column, vm = re.fullmatch(r"(.*) of `(.*)`", cells[1]).groups()
            comes_to = {}
            for names, figure in re.findall(r"([\w, ]+): ([^;]+)", cells[2]):
                figure = None if figure == "does not start" else float(figure)
                comes_to.update(dict.fromkeys(names.strip().split(", "), figure))
            figures[first] = cells[0].strip("`"), column.replace(" ", ""), vm, comes_to
    return pairs, figures


def no_two_policies_are_the_same(_):
    pairs, figures = pages_tables()
    policies = run(DEMO, "--compare", status=2)[1].split(":")[-1].split()
    need(len(policies) >= 8, policies)
    for pair in itertools.combinations(policies, 2):
        need(pair in pairs or pair[::-1] in pairs, "docs/schedulers.md does not tell apart", pair)
    for (a, b), letter in pairs.items():
        comes_to = figures[letter][3]
        need(a in comes_to and b in comes_to, a, b, letter, comes_to)
        x, y = comes_to[a], comes_to[b]
        need(x != y and (None in (x, y) or abs(x - y) > 0.2 * max(x, y)), a, b, "are alike by", letter)
    for letter, (plan, column, vm, comes_to) in figures.items():
        found = rows(run(f"tests/plans/{plan}.plan", "--compare", *comes_to, program=FAST)[0])
        for policy, want in comes_to.items():
            got = found.get((vm, policy), {}).get(column)
            need(got == want or (got is not None and want is not None and column == "share%" and abs(got - want) <= 0.5),
                 f"{letter}: {plan}.plan, {column} of {vm} under {policy}: found {got}, expected {want}")


def events_that_are_refused_are_told(_):
    out, _ = run("tests/plans/own-cpus.plan")
    need("note: at 5ms vm start c: error: null gives each vCPU a cpu: 2 there + 1 new > 2 cpus" in out, out)


EVENTS = """[machine]
cpus = 4
until = 50ms
[pool p]
sched = rr
cpus = 0-1
[pool q]
sched = rr
cpus = 2
[vm a]
weight = 2
[vm ba]
weight = 2
[events]
at = 1ms pool cpu-remove p 0-1
at = 2ms pool cpu-remove p 2
at = 3ms pool cpu-add q 0-1,3
at = 4ms vm start a
at = 5ms vm resume a
at = 6ms vm pause a
at = 7ms vm pause a
at = 8ms vm resume a
at = 9ms vm destroy a
at = 10ms vm destroy a
at = 11ms vm pause a
at = 60ms vm start a
"""
EVENTS_NOTED = """note: at 60ms vm start a: the plan ends before that
note: a: weight has no effect under rr
note: ba: weight has no effect under rr
note: at 1ms pool cpu-remove p 0-1: error: cpu 1 is the last of pool p, which has VMs
note: at 2ms pool cpu-remove p 2: error: cpu 2 is not in pool p
note: at 3ms pool cpu-add q 0-1,3: error: cpu 1 is the last of pool p, which has VMs
note: at 4ms vm start a: error: a is running
note: at 5ms vm resume a: error: a is running
note: at 7ms vm pause a: error: a is paused
note: at 10ms vm destroy a: error: a is not running
note: at 11ms vm pause a: error: a is not running
"""


def events_that_are_refused_change_nothing(folder):
    out, _ = run(write(folder, EVENTS))
    need(sorted(re.findall("^note.*", out, re.M)) == sorted(EVENTS_NOTED.splitlines()), out)
    need("pool p: rr on cpus 0-1, 1 VMs" in out and "pool q: rr on cpus 2, 0 VMs" in out, out)


def runs_repeat(_):
    need(run(DEMO, "--timetable") == run(DEMO, "--timetable"), "two runs differ")
    need(run(DEMO, "--timetable") != run(DEMO, "--timetable", "--seed", "9"), "two seeds do not differ")


def the_biggest_plan_runs(_):
    out, _ = run("tests/plans/big.plan", program=FAST)
    need("on cpus 0-1023, 100000 VMs" in out, out)
    need("102400.00" in out, "the cpus were not busy all the time:", out)


def cost_grows_line_by_line(_):
    out, _ = run("tests/plans/turns.plan", "--grow", "1", "4", "--compare", "rr")
    lines = [line.split() for line in out.splitlines()]
    need(len(lines) == 3 and lines[1][:3] == ["3", "1", "rr"] and lines[2][:3] == ["12", "1", "rr"], out)
    need(all(int(line[6]) > 0 and int(line[7]) <= int(line[8]) for line in lines[1:]), out)
    out, _ = run("tests/plans/turns.plan", "--cost")
    need(re.search(r"^pick +9 +225 +\d+ +\d+$", out, re.M), out)


def wrong_calls_are_told(_):
    for args, want in ((["--frm"], "one plan"), ([DEMO, "--from"], "found nothing"), ([DEMO, "--compare", "x"], "found x"),
                       ([DEMO, "--grow", "0"], "found 0"), ([], "found nothing"), (["no/such/file"], "no/such/file:"),
                       ([DEMO, "--seed", "-"], "found -"), ([DEMO, "--until", "0ms"], "found 0ms"),
                       ([DEMO, "--timetable", "--from", "5ms", "--to", "5ms"], "--from"),
                       ([DEMO, "--timetable", "--from", "1s"], "--from"), ([DEMO, "--grow", "1", "--cost"], "--grow")):
        _, err = run(*args, status=2)
        need(want in err, args, err)
    need("--perfetto" in run("--help")[0], "no help")
    _, err = run(DEMO, "--svg", "/no/such/folder/x.svg", status=1)
    need("/no/such/folder" in err, err)


TESTS = [
    ("every plan of the tree is without error, and so is the one in the documentation", plans_are_right),
    ("the page has every key that a plan may have, and no other", keys_are_documented),
    ("timetables are those worked out by hand", timetables_are_as_expected),
    ("every error of a plan is told, with its place and what was expected", all_errors_are_told),
    ("a table may be as long as a line, and one that does not fit its frame is told", tables_are_judged),
    ("a Gantt chart is well-formed, in its bounds, and without overlaps", charts_are_right),
    ("a Perfetto trace is JSON, names its tracks, and agrees with the table", traces_are_right),
    ("the table is there as JSON, with the same figures", tables_are_for_programs_too),
    ("policies are set side by side on one plan, refusals included", policies_stand_side_by_side),
    ("no two policies are the same: each pair differs as docs/schedulers.md says", no_two_policies_are_the_same),
    ("events that are refused are told with the reason", events_that_are_refused_are_told),
    ("events that are refused change nothing, and each says why", events_that_are_refused_change_nothing),
    ("a run repeats to the byte, and another seed is another run", runs_repeat),
    ("1,024 cpus and 100,000 vCPUs are simulated", the_biggest_plan_runs),
    ("the cost of decisions is told for growing numbers of vCPUs", cost_grows_line_by_line),
    ("wrong calls are told", wrong_calls_are_told),
]


def main():
    failed = done = 0
    for sentence, test in TESTS:
        if len(sys.argv) > 1 and sys.argv[1] not in sentence:
            continue
        done += 1
        try:
            with tempfile.TemporaryDirectory() as folder:
                test(folder)
            print("ok  ", sentence)
        except (Fail, subprocess.TimeoutExpired, ValueError, KeyError, xml.ParseError) as e:
            failed += 1
            print("FAIL", sentence)
            print("  %s: %s" % (type(e).__name__, e))
    print(f"test_tarn_sim: {done - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
