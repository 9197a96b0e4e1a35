/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupt vectors of the hypervisor. */
#pragma once

#define VECTOR_NMI		2
#define VECTOR_DOUBLE_FAULT	8
#define VECTOR_PAGE_FAULT	14
#define VECTOR_MACHINE_CHECK	18
#define VECTOR_SERIAL		0xec
#define VECTOR_TIMER		0xed
#define VECTOR_POKE		0xee
#define VECTOR_SPURIOUS		0xff
