/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMX implementation of struct virt_ops (virt.h documents each function). */
#pragma once

#include "arch/x86_64/virt.h"

extern const struct virt_ops vmx_ops;

enum err vmx_probe(struct text *why);
enum err vmx_cpu_prepare(unsigned cpu, unsigned node);
enum err vmx_cpu_on(struct text *why);
