/* SPDX-License-Identifier: BSD-2-Clause */
/* What commands about VMs and vCPUs share. */
#pragma once

#include "vm/vm.h"

/* The VM that a command's argument names, or NULL, said with shell_fail(): return ERR_NOENT then. */
struct vm *vm_named(const char *name);
