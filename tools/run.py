#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Boots an image in an emulator with this terminal as its serial console. Ctrl-A X ends it, Ctrl-A Ctrl-A sends a
Ctrl-A; every other key, Ctrl-C too, goes to Tarn. Exits 0 when the machine turned itself off or was ended by Ctrl-A X.
"""
import argparse
import os
import select
import sys
import termios
import tty

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from emulator import Emulator, EmulatorError, best_kind, kvm_nests  # noqa: E402

ESCAPE = 0x01			# Ctrl-A
WHY = {
    "kvm": "QEMU with KVM: this host nests VT-x",
    "bochs": "Bochs: it emulates VT-x, at some 100 million instructions a second; firmware takes about 15 s",
    "qemu": "QEMU without KVM: fast, but it has no VT-x, so VMs will not start",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("--emu", default="auto", choices=["auto", "kvm", "bochs", "qemu"])
    parser.add_argument("--cpus", type=int, default=4)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--mem", type=int, default=1024, help="MiB")
    parser.add_argument("--model", help="the emulator's cpu model")
    parser.add_argument("--ips", type=int, default=100_000_000, help="Bochs: instructions a second of its time")
    parser.add_argument("--timeout", type=int, default=24 * 3600, help="seconds, then it is killed")
    parser.add_argument("--logs", metavar="DIR", help="keep the emulator's logs there")
    return parser.parse_args()


class Keys:
    """What of the typed bytes goes to the machine; ended is set by Ctrl-A X."""

    def __init__(self):
        self.escaped = self.ended = False

    def feed(self, data):
        out = bytearray()
        for byte in data:
            if not self.escaped:
                self.escaped = byte == ESCAPE
                if not self.escaped:
                    out.append(byte)
                continue
            self.escaped = False
            if byte in b"xX":
                self.ended = True
                break
            if byte == ESCAPE:
                out.append(byte)
        return bytes(out)


def show(data):
    while data:
        data = data[os.write(1, data):]


def console(machine):
    """Until the machine ends or the user ends it: True in the second case."""
    keys, stdin = Keys(), [0]
    while machine.poll() is None:
        ready = select.select([machine.fileno(), *stdin], [], [], 0.2)[0]
        if machine.fileno() in ready:
            show(machine.read())
        if 0 in ready:
            typed = os.read(0, 4096)
            if not typed:
                stdin = []		# end of a script's input: the machine goes on
            to_machine = keys.feed(typed)
            if to_machine:
                machine.write(to_machine)
            if keys.ended:
                return True
    machine.wait(1)
    show(machine.read())
    return False


def interact(machine):
    """The console with the terminal in raw mode, if it is one."""
    if not os.isatty(0):
        return console(machine)
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        return console(machine)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def turned_off(machine):
    """Bochs ends with status 1 for a power-off too: its reason tells. QEMU ends with 0."""
    if machine.kind != "bochs":
        return machine.poll() == 0
    return any(word in machine.reason() for word in ("soft power off", "hutdown"))


def main():
    args = arguments()
    kind = best_kind() if args.emu == "auto" else args.emu
    if kind == "kvm" and not kvm_nests():
        sys.exit("run: EMU=kvm: this host's KVM gives guests no VT-x (/dev/kvm and kvm_intel nested=Y are needed)")
    print(f"{WHY[kind]}\n{args.cpus} cpus, {args.nodes} nodes, {args.mem} MiB; Ctrl-A X quits\n", flush=True)
    with Emulator(kind, args.image, cpus=args.cpus, nodes=args.nodes, mem=args.mem, model=args.model, ips=args.ips,
                  workdir=args.logs, timeout=args.timeout, time0="utc") as machine:
        machine.start()
        ended_by_user = interact(machine)
        if ended_by_user:
            print("\nrun: ended by Ctrl-A X")
            return 0
        print(f"\nrun: {machine.reason()}")
        return 0 if turned_off(machine) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (EmulatorError, KeyboardInterrupt) as error:
        sys.exit(f"run: {error or 'interrupted'}")
