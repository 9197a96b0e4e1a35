/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
#include <stdbool.h>
#include <stddef.h>
bool manifest_next_file(const char *text, size_t size, size_t *cursor, char name[64]);
