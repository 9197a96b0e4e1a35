/* SPDX-License-Identifier: BSD-2-Clause */
/* See vmtrr.h. */
#include "vm/vmtrr.h"

#include "kernel/lib/string.h"
#include "kernel/lib/util.h"
#include "vm/vmap.h"

#define MSR_CAP			0x0feu
#define  CAP_FIXED		(1ul << 8)
#define  CAP_WC			(1ul << 10)
#define MSR_VARIABLE		0x200u
#define MSR_VARIABLE_LAST	(MSR_VARIABLE + 2 * VMTRR_VARIABLE - 1)
#define MSR_DEF_TYPE		0x2ffu
#define  DEF_TYPE_FIXED		(1ul << 10)
#define  DEF_TYPE_ENABLE	(1ul << 11)

#define TYPE_UC		0u
#define TYPE_WC		1u
#define TYPE_WT		4u
#define TYPE_WP		5u
#define TYPE_WB		6u
#define ALL_WB		0x0606060606060606ul
#define FIXED_VGA	2u			/* index of 0xa0000 to 0xbffff */

#define ADDRESS_BITS	52u			/* no physical address is wider */
#define ADDRESS		(((1ul << ADDRESS_BITS) - 1) & ~0xffful)
#define MASK_VALID	(1ul << 11)

/* In the order of the addresses they stand for. */
static const uint32_t fixed_msrs[VMTRR_FIXED] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};

static int fixed_index(uint32_t msr)
{
	for (unsigned i = 0; i < VMTRR_FIXED; i++) {
		if (fixed_msrs[i] == msr) {
			return (int)i;
		}
	}
	return -1;
}

static bool is_variable(uint32_t msr)
{
	return msr >= MSR_VARIABLE && msr <= MSR_VARIABLE_LAST;
}

void vmtrr_reset(struct vmtrr *t)
{
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < VMTRR_FIXED; i++) {
		t->fixed[i] = i == FIXED_VGA ? 0 : ALL_WB;
	}
	/* The mask's high bits as wide as a cpu of 36 address bits or more takes them: the hole lies in the low 4 GiB. */
	t->variable[0] = VMAP_HOLE_BASE | TYPE_UC;
	t->variable[1] = (0xffffffffful & ~(VMAP_HOLE_END - VMAP_HOLE_BASE - 1)) | MASK_VALID;
	t->def_type = DEF_TYPE_ENABLE | DEF_TYPE_FIXED | TYPE_WB;
}

bool vmtrr_owns(uint32_t msr)
{
	return msr == MSR_CAP || msr == MSR_DEF_TYPE || is_variable(msr) || fixed_index(msr) >= 0;
}

bool vmtrr_read(const struct vmtrr *t, uint32_t msr, uint64_t *value)
{
	if (msr == MSR_CAP) {
		*value = VMTRR_VARIABLE | CAP_FIXED | CAP_WC;
	} else if (msr == MSR_DEF_TYPE) {
		*value = t->def_type;
	} else if (is_variable(msr)) {
		*value = t->variable[msr - MSR_VARIABLE];
	} else {
		*value = t->fixed[fixed_index(msr)];
	}
	return true;
}

static bool type_ok(uint64_t type)
{
	return type == TYPE_UC || type == TYPE_WC || type == TYPE_WT || type == TYPE_WP || type == TYPE_WB;
}

static bool write_fixed(struct vmtrr *t, unsigned i, uint64_t value)
{
	for (unsigned shift = 0; shift < 64; shift += 8) {
		if (!type_ok(value >> shift & 0xff)) {
			return false;
		}
	}
	t->fixed[i] = value;
	return true;
}

static bool write_variable(struct vmtrr *t, unsigned i, uint64_t value)
{
	bool good = i % 2 == 0 ? (value & ~(ADDRESS | 0xff)) == 0 && type_ok(value & 0xff) :
		    (value & ~(ADDRESS | MASK_VALID)) == 0;

	if (good) {
		t->variable[i] = value;
	}
	return good;
}

bool vmtrr_write(struct vmtrr *t, uint32_t msr, uint64_t value)
{
	if (msr == MSR_CAP) {
		return false;
	}
	if (msr == MSR_DEF_TYPE) {
		if ((value & ~(DEF_TYPE_ENABLE | DEF_TYPE_FIXED | 0xff)) != 0 || !type_ok(value & 0xff)) {
			return false;
		}
		t->def_type = value;
		return true;
	}
	return is_variable(msr) ? write_variable(t, msr - MSR_VARIABLE, value) :
	       write_fixed(t, (unsigned)fixed_index(msr), value);
}
