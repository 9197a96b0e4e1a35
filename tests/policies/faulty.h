/* SPDX-License-Identifier: BSD-2-Clause */
/* What the policy `faulty` does wrong, in the order of its tunable's words. */
#pragma once

enum fault {
	FAULT_NONE, FAULT_BLOCKED, FAULT_FOREIGN, FAULT_ELSEWHERE, FAULT_FORBIDDEN, FAULT_UNTIL, FAULT_FORGETS, FAULT_CHECK,
	FAULT_PICK_LOOPS, FAULT_RELEASED_LOOPS, FAULT_BLOCK_LOOPS, FAULT_WAKE_LOOPS,
	FAULT_ADMIT_LOOPS, FAULT_ADD_LOOPS, FAULT_TUNE_LOOPS, FAULT_LEAVE_LOOPS, FAULT_CHECK_LOOPS, FAULT_COUNT
};

/* One turn of its endless loops. */
void faulty_spin(void);
