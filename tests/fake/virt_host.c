/* SPDX-License-Identifier: BSD-2-Clause */
/* What guests' policy asks of the host's cpu, over the fake machine's clock; see virt.h. */
#include "tests/fake/virt.h"

#include "tests/fake/machine.h"

const char *virt_why_not(void)
{
	return "the fake vendor is off";
}

struct virt_cpuid virt_host_cpuid(uint32_t leaf, uint32_t subleaf)
{
	return fake_virt_cpuid != NULL ? fake_virt_cpuid(leaf, subleaf) : (struct virt_cpuid){ 0x16, ~0u, ~0u, ~0u };
}

uint64_t virt_host_arch_capabilities(void)
{
	return fake_virt_capabilities;
}

uint64_t virt_guest_xcr0(void)
{
	return 7;
}

uint64_t virt_host_tsc(void)
{
	return fake.now_ns * FAKE_TSC_PER_NS;
}

uint64_t virt_wait_tsc(uint64_t tsc)
{
	fake.now_ns = MAX(fake.now_ns, (tsc + FAKE_TSC_PER_NS - 1) / FAKE_TSC_PER_NS);
	return virt_host_tsc();
}

uint64_t virt_host_tsc_hz(void)
{
	return NS_PER_S * FAKE_TSC_PER_NS;
}

uint64_t virt_ns_to_tsc(uint64_t ns)
{
	return ns > UINT64_MAX / FAKE_TSC_PER_NS ? UINT64_MAX : ns * FAKE_TSC_PER_NS;
}

uint64_t virt_tsc_to_ns(uint64_t tsc)
{
	return tsc >= fake_virt_never_tsc ? NS_NEVER : tsc / FAKE_TSC_PER_NS;
}
