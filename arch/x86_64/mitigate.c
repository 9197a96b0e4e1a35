/* SPDX-License-Identifier: BSD-2-Clause */
/* See mitigate.h. All cpus are taken to be as the boot cpu is: hybrid parts enumerate the union of what their cores need. */
#include "arch/x86_64/mitigate.h"

#include "arch/x86_64/insn.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/pure/mitigate.h"
#include "arch/x86_64/regs.h"
#include "kernel/arch.h"
#include "kernel/log.h"

#define EDX_ARCH_CAPABILITIES	(1u << 29)
#define VENDOR_EBX_INTEL	0x756e6547u	/* "Genu" */

static struct mitigate measures;
static char words[160] = "none";
static uint64_t vm_numbers;

static void verw(void)
{
	insn_verw(SELECTOR_DATA);
}

static const struct mitigate_ops ops = { .wrmsr = insn_wrmsr, .rsb_fill = insn_rsb_fill, .verw = verw };

static struct mitigate_facts facts_of_this_cpu(void)
{
	struct cpuid zero = insn_cpuid(0, 0), one = insn_cpuid(1, 0), seven = { 0 };
	struct mitigate_facts f = {
		.intel = zero.ebx == VENDOR_EBX_INTEL, .family = one.eax >> 8 & 0xf,
		.model = (one.eax >> 4 & 0xf) | (one.eax >> 12 & 0xf0),
	};

	if (f.family == 0xf) {
		f.family += one.eax >> 20 & 0xff;
	}
	if (zero.eax >= 7) {
		seven = insn_cpuid(7, 0);
	}
	f.leaf7_ebx = seven.ebx;
	f.leaf7_edx = seven.edx;
	if ((seven.edx & EDX_ARCH_CAPABILITIES) != 0) {
		f.arch_capabilities = insn_rdmsr(MSR_ARCH_CAPABILITIES);
	}
	return f;
}

void mitigate_init(bool off)
{
	struct mitigate_facts f = facts_of_this_cpu();
	struct text t = text_make(words, sizeof(words));

	if (off) {
		measures = (struct mitigate){ .ibpb_on_switch = false };
		text_puts(&t, "off, by the manifest");
	} else {
		measures = mitigate_decide(&f);
		mitigate_print(&measures, &t);
	}
	log_printf("mitigations: %s", words);
}

const char *arch_mitigations(void)
{
	return words;
}

uint64_t mitigate_new_vm(void)
{
	return ++vm_numbers;
}

void mitigate_load(uint64_t vm)
{
	mitigate_switch(&measures, &percpu_this()->mitigate, vm, &ops);
}
