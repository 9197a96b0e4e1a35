#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Plants leaks of guest state into a copy of a source of the product, to show that the test of state isolation sees them.

    plant.py SOURCE OUT

The copy does what the source does until the shell command `leak CLASS` names a class; then that class is no longer switched
between virtual cpus. The product itself holds nothing of it. A line that is no longer there fails the build.
"""

import sys

# Lines that load a class: left out while it leaks.
LOADS = {
    "DR": ["insn_write_dr0(v->dr[0]);", "insn_write_dr1(v->dr[1]);", "insn_write_dr2(v->dr[2]);", "insn_write_dr3(v->dr[3]);"],
    "DR6": ["insn_write_dr6(v->dr6);"],
    "CR2": ["insn_write_cr2(v->cr2);"],
    "STAR": ["insn_wrmsr(MSR_STAR, v->star);"],
    "LSTAR": ["insn_wrmsr(MSR_LSTAR, v->lstar);"],
    "CSTAR": ["insn_wrmsr(MSR_CSTAR, v->cstar);"],
    "FMASK": ["insn_wrmsr(MSR_FMASK, v->fmask);"],
    "KERNEL_GS_BASE": ["insn_wrmsr(MSR_KERNEL_GS_BASE, v->kernel_gs_base);"],
    "TSC_AUX": ["insn_wrmsr(MSR_TSC_AUX, v->tsc_aux);"],
}
# Components of the XSAVE area that are not restored.
COMPONENTS = {"X87": 1, "SSE": 2, "AVX": 4, "AVX512": 0xe0}
# Fields of the VMCS that are carried over from the one before.
FIELDS = {"DR7": "DR7", "PAT": "PAT", "SYSENTER_CS": "SYSENTER_CS", "SYSENTER_ESP": "SYSENTER_ESP",
          "SYSENTER_EIP": "SYSENTER_EIP", "FS_BASE": "FS_BASE", "GS_BASE": "GS_BASE", "EFER": "EFER"}
CLASSES = ["none", *LOADS, *COMPONENTS, *FIELDS, "CR8", "XCR0", "SPEC_CTRL"]


def number(name):
    return CLASSES.index(name)


def replace(text, old, new):
    if text.count(old) != 1:
        sys.exit(f"plant.py: '{old}' is there {text.count(old)} times, not once: say where that state is switched now")
    return text.replace(old, new)


def plant_vcpu(text):
    for name, lines in LOADS.items():
        for line in lines:
            text = replace(text, line, f"if (leak_class != {number(name)}) {{ {line} }}")
    text = replace(text, "insn_xrstor(v->fpu, vmx.xcr0);", "insn_xrstor(v->fpu, vmx.xcr0 & ~leak_components());")
    text = replace(text, "\t\tinsn_xsetbv(0, v->xcr0);\n\t} else {",
                   f"\t\tif (leak_class != {number('XCR0')}) {{ insn_xsetbv(0, v->xcr0); }}\n\t}} else {{")
    text = replace(text, "\tload_registers(v);\n}", "\tleak_carry(v, true);\n\tload_registers(v);\n}")
    text = replace(text, "\tsave_registers(v);\n", "\tleak_carry(v, false);\n\tsave_registers(v);\n")
    components = "".join(f"leak_class == {number(n)} ? {mask}ul : " for n, mask in COMPONENTS.items())
    fields = "".join(f"leak_class == {number(n)} ? VMCS_GUEST_{f} : " for n, f in FIELDS.items())
    names = ", ".join(f'"{n}"' for n in CLASSES)
    head = f"""
#include "kernel/shell.h"

unsigned leak_class;

static uint64_t leak_components(void)
{{
	return {components}0;
}}

/* One cpu runs the guests of this test. */
static void leak_carry(struct vmx_vcpu *v, bool to)
{{
	static uint64_t carried;
	static bool have;
	uint64_t field = {fields}0;
	bool spec = leak_class == {number("SPEC_CTRL")}, cr8 = leak_class == {number("CR8")};
	uint32_t *tpr = &v->apic[0x80 / 4];		/* where the cpu virtualizes the local APIC */

	if (field == 0 && !spec && !cr8) {{
		have = false;
	}} else if (!to) {{
		carried = spec ? v->guard.spec_ctrl : cr8 ? *tpr : vmread(field);
		have = true;
	}} else if (have && spec) {{
		v->guard.spec_ctrl = carried;
	}} else if (have && cr8) {{
		*tpr = (uint32_t)carried;
	}} else if (have) {{
		vmwrite(field, carried);
	}}
}}

static enum err leak(const struct shell_args *args)
{{
	static const char *const names[] = {{ {names} }};

	for (unsigned i = 0; args->count == 1 && i < sizeof(names) / sizeof(names[0]); i++) {{
		if (strcmp(names[i], args->word[0]) == 0) {{
			leak_class = i;
			return ERR_OK;
		}}
	}}
	return shell_usage();
}}

SHELL_COMMAND(leak, .name = "leak", .usage = "CLASS", .run = leak, .help = "Plants a leak.");
"""
    return replace(text, '#include "kernel/mem.h"\n', '#include "kernel/mem.h"\n' + head)


def main():
    source, out = sys.argv[1:]
    with open(source, encoding="utf-8") as f:
        text = f.read()
    with open(out, "w", encoding="utf-8") as f:
        f.write(plant_vcpu(text))


if __name__ == "__main__":
    main()
