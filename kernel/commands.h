/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's own commands: help, version, log, console, reboot, poweroff. */
#pragma once

#include <stdnoreturn.h>

/* Housekeeping cpu: says `tarn: exit CODE`, sends all that waits in the console, switches the machine off. */
noreturn void commands_poweroff(unsigned code);
/* The same with `tarn: reboot`. */
noreturn void commands_reboot(void);
