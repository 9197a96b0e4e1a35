# SPDX-License-Identifier: BSD-2-Clause
"""What several machine tests do: read tables and JSON of Tarn's answers, start guests, attach, provoke a fault."""

import json
import re
import time

from console import Failure, MachineEnded, check

SHELL = r"tarn> "
KEPT_BYTES = 64 << 10      # of what a guest wrote


def rows(text):
    """The lines of a table that start with a number."""
    return [line for line in text.splitlines() if re.match(r"\s*(cpu|node)?\s*\d+\b", line)]


def as_json(r, command):
    # Lines of the log may come in between.
    text = re.sub(r"(?m)^\[ *\d+\.\d{6}\] .*\n", "", r.sh.cmd(command + " -j"))
    try:
        return json.loads(text)
    except ValueError as e:
        check(False, f"'{command} -j' is not JSON ({e}):\n{text}")


def vcpu(r, vm):
    """The first vCPU of a VM, as `vcpu list -j` has it."""
    mine = [v for v in as_json(r, "vcpu list") if v["vm"] == vm]
    check(mine, f"'vcpu list -j' has no vCPU of {vm}")
    return mine[0]


def vm_state(name, state, why=""):
    """A row of `vm list`."""
    return rf"^{name}\b.*\b{state}\b.*{why}"


def pool_cpus(name, cpus):
    """A row of `pool list -c`."""
    return rf"^\s*{name}\b.*(?<![\d,-]){cpus}(?![\d,-])"


def running(r, *vms):
    """Starts those that do not run: a test may be run without the ones before it."""
    for vm in vms:
        if not re.search(vm_state(vm, "running"), r.sh.cmd("vm list"), re.M):
            r.sh.cmd(f"vm start {vm}")


def stop(r, *vms):
    """Stops those that run."""
    for vm in vms:
        if re.search(vm_state(vm, "running"), r.sh.cmd("vm list"), re.M):
            r.sh.cmd(f"vm stop {vm}")


def attach(r, vm, prompt, seconds):
    """Attaches to a VM's console and waits for the prompt there, pressing Enter now and then."""
    r.sh.attach(vm)
    for wait in [2] + [10] * (seconds // 10):
        try:
            return r.console.expect(prompt, wait)
        except MachineEnded:
            raise
        except Failure as e:
            r.console.type("\r")
            last = e
    raise last


def said(r, vm):
    """What a guest's console keeps of all that the guest wrote up to now."""
    written = int(re.search(r"console: (\d+) bytes written", r.sh.cmd(f"vm show {vm}")).group(1))
    deadline = time.monotonic() + 60 * r.console.slow
    r.sh.attach(vm)
    # All that is kept is repeated, no faster than the port; the console drops the CR of each line.
    while len(r.console.text) + r.console.text.count("\n") < min(written, KEPT_BYTES) and time.monotonic() < deadline:
        r.console.read(0.3)
    return r.sh.detach()


def counts(r, vm, after=(0, 0), seconds=30):
    """What the guest counter.c said last: how far it counted, and its clock in microseconds; waits for more than `after`."""
    deadline = time.monotonic() + seconds * r.console.slow
    while True:
        lines = re.findall(r"count (\d+) at (\d+) us\n", said(r, vm))
        last = (int(lines[-1][0]), int(lines[-1][1])) if lines else (0, 0)
        if last != after:
            return last
        check(time.monotonic() < deadline, f"{vm} does not count: last {last}, before {after}")
        r.console.read(0.2)


def panics(r, command, *patterns):
    """A fault of the hypervisor: says what, where and how it came there, then nothing more, ever."""
    r.console.type(f"{command}\r")
    text = r.console.expect(r"tarn: panic: (?s:.*?)\ntarn: stopped\n", 20).group(0)
    for pattern in patterns + (r"on cpu 0\b", r"\nrip [0-9a-f]{16}  rsp [0-9a-f]{16}", r"\ncr0 [0-9a-f]{16}",
                               r"\nbacktrace[^\n]*\n(  [0-9a-f]{16}\n){4}"):
        check(re.search(pattern, text), f"the panic holds no '{pattern}':\n{text}")
    r.console.type("version\r")
    r.console.expect_absent(r"\S", 2)
