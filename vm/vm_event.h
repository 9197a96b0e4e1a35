/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest asks of its whole virtual machine through a device. */
#pragma once

/* The code that goes with it: DEBUG_EXIT the value written, else 0. */
enum vm_event { VM_EVENT_POWEROFF, VM_EVENT_RESET, VM_EVENT_DEBUG_EXIT };
