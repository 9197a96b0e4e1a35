#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks the rules of the house that a compiler does not: who may include whom, and a few of form.

    check-layers.py [ROOT]

Prints one line `FILE:LINE: what is wrong` a finding; exit status 1 if there was any.
"""

import os
import re
import subprocess
import sys

COMPILER_HEADERS = {
    "float.h", "iso646.h", "limits.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h",
    "stdint.h", "stdnoreturn.h",
}
LINES_MAX = 600
ASM_FILES = ("insn.h", "vmx_insn.h", "offsets.c")
LEFT_OUT = {".git", ".cache", "__pycache__", os.path.basename(os.environ.get("BUILD", "build"))}

# The rooms, longest folder first, and what each may include: folders (ending in /) and single headers.
# A room may always include itself. None: everything.
ROOMS = {
    "kernel/lib/": [],
    "acpi/": ["kernel/lib/"],
    "sched/": ["kernel/lib/"],
    "kernel/": ["kernel/lib/", "sched/", "acpi/", "boot/boot_info.h"],
    "pool/": ["kernel/lib/", "kernel/", "sched/"],
    "vm/": ["kernel/lib/", "kernel/", "sched/", "pool/", "arch/x86_64/virt.h"],
    "arch/": ["kernel/lib/", "kernel/", "boot/boot_info.h"],
    "boot/": ["kernel/lib/"],
    "tests/": None,
    "tools/": None,
}
# The one file that sees every room.
SEES_ALL = {"kernel/main.c"}
PRODUCT = ("kernel/", "acpi/", "sched/", "pool/", "vm/", "arch/", "boot/")
# Rooms whose code runs with a system beside it (UEFI's headers in boot/, a C library on the host).
HOSTED = ("boot/", "tests/", "tools/")
# Sources kept by other suffixes than .c and .h have the first line and the form checked too.
COMMENT = {
    ".c": "/* {} */", ".h": "/* {} */", ".asm": "; {}", ".S": "/* {} */", ".ld": "/* {} */", ".lds": "/* {} */",
    ".py": "# {}", ".sh": "# {}", ".mk": "# {}", "Makefile": "# {}", ".asl": "/* {} */", ".inc": "; {}",
}
SPDX = "SPDX-License-Identifier: BSD-2-Clause"

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
CONDITIONAL = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif|else)\b")
ASM = re.compile(r"\b(asm|__asm|__asm__)\b\s*(volatile|__volatile__|goto|inline|__inline__|\s)*\(")


class Findings:
    def __init__(self):
        self.lines = []

    def add(self, path, line, what):
        self.lines.append(f"{path}:{line}: {what}")


def sources(root):
    """Paths under root, without what the build, git and python leave there. Not asked of git: it may be missing."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in LEFT_OUT]
        found += [os.path.relpath(os.path.join(folder, n), root) for n in names]
    return sorted(p for p in found if os.path.isfile(os.path.join(root, p)))


def room_of(path):
    for room in sorted(ROOMS, key=len, reverse=True):
        if path.startswith(room):
            return room
    return None


def may_include(path, room, header):
    if path in SEES_ALL or ROOMS[room] is None:
        return True
    target = room_of(header)
    if target is None or target == room:
        return True
    return target in ROOMS[room] or header in ROOMS[room]


def strip_comments(text):
    """Blanks out comments and strings, keeping line numbers."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def check_includes(path, room, text, root, found):
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        system, header = match.group(1) == "<", match.group(2)
        if system:
            if not path.startswith(HOSTED) and header not in COMPILER_HEADERS:
                found.add(path, number, f"<{header}> is not a compiler header")
        elif header.startswith(("./", "../")) or room_of(header) is None and not generated(header):
            if not path.startswith(HOSTED):
                found.add(path, number, f'"{header}": includes are written from the root')
        elif room_of(header) and not may_include(path, room, header):
            found.add(path, number, f"{room} may not include {header}")


def generated(header):
    """What the build makes in build/gen has no folder in the tree."""
    return "/" not in header


def check_code(path, text, found):
    code = strip_comments(text)
    # offsets.c is compiled to text only; its asm statements are how the compiler says a number.
    asm_allowed = path.startswith(("arch/", "boot/")) and os.path.basename(path) in ASM_FILES
    for number, line in enumerate(code.splitlines(), 1):
        if not asm_allowed and ASM.search(line):
            found.add(path, number, "inline assembly belongs in insn.h or vmx_insn.h")
        if path.endswith(".c") and CONDITIONAL.match(line):
            found.add(path, number, "no conditional compilation in product sources")
    if path.endswith(".h") and "#pragma once" not in text:
        found.add(path, 1, "a header starts with #pragma once")


def comment_style(path):
    name = os.path.basename(path)
    return COMMENT.get(name) or COMMENT.get(os.path.splitext(name)[1])


def check_form(path, text, found):
    lines = text.split("\n")
    style = comment_style(path)
    if style:
        head = lines[1:2] if lines[0].startswith("#!") else lines[0:1]
        want = style.format(SPDX)
        if not head or head[0].rstrip("\r") != want:
            found.add(path, 1, f"the first line is not `{want}`")
        if len(lines) - 1 > LINES_MAX:
            found.add(path, len(lines) - 1, f"{len(lines) - 1} lines, at most {LINES_MAX}")
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            found.add(path, number, "blanks at the end of the line")
    if text and not text.endswith("\n"):
        found.add(path, len(lines), "no newline at the end of the file")


def stands_alone(root, header, flags):
    done = subprocess.run(["gcc", "-std=gnu17", "-fsyntax-only", "-x", "c", *flags, "-I.", "-Ibuild/gen", header],
                          cwd=root, capture_output=True, text=True)
    return done.returncode == 0, next((ln for ln in done.stderr.splitlines() if "error:" in ln), done.stderr.strip())


def check_headers(root, headers, found):
    """Each header compiles alone. All in one run of gcc when nothing is wrong; one by one to say which is."""
    groups = {"boot/": ["-I/usr/include/efi", "-I/usr/include/efi/x86_64", "-DGNU_EFI_USE_MS_ABI"], "": []}
    for prefix, flags in groups.items():
        mine = [h for h in headers if h.startswith("boot/") == (prefix == "boot/")]
        if not mine:
            continue
        # -x c and several files: gcc compiles each as a unit of its own.
        quick = subprocess.run(["gcc", "-std=gnu17", "-fsyntax-only", "-x", "c", *flags, "-I.", "-Ibuild/gen", *mine],
                               cwd=root, capture_output=True, text=True)
        if quick.returncode == 0:
            continue
        for header in mine:
            good, why = stands_alone(root, header, flags)
            if not good:
                found.add(header, 1, f"does not compile alone: {why}")


def check_tree(root):
    found = Findings()
    headers = []
    for path in sources(root):
        if not comment_style(path) and not path.endswith(".md"):
            continue
        with open(os.path.join(root, path), encoding="utf-8", errors="replace", newline="") as f:
            text = f.read()
        check_form(path, text, found)
        if text.startswith("#!") and not os.access(os.path.join(root, path), os.X_OK):
            found.add(path, 1, "a script is executable")
        room = room_of(path)
        if not path.endswith((".c", ".h")) or room is None:
            continue
        check_includes(path, room, text, root, found)
        if path.startswith(PRODUCT):
            check_code(path, text, found)
        if path.endswith(".h"):
            headers.append(path)
    check_headers(root, headers, found)
    return found.lines


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    findings = check_tree(root)
    for line in findings:
        print(line)
    print(f"check-layers: {len(findings)} findings" if findings else "check-layers: ok")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
