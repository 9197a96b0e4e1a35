# SPDX-License-Identifier: BSD-2-Clause
"""The serial console as a person sees it: wait for a text, type a line, read the answer."""

import re
import time

PROMPT = "tarn> "
# Colours and cursor movement, and the character-set and mode switches that firmware sends.
ESCAPES = re.compile(rb"\x1b(\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>78cDM])")
# The answer's last line, then the prompt; log lines may come between the two and after.
ANSWER_END = re.compile(r"(?:^|\n)(ok|error: [^\n]*)\n(?:[^\n]*\n)*?" + re.escape(PROMPT))
ATTACHED_END = "\x1d"  # Ctrl-]
DETACHED = re.compile(r"(?:^|\n)ok\n(?:[^\n]*\n)*?" + re.escape(PROMPT))
QUOTE_MAX = 60


class Failure(Exception):
    """A test did not see what it wanted; the text says what it saw."""


class MachineEnded(Failure):
    """The machine is gone, so the tests that would follow on it cannot run."""


def shorten(text):
    text = text.strip().replace("\n", "\\n")
    return text if len(text) <= QUOTE_MAX else text[:QUOTE_MAX] + "..."


class Console:
    """`machine` has read(seconds) -> bytes, write(bytes) and poll() -> None while it runs: tools/emulator.py."""

    def __init__(self, machine, slow=1.0):
        self.machine = machine
        self.slow = slow            # every wait is multiplied by it
        self.raw = b""              # what may still be an unfinished escape sequence
        self.text = ""              # read and not yet consumed
        self.last = "power-on"      # what was typed or seen last, for messages
        self.ended = False

    def read(self, seconds):
        """Takes in what arrives within so many seconds, returning after the first of it. False: nothing came."""
        if self.ended:
            return False
        gone = self.machine.poll() is not None   # asked first: what it said last is still to be read
        data = self.machine.read(0 if gone else max(0.0, seconds))
        if data:
            self.take(data)
            return True
        self.ended = gone
        return False

    def take(self, data):
        data = ESCAPES.sub(b"", self.raw + data)
        # Keep back an escape sequence cut in the middle.
        cut = data.rfind(b"\x1b")
        if cut >= 0 and len(data) - cut < 16:
            data, self.raw = data[:cut], data[cut:]
        else:
            self.raw = b""
        self.text += data.decode("utf-8", errors="replace").replace("\r", "").replace("\0", "")

    def type(self, text):
        self.last = f"typing '{shorten(text)}'"
        try:
            self.machine.write(text.encode())
        except Exception as e:
            self.ended = self.machine.poll() is not None
            raise (MachineEnded if self.ended else Failure)(f"while {self.last}: {e}") from e

    def expect(self, pattern, seconds=20):
        """Waits for a regular expression; returns the match and drops everything up to its end."""
        compiled = re.compile(pattern) if isinstance(pattern, str) else pattern
        begun = time.monotonic()
        deadline = begun + seconds * self.slow
        while True:
            match = compiled.search(self.text)
            if match:
                self.text = self.text[match.end():]
                self.last = f"'{shorten(match.group(0))}'"
                return match
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failure(f"waited {time.monotonic() - begun:.0f} s for '{shorten(compiled.pattern)}' "
                              f"after {self.last}; last seen: '{shorten(self.text[-QUOTE_MAX:])}'")
            if not self.read(min(left, 1.0)) and self.ended:
                raise MachineEnded(f"the machine ended while waiting for '{shorten(compiled.pattern)}' "
                                   f"after {self.last}")

    def expect_absent(self, pattern, seconds):
        """Listens for so long and fails if the pattern shows up."""
        compiled = re.compile(pattern)
        deadline = time.monotonic() + seconds * self.slow
        while time.monotonic() < deadline:
            self.read(min(0.5, deadline - time.monotonic()))
            match = compiled.search(self.text)
            if match:
                raise Failure(f"saw '{shorten(match.group(0))}', which must not come, after {self.last}")

    def expect_end(self, seconds=20):
        """Waits until the machine is off."""
        deadline = time.monotonic() + seconds * self.slow
        while not self.ended:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failure(f"the machine still ran {seconds} s after {self.last}")
            self.read(min(left, 1.0))


class Shell:
    """Tarn's own shell on a console."""

    def __init__(self, console):
        self.console = console

    def ready(self, seconds):
        """Waits for the line that says the machine is up; returns its figures: cpus, nodes, pools, VMs, ms."""
        line = self.console.expect(r"tarn: ready[^\n]*\n", seconds).group(0)
        figures = {}
        for key, word in (("cpus", r"cpus?"), ("nodes", r"nodes?"), ("pools", r"pools?"), ("vms", r"VMs?"),
                          ("ms", r"(?:ms|milliseconds)")):
            match = re.search(rf"(\d+)(?:\.\d+)?\s*{word}\b", line)
            if not match:
                raise Failure(f"the ready line names no {key}: {line.strip()}")
            figures[key] = int(match.group(1))
        return figures

    def plain(self, seconds=20):
        self.console.expect(re.escape(PROMPT), seconds)
        self.cmd("console plain")

    def answer(self, line, seconds):
        self.console.text = ""
        self.console.type(line + "\r")
        match_text = ""
        deadline = time.monotonic() + seconds * self.console.slow
        while True:
            match = ANSWER_END.search(self.console.text)
            if match:
                match_text = self.console.text[:match.start(1)]
                self.console.text = ""
                break
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failure(f"waited {seconds} s for the answer to '{shorten(line)}'; "
                              f"last seen: '{shorten(self.console.text[-QUOTE_MAX:])}'")
            if not self.console.read(min(left, 1.0)) and self.console.ended:
                raise MachineEnded(f"the machine ended during '{shorten(line)}'")
        self.console.last = f"'{shorten(line)}'"
        # Up to the echo of what was typed: a line of the log may have come before.
        echo = re.search(rf"(?m){re.escape(line)}$\n?", match_text)
        return match_text[echo.end():] if echo else match_text, match.group(1)

    def cmd(self, line, seconds=20):
        """Runs a command that must end in `ok`; returns what it printed."""
        text, end = self.answer(line, seconds)
        if end != "ok":
            raise Failure(f"'{line}' ended in '{end}' and not in ok")
        return text

    def cmd_error(self, line, pattern="", seconds=20):
        """Runs a command that must fail; returns its error line (`error: WHAT: WHY`), which must hold the pattern."""
        _, end = self.answer(line, seconds)
        if not re.match(r"error: [^:]+: .+", end):
            raise Failure(f"'{line}' ended in '{end}' and not in 'error: WHAT: WHY'")
        if not re.search(pattern, end):
            raise Failure(f"'{line}' ended in '{end}', which does not hold '{pattern}'")
        return end

    def cmd_has(self, line, *patterns, seconds=20):
        """Runs a command whose result must hold each pattern; returns the result."""
        text = self.cmd(line, seconds)
        for pattern in patterns:
            if not re.search(pattern, text, re.M):
                raise Failure(f"'{line}' printed no '{pattern}' but:\n{text.rstrip()}")
        return text

    def until(self, line, pattern, seconds=30, every=0.5):
        """Repeats a command until its result holds the pattern; returns the result."""
        deadline = time.monotonic() + seconds * self.console.slow
        while True:
            text = self.cmd(line)
            if re.search(pattern, text, re.M):
                return text
            if time.monotonic() > deadline:
                raise Failure(f"'{line}' did not print '{pattern}' within {seconds} s but:\n{text.rstrip()}")
            self.console.read(every)

    def attach(self, vm):
        """Goes to a VM's console; what follows is between the test and the guest until detach()."""
        self.console.text = ""
        self.console.type(f"vm console {vm}\r")
        match = self.console.expect(rf"attached to {re.escape(vm)};[^\n]*\n|\nerror: [^\n]*", 20)
        if "error: " in match.group(0):
            raise Failure(f"'vm console {vm}' ended in '{match.group(0).strip()}'")

    def detach(self, seconds=20):
        """Back to Tarn's prompt; returns what the guest had said since attach(), or since what was last waited for."""
        self.console.type(ATTACHED_END)
        match = self.console.expect(DETACHED, seconds)
        return match.string[:match.start()]

    def recover(self, seconds=15):
        """After a failed test: back to an empty prompt, wherever we are. False: nothing answers."""
        try:
            self.console.type(ATTACHED_END + "\x03\r")
            self.console.expect(re.escape(PROMPT), seconds)
            self.console.type("\r")
            self.console.expect(re.escape(PROMPT), seconds)
            return True
        except Failure:
            return False


def check(condition, what):
    if not condition:
        raise Failure(what)


def check_near(got, want, fraction, what):
    if abs(got - want) > fraction * want:
        raise Failure(f"{what}: {got}, not within {fraction:.0%} of {want}")
