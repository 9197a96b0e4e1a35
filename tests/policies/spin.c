/* SPDX-License-Identifier: BSD-2-Clause */
/* On the machine nothing happens in a turn. */
#include "tests/policies/faulty.h"

void faulty_spin(void)
{
	static volatile unsigned turns;

	turns++;
}
