/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's CMOS clock (MC146818), read once at start-up: guests' clocks start from it. */
#include "arch/x86_64/insn.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/pure/calendar.h"
#include "kernel/arch.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"
#include "kernel/log.h"

#define CMOS_INDEX		0x70
#define CMOS_DATA		0x71
#define REG_STATUS_A		0x0a
#define  UPDATE_IN_PROGRESS	0x80
#define REG_STATUS_B		0x0b
#define UPDATE_SPINS		100000u		/* an update takes 2 ms */
#define READ_TRIES		5u

static uint64_t start_s;	/* UTC seconds since 1970 at hand-off; 0: not known */

static uint8_t reg_read(uint8_t reg)
{
	insn_out8(CMOS_INDEX, reg);
	return insn_in8(CMOS_DATA);
}

static void read_once(struct calendar_registers *r, uint8_t century)
{
	for (unsigned i = 0; i < UPDATE_SPINS && (reg_read(REG_STATUS_A) & UPDATE_IN_PROGRESS) != 0; i++) {
	}
	*r = (struct calendar_registers){
		.second = reg_read(0), .minute = reg_read(2), .hour = reg_read(4), .day = reg_read(7), .month = reg_read(8),
		.year = reg_read(9), .century = century != 0 ? reg_read(century) : 0, .status_b = reg_read(REG_STATUS_B),
	};
}

void rtc_init(const struct platform *p)
{
	struct calendar_registers first, again;
	uint64_t seconds;

	for (unsigned i = 0; i < READ_TRIES; i++) {
		read_once(&first, p->century);
		read_once(&again, p->century);
		if (memcmp(&first, &again, sizeof(first)) == 0 && calendar_seconds(&first, &seconds)) {
			start_s = seconds - MIN(seconds, arch_now_ns() / NS_PER_S);
			log_printf("rtc: the hand-off was %lu s after 1970 by the CMOS clock, taken as UTC", start_s);
			return;
		}
	}
	log_printf("rtc: the CMOS clock gives no date: guests start in 1970");
}

uint64_t arch_wall_clock_s(void)
{
	return start_s + arch_now_ns() / NS_PER_S;
}
