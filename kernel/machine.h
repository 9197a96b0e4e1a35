/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine as found at boot; filled by main.c, then read only. */
#pragma once

#include "boot/boot_info.h"
#include "kernel/platform.h"
#include "kernel/topology.h"

struct machine {
	const struct boot_info *boot;
	const struct boot_mem *map;		/* [boot->mem_count] */
	const struct boot_file *files;		/* [boot->file_count] */
	struct platform platform;
	struct topology topology;
	bool serial_irq;			/* the console's interrupt works */
};

extern struct machine machine;

/* A file of \tarn\ that was read at boot, or NULL. */
const struct boot_file *machine_file(const char *name);
/* In the order they were read; NULL: i is past the last. */
const char *machine_file_name_at(unsigned i);
