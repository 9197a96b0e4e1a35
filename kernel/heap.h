/* SPDX-License-Identifier: BSD-2-Clause */
/* Small and large allocations for control paths. Nothing on the exit or dispatch path allocates. */
#pragma once

#include <stddef.h>

/*
 * bytes (> 0) of zeroed memory, aligned to 64, from `node`; NULL when that node has none left (it never falls back
 * to another one). Called on the housekeeping cpu only, with no lock held.
 */
void *heap_alloc(size_t bytes, unsigned node);

/* Gives back what heap_alloc(bytes, ...) returned; NULL is allowed. */
void heap_free(void *ptr, size_t bytes);
