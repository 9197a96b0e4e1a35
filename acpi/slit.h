/* SPDX-License-Identifier: BSD-2-Clause */
/* SLIT: relative distances between proximity domains (ACPI 6.5, 5.2.17). The values are not judged here. */
#pragma once

#include "acpi/acpi.h"

#define SLIT_SIGNATURE	"SLIT"
#define SLIT_SIZE_MIN	44u	/* bytes: header and the count */

struct slit {
	struct reader table;
	uint32_t count;		/* domains 0..count-1 have a row and a column */
};

/*
 * table is whole and has passed acpi_check(); size is its length. ERR_RANGE: no domain at all; ERR_TRUNCATED: fewer
 * bytes than so many domains need.
 */
enum err slit_open(struct slit *s, const void *table, size_t size);
/* The distance between two domains below count; 0, which no table may say, for others. */
uint8_t slit_distance(const struct slit *s, uint32_t from, uint32_t to);
