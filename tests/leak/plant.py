#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Plants leaks of guest state into copies of the product's sources that switch it, to show that the test of state isolation sees them.

    plant.py SOURCE OUT

The copy does what the source does until the shell command `leak CLASS` names a class; then that class is no longer switched
between virtual cpus. The product itself holds nothing of it. A line that is no longer there fails the build.
"""

import sys

# Lines that load a class: left out while it leaks. In vcpu.c; in kept.c.
LOADS = {
    "CR2": ["insn_write_cr2(v->cr2);"],
    "KERNEL_GS_BASE": ["insn_wrmsr(MSR_KERNEL_GS_BASE, v->kernel_gs_base);"],
    "TSC_AUX": ["insn_wrmsr(MSR_TSC_AUX, v->msrs.value[PERCPU_TSC_AUX]);"],
    "XCR0": ["insn_xsetbv(0, (uint32_t)v->xcr0);"],
}
KEPT_LOADS = {
    "DR": ["insn_write_dr0(v->dr[0]);", "insn_write_dr1(v->dr[1]);", "insn_write_dr2(v->dr[2]);", "insn_write_dr3(v->dr[3]);"],
    "DR6": ["insn_write_dr6(v->dr6);"],
}
KEPT = ["STAR", "LSTAR", "CSTAR", "FMASK"]	# in the order of kept.c's table
# Components of the XSAVE area that are not restored.
COMPONENTS = {"X87": 1, "SSE": 2, "AVX": 4, "AVX512": 0xe0}
# Fields of the VMCS that are carried over from the one before.
FIELDS = {"CR0": "CR0", "CR4": "CR4", "DR7": "DR7", "PAT": "PAT", "SYSENTER_CS": "SYSENTER_CS", "SYSENTER_ESP": "SYSENTER_ESP",
          "SYSENTER_EIP": "SYSENTER_EIP", "FS_BASE": "FS_BASE", "GS_BASE": "GS_BASE", "EFER": "EFER"}
CLASSES = ["none", *LOADS, *KEPT_LOADS, *KEPT, *COMPONENTS, *FIELDS, "CR8", "SPEC_CTRL"]


def number(name):
    return CLASSES.index(name)


def replace(text, old, new):
    if text.count(old) != 1:
        sys.exit(f"plant.py: '{old}' is there {text.count(old)} times, not once: say where that state is switched now")
    return text.replace(old, new)


def without(text, loads):
    for name, lines in loads.items():
        for line in lines:
            text = replace(text, line, f"if (leak_class != {number(name)}) {{ {line} }}")
    return text


def plant_kept(text):
    text = without(text, KEPT_LOADS)
    line = "insn_wrmsr(kept[i].number, v->msrs.value[i]);"
    text = replace(text, line, f"if (leak_class != {number(KEPT[0])} + i) {{ {line} }}")
    return replace(text, "enum width {", "extern unsigned leak_class;\n\nenum width {")


def plant_vcpu(text):
    text = without(text, LOADS)
    text = replace(text, "insn_xrstor(v->fpu, XSAVE_ALL);", "insn_xrstor(v->fpu, XSAVE_ALL & ~leak_components());")
    for name, to in (("load", "true"), ("save", "false")):
        head = f"void {name}_registers(struct vmx_vcpu *v, struct percpu *p, bool has_xsave)\n{{\n"
        text = replace(text, head, f"{head}\tleak_carry(v, {to});\n")
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

SHELL_COMMAND(leak, .name = "leak", .usage = "CLASS", .least = 1, .most = 1, .run = leak, .help = "Plants a leak.");
"""
    return replace(text, '#include "kernel/mem.h"\n', '#include "kernel/mem.h"\n' + head)


def main():
    source, out = sys.argv[1:]
    with open(source, encoding="utf-8") as f:
        text = f.read()
    with open(out, "w", encoding="utf-8") as f:
        f.write((plant_kept if source.endswith("kept.c") else plant_vcpu)(text))


if __name__ == "__main__":
    main()
