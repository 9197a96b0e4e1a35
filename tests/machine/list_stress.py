# SPDX-License-Identifier: BSD-2-Clause
"""Random commands on VMs, pools and cpus while guests count. A model says of most of them whether they must succeed."""

import random
import re

from console import check
from machine import Machine
from steps import as_json, counts, vm_state

STEPS = 500
CPUS = 4
FIRM = ("rr", "credit", "credit2", "eevdf")     # take any VM
CHOOSY = ("null", "sedf", "rtds")               # may refuse one
POOLS = ("pool0", "p1", "p2", "p3")
VMS = tuple(f"v{i}" for i in range(6))
# Guests that end by themselves, and what follows: nobody can say in which state a command finds them.
WILD = ("kernel=end.elf cmdline=triple on-crash=restart", "kernel=end.elf cmdline=port-cf9",
        "kernel=end.elf cmdline=poweroff on-poweroff=destroy", "kernel=smp.elf vcpus=3 on-poweroff=restart")

stress = Machine("Bochs with random commands", emulator="bochs", ips=100_000_000, cpus=CPUS, nodes=2, mem=1024, vtx=True,
                 slow=True, manifest="[boot]\nfiles = counter.elf end.elf smp.elf\n",
                 files=[f"guests/{n}.elf" for n in ("counter", "end", "smp")])


def text_of(cpus):
    return ",".join(str(c) for c in sorted(cpus))


class Model:
    """What there must be. Each method that makes a command returns it, whether it must succeed (None: it may), and what it does."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.pools = {}         # name: [policy, cpus]
        self.vms = {}           # name: [state, pool, cpus it is pinned to]
        self.wild = {}          # number: pool where such a guest may be

    def free(self):
        return set(range(CPUS)).difference(*(cpus for _, cpus in self.pools.values()))

    def some(self, of):
        return set(self.rng.sample(sorted(of), self.rng.randint(1, len(of)))) if of else set()

    def of_pool(self, pool):
        return [v for v in self.vms.values() if v[1] == pool]

    def pick(self, names, fits):
        """Mostly one with which the command does something."""
        fit = [n for n in names if fits(n)]
        return self.rng.choice(fit if fit and self.rng.random() < 0.8 else names)

    def vm_in(self, *states):
        return self.pick(VMS, lambda v: v in self.vms and self.vms[v][0] in states)

    def pool_with(self, fits):
        return self.pick(POOLS, lambda p: p in self.pools and fits(self.pools[p][1]))

    def takes(self, pool, ok):
        return ok and (True if self.pools[pool][0] in FIRM else None)

    def pool_create(self):
        name, policy = self.pick(POOLS, lambda p: p not in self.pools), self.rng.choice(FIRM + CHOOSY)
        cpus = self.some(self.free() or set(range(CPUS)))
        return (f"pool create {name} sched={policy} cpus={text_of(cpus)}", name not in self.pools and cpus <= self.free(),
                lambda: self.pools.update({name: [policy, cpus]}))

    def pool_destroy(self):
        name = self.pick(POOLS, lambda p: p in self.pools and not self.of_pool(p))
        ok = name in self.pools and not self.of_pool(name)
        return f"pool destroy {name}", ok and (None if name in self.wild.values() else True), lambda: self.pools.pop(name)

    def cpu_add(self):
        name, cpus = self.pool_with(lambda cpus: True), self.some(self.free() or set(range(CPUS)))
        return (f"pool cpu-add {name} {text_of(cpus)}", name in self.pools and cpus <= self.free(),
                lambda: self.pools[name][1].update(cpus))

    def cpu_remove(self):
        name = self.pool_with(lambda cpus: len(cpus) > 1)
        has = self.pools.get(name, [None, set()])[1]
        cpus = self.some(has or set(range(CPUS)))
        left, inside = has - cpus, self.of_pool(name)
        ok = name in self.pools and cpus <= has and (not inside or bool(left)) and all(left & v[2] for v in inside)
        may = inside and self.pools[name][0] not in FIRM or not left and name in self.wild.values()
        return (f"pool cpu-remove {name} {text_of(cpus)}", ok and (None if may else True),
                lambda: self.pools[name][1].difference_update(cpus))

    def vm_create(self):
        name, pool = self.pick(VMS, lambda v: v not in self.vms), self.pool_with(lambda cpus: cpus)
        ok = name not in self.vms and pool in self.pools and bool(self.pools[pool][1])
        return (f"vm create {name} pool={pool} kernel=counter.elf memory=8M", ok and self.takes(pool, ok),
                lambda: self.vms.update({name: ["stopped", pool, set(range(CPUS))]}))

    def vm_state(self, verb, before, after):
        name = self.vm_in(*before)
        return (f"vm {verb} {name}", name in self.vms and self.vms[name][0] in before,
                lambda: self.vms[name].__setitem__(0, after))

    def vm_destroy(self):
        name = self.vm_in("stopped", "running", "paused")
        return f"vm destroy {name}", name in self.vms, lambda: self.vms.pop(name)

    def vm_migrate(self):
        name, to = self.vm_in("stopped", "running", "paused"), self.pool_with(lambda cpus: cpus)
        ok = name in self.vms and to in self.pools and self.vms[name][1] != to and bool(self.pools[to][1] & self.vms[name][2])
        return f"vm migrate {name} {to}", ok and self.takes(to, ok), lambda: self.vms[name].__setitem__(1, to)

    def vcpu_pin(self):
        name, cpus = self.vm_in("stopped", "running", "paused"), set(range(CPUS))
        cpus = self.some(cpus) if self.rng.random() < 0.3 else cpus
        pool = self.vms[name][1] if name in self.vms else None
        ok = pool is not None and bool(cpus & self.pools[pool][1])
        return (f"vcpu pin {name} 0 {text_of(cpus)}", ok and self.takes(pool, ok),
                lambda: self.vms[name].__setitem__(2, cpus))

    def wild_one(self):
        i = self.rng.randrange(len(WILD))
        pools = [p for p in POOLS if p in self.pools and self.pools[p][0] in FIRM and self.pools[p][1]]
        verb = self.rng.choice(("create", "create", "start", "pause", "resume", "stop", "destroy"))
        if verb != "create" or not pools:
            return f"vm {verb} w{i}", None, lambda: self.wild.pop(i, None) if verb == "destroy" else None
        pool = self.rng.choice(pools)
        return f"vm create w{i} pool={pool} memory=8M autostart=yes {WILD[i]}", None, lambda: self.wild.update({i: pool})

    def step(self):
        return self.rng.choice((
            self.pool_create, self.pool_create, self.pool_destroy, self.cpu_add, self.cpu_add, self.cpu_remove,
            self.vm_create, self.vm_create, self.vm_destroy, self.vm_migrate, self.vm_migrate, self.vcpu_pin, self.wild_one,
            lambda: self.vm_state("start", ("stopped",), "running"), lambda: self.vm_state("start", ("stopped",), "running"),
            lambda: self.vm_state("pause", ("running",), "paused"), lambda: self.vm_state("resume", ("paused",), "running"),
            lambda: self.vm_state("stop", ("running", "paused"), "stopped")))()


def free_bytes(r):
    return [n["free_bytes"] for n in as_json(r, "node list")]


def sound(r, model, since):
    """Every policy finds itself right, who is to run does, and the log tells of guests only."""
    for line in r.sh.cmd("log").splitlines():
        at = re.match(r"\[ *(\d+\.\d+)\] (.*)", line)
        check(not at or float(at[1]) <= since or re.match(r"vm (v\d: stopped: by command|w\d: )", at[2]), f"the log says: {line}")
    for pool in model.pools:
        r.sh.cmd(f"sched dump {pool}")
    listed = {p["name"]: p["cpus"] for p in as_json(r, "pool list")}
    check(listed == {p: len(cpus) for p, (_, cpus) in model.pools.items()}, f"pools: {listed}, expected {model.pools}")
    states = {v["vm"]: [v["state"], v["pool"]] for v in as_json(r, "vm list") if v["vm"] in VMS}
    check(states == {v: model.vms[v][:2] for v in model.vms}, f"VMs: {states}, expected {model.vms}")
    used = {v["vm"]: v["used_ns"] for v in as_json(r, "vcpu list")}
    for _ in range(30):
        r.console.read(0.3)
        now = {v["vm"]: v["used_ns"] for v in as_json(r, "vcpu list")}
        still = [v for v in model.vms if model.vms[v][0] == "running" and model.pools[model.vms[v][1]][0] in FIRM and now[v] == used[v]]
        if not still:
            return
    check(False, f"they do not run: {still}")


def end_all(r):
    for vm in as_json(r, "vm list"):
        r.sh.answer(f"vm destroy {vm['vm']}", 20)       # one of them may end itself first
    for pool in as_json(r, "pool list"):
        r.sh.cmd(f"pool destroy {pool['name']}")


@stress.test(f"after {STEPS} random commands on VMs, pools and cpus all is as a model says, every guest counts, and no memory is lost")
def _(r):
    model = Model(12)
    end_all(r)
    before, since, done = free_bytes(r), float(re.findall(r"(?m)^\[ *(\d+\.\d+)\]", r.sh.cmd("log"))[-1]), 0
    for i in range(STEPS):
        line, must, then = model.step()
        _, end = r.sh.answer(line, 30)
        check(must is None or must == (end == "ok"), f"step {i}: '{line}' ended in '{end}'; there are {model.pools}, {model.vms}")
        if end == "ok":
            then()
            done += 1
        if i % 25 == 24:
            sound(r, model, since)
    check(done > STEPS / 4, f"only {done} of {STEPS} commands did anything")
    home = next(p for p, (policy, cpus) in model.pools.items() if policy in FIRM and cpus)
    for vm, (state, pool, _) in model.vms.items():
        r.sh.cmd(f"vcpu pin {vm} 0 all")
        if pool != home:
            r.sh.cmd(f"vm migrate {vm} {home}")
        if state != "running":
            r.sh.cmd(f"vm {'start' if state == 'stopped' else 'resume'} {vm}")
    for vm in model.vms:
        r.sh.until("vm list", vm_state(vm, "running"), 10)
        counts(r, vm, counts(r, vm))
    end_all(r)
    check(free_bytes(r) == before, f"free bytes by node: {before} before, {free_bytes(r)} after")
