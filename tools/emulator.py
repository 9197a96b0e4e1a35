# SPDX-License-Identifier: BSD-2-Clause
"""Starts an emulated machine from a disk image and talks to its serial line (COM1).

    with Emulator("bochs", "build/tarn.img", cpus=4, nodes=2, mem=1024, timeout=120) as m:
        m.start()
        m.expect("tarn: ready", 60)         # bytes up to and with the text; raises EmulatorError
        m.write(b"pool list\\r")
        print(m.expect("tarn> ", 10).decode())
        status = m.wait(10)                 # None: still running

kinds: "bochs" (VT-x, no NUMA tables of its own), "qemu" (TCG: no VT-x), "kvm" (QEMU on a host that nests VT-x).
Logs in workdir: serial.log (all that came over COM1), out.txt (the emulator's own words), bochs.log, command.txt.
The machine is killed when `timeout` seconds are over, on leaving the `with`, and when the thread that called start()
ends (so also when this program dies). With serial="pty" it waits while nobody reads: keep calling read/expect/wait.
"""
import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import tty

OVMF_BOCHS = "/usr/share/ovmf/OVMF.fd"		# 2 MiB: Bochs' ROM window takes no more
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
VGABIOS = "/usr/share/vgabios/vgabios.bin"
# Has no virtual-interrupt delivery: with it Bochs 2.7 now and then takes a virtual interrupt while the guest holds
# interrupts off, which SMP systems do not survive. Tests of virtualized APICs name a model that has it.
BOCHS_MODEL = "corei3_cnl"
BOCHS_TIME0 = 1767225600			# its clock starts at 2026-01-01 UTC, so that runs repeat exactly
BOCHS_CPUS_MAX = 15				# 16 run out of Bochs' timers

BOCHSRC = """\
display_library: rfb, options="timeout=0"
cpu: model={model}, count={cpus}, ips={ips}, reset_on_triple_fault=0
memory: guest={mem}, host={mem}
romimage: file={ovmf}
vgaromimage: file={vgabios}
ata0-master: type=disk, path={image}, mode=volatile
com1: enabled=1, mode={serial_mode}, dev={serial}
port_e9_hack: enabled=1
log: bochs.log
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
clock: sync=none, time0={time0}
sound: waveoutdrv=dummy
"""


class EmulatorError(Exception):
    pass


def kvm_nests():
    """True where this host gives guests VT-x: /dev/kvm opens and kvm_intel nests."""
    try:
        with open("/sys/module/kvm_intel/parameters/nested", encoding="ascii") as f:
            nested = f.read().strip() in ("Y", "1")
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        return False
    return nested


def best_kind():
    return "kvm" if kvm_nests() else "bochs"


def split(count, parts):
    """count things over that many parts, the first ones take the rest: [(first, how many)]."""
    out, at = [], 0
    for i in range(parts):
        n = count // parts + (1 if i < count % parts else 0)
        out.append((at, n))
        at += n
    return out


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)	# PR_SET_PDEATHSIG


class Emulator:
    def __init__(self, kind, image, *, cpus=4, nodes=2, mem=1024, workdir=None, model=None, ips=100_000_000,
                 serial="pty", timeout=300, time0=BOCHS_TIME0, extra=()):
        """mem: MiB. model: cpu model of the emulator. ips: Bochs' instructions a guest second. serial: "pty" (both
        directions) or "file" (output only, not paced by a reader). time0: Bochs' clock at the start, seconds since
        1970 or "utc". extra: more QEMU arguments or bochsrc lines."""
        if kind not in ("bochs", "qemu", "kvm"):
            raise EmulatorError(f"emulator {kind!r}: want bochs, qemu or kvm")
        if kind == "bochs" and cpus > BOCHS_CPUS_MAX:
            raise EmulatorError(f"{cpus} cpus: Bochs has at most {BOCHS_CPUS_MAX}")
        self.kind, self.image = kind, os.path.abspath(image)
        self.cpus, self.nodes, self.mem = cpus, nodes, mem
        self.model, self.ips, self.serial, self.timeout, self.time0 = model, ips, serial, timeout, time0
        self.extra = list(extra)
        self._own_dir = workdir is None
        self.workdir = os.path.abspath(workdir) if workdir else tempfile.mkdtemp(prefix="tarn-")
        os.makedirs(self.workdir, exist_ok=True)
        self.process = self._master = self._slave = self._log = self._timer = None
        self.timed_out = False
        self._pending = b""

    # --- start and end

    def start(self):
        if not os.path.exists(self.image):
            raise EmulatorError(f"{self.image}: no such image")
        self._log = open(os.path.join(self.workdir, "serial.log"), "w+b")
        line = self._open_serial()
        command = self._bochs(line) if self.kind == "bochs" else self._qemu(line)
        with open(os.path.join(self.workdir, "command.txt"), "w", encoding="utf-8") as f:
            f.write(" ".join(command) + "\n")
        out = open(os.path.join(self.workdir, "out.txt"), "wb")
        try:
            self.process = subprocess.Popen(command, cwd=self.workdir, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            preexec_fn=_die_with_parent)
        except FileNotFoundError:
            raise EmulatorError(f"{command[0]} is not installed") from None
        finally:
            out.close()
        self._timer = threading.Timer(self.timeout, self._expire)
        self._timer.daemon = True
        self._timer.start()
        return self

    def _expire(self):
        if self.process.poll() is None:
            self.timed_out = True
            self.process.kill()

    def poll(self):
        """None while it runs, else its exit status."""
        return self.process.poll()

    def wait(self, timeout=None):
        """Reads the serial line until the emulator ends: its exit status, or None after that many seconds."""
        end = time.monotonic() + (self.timeout + 5 if timeout is None else timeout)
        while self.process.poll() is None and time.monotonic() < end:
            self._pending += self._read_raw(0.1)
        if self.process.poll() is not None:
            while more := self._read_raw(0):
                self._pending += more
        return self.process.poll()

    def kill(self):
        """Ends it, if it still runs. Returns its exit status."""
        if self._timer:
            self._timer.cancel()
        if self.process and self.process.poll() is None:
            self.process.kill()
        return self.process.wait() if self.process else None

    def close(self):
        """Kills it and gives everything back; a workdir of our own making is removed."""
        self.kill()
        for fd in (self._master, self._slave):
            if fd is not None:
                os.close(fd)
        self._master = self._slave = None
        if self._log:
            self._log.close()
        if self._own_dir:
            shutil.rmtree(self.workdir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- the serial line

    def fileno(self):
        """The descriptor to select() on and to read bytes from (raw reads bypass serial.log and expect())."""
        return self._master

    def _read_raw(self, timeout):
        if self._master is None:		# serial="file": the emulator writes the log itself
            data = self._log.read()
            if not data:
                time.sleep(timeout)
            return data
        if not select.select([self._master], [], [], timeout)[0]:
            return b""
        try:
            data = os.read(self._master, 65536)
        except (BlockingIOError, OSError):
            return b""
        self._log.write(data)
        self._log.flush()
        return data

    def read(self, timeout=0):
        """Bytes that came, at most that many seconds later; b"": none."""
        if self._pending:
            data, self._pending = self._pending, b""
            return data
        return self._read_raw(timeout)

    def write(self, data):
        """Sends bytes (or text); takes what comes meanwhile into the buffer, so that neither side blocks."""
        if self._master is None:
            raise EmulatorError("the serial line is a file: nothing can be sent")
        data = data.encode() if isinstance(data, str) else data
        end = time.monotonic() + 60
        while data:
            _, ready, _ = select.select([], [self._master], [], 0.1)
            if ready:
                data = data[os.write(self._master, data[:256]):]
            self._pending += self._read_raw(0)
            if time.monotonic() > end or self.process.poll() is not None:
                raise EmulatorError(f"the machine takes no input, {len(data)} bytes left; {self.reason()}")

    def expect(self, text, timeout=60):
        """All bytes up to and with `text` (bytes, text or a compiled bytes pattern); the rest stays for later."""
        pattern = text if isinstance(text, re.Pattern) else re.compile(
            re.escape(text.encode() if isinstance(text, str) else text))
        end = time.monotonic() + timeout
        while True:
            found = pattern.search(self._pending)
            if found:
                data, self._pending = self._pending[:found.end()], self._pending[found.end():]
                return data
            ended = self.process.poll() is not None
            more = self._read_raw(0 if ended else 0.2)
            self._pending += more
            if more:
                continue
            if ended or time.monotonic() > end:
                why = self.reason() if ended else f"not within {timeout} s"
                raise EmulatorError(f"{pattern.pattern!r} did not come: {why}; last: {self._pending[-300:]!r}")

    def reason(self):
        """Why the emulator ended, in one line."""
        status = self.process.poll()
        if self.timed_out:
            return f"killed after {self.timeout} s"
        if status is None:
            return "it still runs"
        lines = []
        for name in ("bochs.log", "out.txt"):
            try:
                with open(os.path.join(self.workdir, name), encoding="utf-8", errors="replace") as f:
                    lines += [x.strip() for x in f]
            except OSError:
                pass
        marks = (">>PANIC<<", "exception with no resolution", "hutdown", "soft power off")
        told = [x for x in lines if any(m in x for m in marks)] if self.kind == "bochs" else lines
        return f"{self.kind} ended with status {status}" + (f": {told[-1]}" if told else "")

    # --- command lines

    def _open_serial(self):
        if self.serial == "file":
            return os.path.join(self.workdir, "serial.log")
        # The slave stays open here too: its settings would be lost, and reads would fail, between two openers.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        return os.ttyname(self._slave)

    def _bochs(self, line):
        rc = BOCHSRC.format(time0=self.time0, model=self.model or BOCHS_MODEL, cpus=self.cpus, ips=self.ips, mem=self.mem,
                            ovmf=OVMF_BOCHS, vgabios=VGABIOS, image=self.image, serial=line,
                            serial_mode="term" if self.serial == "pty" else "file")
        with open(os.path.join(self.workdir, "bochsrc"), "w", encoding="utf-8") as f:
            f.write(rc + "".join(x + "\n" for x in self.extra))
        # Debian's Bochs has its debugger built in and stops at the reset vector without "c".
        with open(os.path.join(self.workdir, "dbg.rc"), "w", encoding="utf-8") as f:
            f.write("c\n")
        return ["bochs", "-q", "-f", "bochsrc", "-rc", "dbg.rc"]

    def _qemu(self, line):
        variables = os.path.join(self.workdir, "vars.fd")
        shutil.copyfile(OVMF_VARS, variables)
        if self.kind == "kvm":
            accel, model = "kvm", self.model or "host"
        else:
            accel, model = "tcg,thread=single", self.model or "max"
        serial = (f"serial,id=com1,path={line}" if self.serial == "pty" else f"file,id=com1,path={line}")
        return ["qemu-system-x86_64", "-machine", "q35", "-accel", accel, "-cpu", model, "-smp", str(self.cpus),
                "-m", f"{self.mem}M", "-display", "none", "-net", "none", "-monitor", "none", "-no-reboot",
                "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}",
                "-drive", f"if=pflash,format=raw,unit=1,snapshot=on,file={variables}",
                "-drive", f"format=raw,snapshot=on,file={self.image}",
                "-chardev", serial, "-serial", "chardev:com1", *self._numa(), *self.extra]

    def _numa(self):
        if self.nodes < 2:
            return []
        out = []
        cpus, mems = split(self.cpus, self.nodes), split(self.mem, self.nodes)
        for i, ((cpu, ncpu), (_, mib)) in enumerate(zip(cpus, mems)):
            has = f",cpus={cpu}-{cpu + ncpu - 1}" if ncpu else ""
            out += ["-object", f"memory-backend-ram,id=m{i},size={mib}M", "-numa", f"node,nodeid={i},memdev=m{i}{has}"]
        for i in range(self.nodes):
            for j in range(i + 1, self.nodes):
                out += ["-numa", f"dist,src={i},dst={j},val=21"]
        return out
