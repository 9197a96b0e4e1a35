/* SPDX-License-Identifier: BSD-2-Clause */
/* The files a VM starts from: found among those read at boot, and loaded into its RAM. */
#pragma once

#include "vm/vm.h"

/* Clears the VM's RAM and loads kernel, initrd and modules. ERR_NOENT: a file is not there; else as image_load() says. */
enum err vm_files_load(struct vm *vm, struct virt_start *start, struct sched_reason *why);
