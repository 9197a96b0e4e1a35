/* SPDX-License-Identifier: BSD-2-Clause */
/* What the hand-off itself needs of the cpu; what the hypervisor needs (VT-x) is the kernel's business. */
#include "boot/loader.h"

#include <cpuid.h>

#include "boot/jump.h"

#define CPUID_NX	(1u << 20)	/* 80000001H EDX */
#define CPUID_PAGE1GB	(1u << 26)
#define CR4_LA57	(1ul << 12)

bool cpu_check(struct loader *l)
{
	unsigned eax, ebx, ecx, edx;

	if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) == 0 || (edx & CPUID_NX) == 0) {
		uefi_say(&l->fw, "tarn: this cpu has no execute-disable bit, or the firmware's setup turned it off: "
			 "turn it on there (\"XD\", \"NX\")\n");
		return false;
	}
	l->giant_pages = (edx & CPUID_PAGE1GB) != 0;
	if ((boot_read_cr4() & CR4_LA57) != 0) {
		uefi_say(&l->fw, "tarn: the firmware runs with 5-level paging, want 4-level: turn it off in the setup "
			 "(\"5-level paging\", \"LA57\")\n");
		return false;
	}
	return true;
}
