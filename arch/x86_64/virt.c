/* SPDX-License-Identifier: BSD-2-Clause */
/* Choosing the virtualization vendor, and the host facts that vm/ builds its policy from. */
#include "arch/x86_64/virt.h"

#include "arch/x86_64/insn.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/time.h"
#include "arch/x86_64/vmx/vmx_ops.h"
#include "kernel/arch.h"
#include "kernel/lib/format.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

const struct virt_ops *virt;

static char why_not[500];
static uint64_t guest_xcr0;

void virt_init(void)
{
	static const struct virt_ops *const vendors[] = { &vmx_ops };

	for (unsigned i = 0; i < ARRAY_SIZE(vendors) && virt == NULL; i++) {
		struct text why = text_make(why_not, sizeof(why_not));

		if (vendors[i]->probe(&why) == ERR_OK) {
			virt = vendors[i];
			guest_xcr0 = (insn_read_cr4() & CR4_OSXSAVE) != 0 ? insn_xgetbv(0) : 0;
		}
	}
}

void virt_give_up(const char *why)
{
	virt = NULL;
	str_copy(why_not, sizeof(why_not), why);
}

const char *arch_virtualization(void)
{
	static char words[80];
	struct text t = text_make(words, sizeof(words));

	if (virt == NULL) {
		return "none";
	}
	text_printf(&t, "%s, guests' local APICs %s", virt->name, virt->offers(VIRT_APIC) ? "by the cpu" : "in software");
	return words;
}

const char *virt_why_not(void)
{
	return why_not;
}

struct virt_cpuid virt_host_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid c = insn_cpuid(leaf, subleaf);

	return (struct virt_cpuid){ c.eax, c.ebx, c.ecx, c.edx };
}

uint64_t virt_host_arch_capabilities(void)
{
	bool has = insn_cpuid(0, 0).eax >= 7 && (insn_cpuid(7, 0).edx & CPUID7_EDX_ARCH_CAPABILITIES) != 0;

	return has ? insn_rdmsr(MSR_ARCH_CAPABILITIES) : 0;
}

uint64_t virt_guest_xcr0(void)
{
	return guest_xcr0;
}

uint64_t virt_host_tsc(void)
{
	return insn_rdtsc();
}

uint64_t virt_wait_tsc(uint64_t tsc)
{
	uint64_t now;

	while ((now = insn_rdtsc()) < tsc) {
		insn_pause();
	}
	return now;
}

uint64_t virt_host_tsc_hz(void)
{
	return time_tsc_hz();
}

uint64_t virt_ns_to_tsc(uint64_t ns)
{
	return time_ns_to_tsc(ns);
}

uint64_t virt_tsc_to_ns(uint64_t tsc)
{
	return time_tsc_to_ns(tsc);
}
