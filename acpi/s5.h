/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sleep type values of soft-off, which only AML holds: Name (_S5_, Package { SLP_TYPa, SLP_TYPb, ... }). There is
 * no AML interpreter here; the bytes of that one definition are looked for (ACPI 6.5, 7.4.2 and 20.2).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/lib/err.h"

struct s5 {
	uint8_t type_a, type_b;		/* for PM1a and PM1b control, 3 bits each */
};

/* Looks through a whole DSDT or SSDT of size bytes. ERR_NOENT: there is no such definition, or not a plain one. */
enum err s5_find(struct s5 *s, const void *table, size_t size);
