#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Plants one violation at a time in a small tree and demands that tools/check-layers.py finds just that."""

import os
import subprocess
import sys
import tempfile

CHECK = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools", "check-layers.py")
SPDX = "/* SPDX-License-Identifier: BSD-2-Clause */\n"
HEADER = SPDX + "#pragma once\n"

# A tree in which all is well; a case replaces or adds one file.
GOOD = {
    "kernel/lib/util.h": HEADER + "#include <stdint.h>\n",
    "kernel/arch.h": HEADER + '#include "kernel/lib/util.h"\n',
    "kernel/main.c": SPDX + '#include "vm/vm.h"\n#include "pool/pool.h"\n',
    "sched/sched.h": HEADER + '#include "kernel/lib/util.h"\n',
    "acpi/acpi.h": HEADER + '#include "kernel/lib/util.h"\n',
    "pool/pool.h": HEADER + '#include "sched/sched.h"\n#include "kernel/arch.h"\n',
    "vm/vm.h": HEADER + '#include "pool/pool.h"\n#include "arch/x86_64/virt.h"\n',
    "arch/x86_64/virt.h": HEADER + '#include "kernel/lib/util.h"\n',
    "arch/x86_64/insn.h": HEADER + 'static inline void pause_once(void) { __asm__ volatile("pause"); }\n',
    "boot/boot_info.h": HEADER + "#include <stdint.h>\n",
    "tests/host/test_x.c": SPDX + "#include <stdio.h>\n#if 1\n#endif\n",
}

# What must be found (None: nothing), file, text. The sentence is the test's name.
CASES = [
    ("a tree that keeps the rules passes", None, "kernel/a.c", SPDX + '#include "kernel/arch.h"\n'),
    ("a scheduler may not include the kernel", "sched/ may not include kernel/arch.h",
     "sched/rr.c", SPDX + '#include "kernel/arch.h"\n'),
    ("the ACPI reader may not include a scheduler", "acpi/ may not include sched/sched.h",
     "acpi/madt.c", SPDX + '#include "sched/sched.h"\n'),
    ("the library may include no room", "kernel/lib/ may not include acpi/acpi.h",
     "kernel/lib/x.c", SPDX + '#include "acpi/acpi.h"\n'),
    ("the kernel may not include pools", "kernel/ may not include pool/pool.h",
     "kernel/shell.c", SPDX + '#include "pool/pool.h"\n'),
    ("the kernel reaches the machine only through its contract", "kernel/ may not include arch/x86_64/virt.h",
     "kernel/clock.c", SPDX + '#include "arch/x86_64/virt.h"\n'),
    ("pools may not include VMs", "pool/ may not include vm/vm.h", "pool/p.c", SPDX + '#include "vm/vm.h"\n'),
    ("VMs see of arch the virtual-cpu contract only", "vm/ may not include arch/x86_64/insn.h",
     "vm/v.c", SPDX + '#include "arch/x86_64/insn.h"\n'),
    ("arch may not include VMs", "arch/ may not include vm/vm.h",
     "arch/x86_64/a.c", SPDX + '#include "vm/vm.h"\n'),
    ("the boot program may not include the kernel proper", "boot/ may not include kernel/arch.h",
     "boot/b.c", SPDX + '#include "kernel/arch.h"\n'),
    ("a system header in the product is found", "<stdio.h> is not a compiler header",
     "kernel/s.c", SPDX + "#include <stdio.h>\n"),
    ("an include that is not from the root is found", "includes are written from the root",
     "kernel/r.c", SPDX + '#include "../sched/sched.h"\n'),
    ("inline assembly elsewhere is found", "inline assembly belongs",
     "arch/x86_64/i.c", SPDX + 'void f(void);\nvoid f(void) { asm volatile("hlt"); }\n'),
    ("the generator of assembly offsets may use inline assembly", None,
     "arch/x86_64/offsets.c", SPDX + 'void f(void);\nvoid f(void) { asm volatile("#X %c0" : : "i"(1)); }\n'),
    ("the word asm in a comment is no finding", None, "kernel/c.c", SPDX + "/* asm (of a kind) */\nint x;\n"),
    ("conditional compilation in a product source is found", "no conditional compilation",
     "vm/c.c", SPDX + "#ifdef FAST\nint fast;\n#endif\n"),
    ("what the build leaves is not looked at", None, "build/gen/x.c", "int x;\n"),
    ("a file without a licence line is found", "the first line is not", "kernel/n.c", "int x;\n"),
    ("a makefile without a licence line is found", "the first line is not", "boot/build.mk", "all:\n"),
    ("a script's licence line follows its interpreter line, and it is executable", "a script is executable",
     "tools/t.sh", "#!/bin/sh\n# SPDX-License-Identifier: BSD-2-Clause\n"),
    ("a blank at the end of a line is found", "blanks at the end", "kernel/t.c", SPDX + "int x; \n"),
    ("a file of 601 lines is found", "601 lines, at most 600", "kernel/l.c", SPDX + "\n" * 600),
    ("a file of 600 lines is no finding", None, "kernel/l.c", SPDX + "\n" * 599),
    ("a header that needs another include is found", "does not compile alone",
     "pool/h.h", HEADER + "void f(uint32_t x);\n"),
    ("a header without pragma once is found", "#pragma once", "pool/o.h", SPDX + "int f(void);\n"),
]


def run_case(want, path, text):
    """None when the check did what it should, else what it did."""
    with tempfile.TemporaryDirectory() as root:
        for name, content in {**GOOD, path: text}.items():
            full = os.path.join(root, name)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as f:
                f.write(content)
        done = subprocess.run([CHECK, root], capture_output=True, text=True)
    findings = [ln for ln in done.stdout.splitlines() if not ln.startswith("check-layers:")]
    if want is None:
        good = done.returncode == 0 and not findings
    else:
        good = done.returncode == 1 and len(findings) == 1 and findings[0].startswith(path + ":") \
            and want in findings[0]
    return None if good else f"status {done.returncode}: {done.stdout}{done.stderr}"


def main():
    failed = 0
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    cases = [c for c in CASES if only in c[0]]
    for sentence, want, path, text in cases:
        wrong = run_case(want, path, text)
        if wrong is None:
            print(f"ok   {sentence}")
        else:
            failed += 1
            print(f"FAIL {sentence}\n  want {want!r} for {path}, got {wrong}")
    print(f"test_layers: {len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
