/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See mitigate.h. All cpus are taken to be as the boot cpu is: hybrid parts enumerate the union of
 * what their cores need.
 */
#include "arch/x86_64/mitigate.h"

#include "arch/x86_64/insn.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/pure/mitigate_steps.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/virt.h"
#include "kernel/arch.h"
#include "kernel/lib/util.h"
#include "kernel/log.h"

#define VENDOR_EBX_INTEL	0x756e6547u	/* "Genu" */

static struct mitigate measures;
static char words[320] = "none";
static uint64_t vm_numbers;
bool mitigate_at_run;

static void verw(void)
{
	insn_verw(SELECTOR_DATA);
}

static const struct mitigate_ops ops = {
	.wrmsr = insn_wrmsr, .rdmsr = insn_rdmsr, .rsb_fill = insn_rsb_fill, .rsb_one = insn_rsb_one,
	.bhb_clear = insn_bhb_clear, .verw = verw,
};

static struct cpuid leaf7(uint32_t subleaf)
{
	return insn_cpuid(0, 0).eax >= 7 ? insn_cpuid(7, subleaf) : (struct cpuid){ 0 };
}

static struct mitigate_facts facts_of_this_cpu(void)
{
	struct cpuid zero = insn_cpuid(0, 0), one = insn_cpuid(1, 0), seven = leaf7(0);
	struct mitigate_facts f = {
		.intel = zero.ebx == VENDOR_EBX_INTEL, .family = one.eax >> 8 & 0xf,
		.model = (one.eax >> 4 & 0xf) | (one.eax >> 12 & 0xf0), .stepping = one.eax & 0xf,
		.leaf7_ebx = seven.ebx, .leaf7_edx = seven.edx,
		.arch_capabilities = virt_host_arch_capabilities(),
	};

	if (f.family == 0xf) {
		f.family += one.eax >> 20 & 0xff;
	}
	if (seven.eax >= 2) {
		f.leaf7_2_edx = leaf7(2).edx;
	}
	return f;
}

void mitigate_init(bool off)
{
	struct mitigate_facts f = facts_of_this_cpu();
	struct text t = text_make(words, sizeof(words));

	if (off) {
		measures = (struct mitigate){ .at_change = 0 };
		text_puts(&t, "off, by the manifest");
	} else {
		measures = mitigate_decide(&f);
		mitigate_print(&measures, &t);
	}
	mitigate_at_run = ((measures.at_change | measures.at_run) & MITIGATE_AT_RUN) != 0;
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

bool mitigate_small_code(void)
{
	return measures.small_code;
}

void mitigate_cpu_on(void)
{
	if ((leaf7(0).edx & CPUID7_EDX_IBRS_IBPB) != 0) {
		insn_wrmsr(MSR_SPEC_CTRL, 0);
	}
}

void mitigate_run_vm(uint64_t vm)
{
	mitigate_run(&measures, &percpu_this()->mitigate, vm, &ops);
}

void mitigate_reset(struct mitigate_vcpu *v)
{
	*v = (struct mitigate_vcpu){ .spec_ctrl = 0 };
	mitigate_judge(&measures, v);
}

void mitigate_before_halt(void)
{
	mitigate_halt(&measures, &percpu_this()->mitigate, &ops);
}

void mitigate_after_halt(void)
{
	mitigate_halted(&measures, &percpu_this()->mitigate, &ops);
}

void mitigate_loaded(const struct mitigate_vcpu *v)
{
	mitigate_settle(&measures, &percpu_this()->mitigate, v, &ops);
}

void mitigate_unloaded(void)
{
	mitigate_put(&measures, &percpu_this()->mitigate, &ops);
}

void mitigate_written(struct mitigate_vcpu *v, uint64_t spec_ctrl)
{
	mitigate_write(&measures, &percpu_this()->mitigate, v, spec_ctrl, &ops);
}

void mitigate_after_exit(struct mitigate_vcpu *v)
{
	mitigate_exit(&measures, &percpu_this()->mitigate, v, &ops);
	insn_lfence();		/* nor does a mispredicted step let anything go on without it */
}

void mitigate_before_entry(struct mitigate_vcpu *v)
{
	mitigate_enter(&measures, &percpu_this()->mitigate, v, &ops);
}

void arch_mitigations_taken(unsigned cpu, struct text *to)
{
	mitigate_print_taken(&percpu_of(cpu)->mitigate, to);
}
