/* SPDX-License-Identifier: BSD-2-Clause */
/* The MC146818's registers (Motorola data sheet, "Address map"), and the century byte that ACPI's FADT names. */
#include "vm/vrtc.h"

#include "kernel/lib/util.h"
#include "vm/vmap.h"

enum {
	REG_SECONDS = 0, REG_MINUTES = 2, REG_HOURS = 4, REG_WEEKDAY = 6, REG_DAY = 7, REG_MONTH = 8, REG_YEAR = 9,
	REG_A = 10, REG_B = 11, REG_C = 12, REG_D = 13
};

#define A_UIP		0x80	/* update in progress: read-only */
#define A_DEFAULT	0x26	/* 32 kHz, 1024 Hz */
#define B_SET		0x80
#define B_BINARY	0x04
#define B_24H		0x02
#define D_VALID		0x80
#define PM_BIT		0x80	/* of the hours register in 12-hour form */

/* UIP comes 244 us before the update, which takes 1984 us; here the registers change at its end. */
#define UIP_NS		((244 + 1984) * NS_PER_US)

#define DAY_S		86400

struct calendar {
	int year;		/* all four digits */
	unsigned month, day;	/* from 1 */
	unsigned hour, minute, second;
	unsigned weekday;	/* 1: Sunday */
};

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_days(int64_t year, unsigned month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Days from 1 January of year 1 to 1 January of year. */
static int64_t days_before(int64_t year)
{
	int64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400;
}

#define EPOCH_DAYS	719162	/* days_before(1970) */
#define YEAR_MAX	9999

static struct calendar to_calendar(int64_t seconds)
{
	int64_t last = (days_before(YEAR_MAX + 1) - EPOCH_DAYS) * DAY_S - 1;
	int64_t s = MIN(MAX(seconds, 0), last), days = s / DAY_S + EPOCH_DAYS;
	unsigned rest = (unsigned)(s % DAY_S);
	int64_t year = days / 366 + 1;		/* not later than the right one, and at most six years before it */
	struct calendar c = { .month = 1, .weekday = (unsigned)((days + 1) % 7) + 1 };

	while (days_before(year + 1) <= days) {
		year++;
	}
	c.year = (int)year;
	c.day = (unsigned)(days - days_before(year)) + 1;
	while (c.day > month_days(year, c.month)) {
		c.day -= month_days(year, c.month);
		c.month++;
	}
	c.hour = rest / 3600;
	c.minute = rest / 60 % 60;
	c.second = rest % 60;
	return c;
}

/* Fields that a guest wrote may be nonsense: each is brought into its range first. */
static int64_t to_seconds(const struct calendar *c)
{
	int64_t year = MIN(MAX(c->year, 1970), YEAR_MAX), days = days_before(year) - EPOCH_DAYS;
	unsigned month = MIN(MAX(c->month, 1u), 12u);

	for (unsigned m = 1; m < month; m++) {
		days += month_days(year, m);
	}
	days += MIN(MAX(c->day, 1u), month_days(year, month)) - 1;
	return days * DAY_S + MIN(c->hour, 23u) * 3600 + MIN(c->minute, 59u) * 60 + MIN(c->second, 59u);
}

static uint8_t encode(const struct vrtc *r, unsigned n)
{
	return (uint8_t)((r->memory[REG_B] & B_BINARY) ? n : n / 10 << 4 | n % 10);
}

static unsigned decode(const struct vrtc *r, uint8_t byte)
{
	return (r->memory[REG_B] & B_BINARY) ? byte : (byte >> 4) * 10u + (byte & 15u);
}

static uint8_t encode_hour(const struct vrtc *r, unsigned hour)
{
	if (r->memory[REG_B] & B_24H) {
		return encode(r, hour);
	}
	return encode(r, (hour + 11) % 12 + 1) | (hour >= 12 ? PM_BIT : 0);
}

static unsigned decode_hour(const struct vrtc *r, uint8_t byte)
{
	if (r->memory[REG_B] & B_24H) {
		return decode(r, byte);
	}
	return decode(r, byte & (uint8_t)~PM_BIT) % 12 + ((byte & PM_BIT) ? 12 : 0);
}

static bool is_time(unsigned index)
{
	return index == VMAP_RTC_CENTURY || (index <= REG_YEAR && (index >= REG_WEEKDAY || index % 2 == 0));
}

static void store_time(struct vrtc *r, uint64_t now_ns)
{
	struct calendar c = to_calendar(r->base_s + (int64_t)(now_ns / NS_PER_S));

	r->memory[REG_SECONDS] = encode(r, c.second);
	r->memory[REG_MINUTES] = encode(r, c.minute);
	r->memory[REG_HOURS] = encode_hour(r, c.hour);
	r->memory[REG_WEEKDAY] = encode(r, c.weekday);
	r->memory[REG_DAY] = encode(r, c.day);
	r->memory[REG_MONTH] = encode(r, c.month);
	r->memory[REG_YEAR] = encode(r, (unsigned)c.year % 100);
	r->memory[VMAP_RTC_CENTURY] = encode(r, (unsigned)c.year / 100);
}

static void load_time(struct vrtc *r, uint64_t now_ns)
{
	struct calendar c = {
		.year = (int)(decode(r, r->memory[VMAP_RTC_CENTURY]) * 100 + decode(r, r->memory[REG_YEAR])),
		.month = decode(r, r->memory[REG_MONTH]),
		.day = decode(r, r->memory[REG_DAY]),
		.hour = decode_hour(r, r->memory[REG_HOURS]),
		.minute = decode(r, r->memory[REG_MINUTES]),
		.second = decode(r, r->memory[REG_SECONDS]),
	};

	r->base_s = to_seconds(&c) - (int64_t)(now_ns / NS_PER_S);
}

static void write_b(struct vrtc *r, uint8_t value, uint64_t now_ns)
{
	bool was_set = (r->memory[REG_B] & B_SET) != 0;

	if (!was_set && (value & B_SET)) {
		store_time(r, now_ns);		/* in the old form: the chip does not convert either */
	}
	r->memory[REG_B] = value;
	if (was_set && !(value & B_SET)) {
		load_time(r, now_ns);
	}
}

static void write_data(struct vrtc *r, uint8_t value, uint64_t now_ns)
{
	bool running = !(r->memory[REG_B] & B_SET);

	switch (r->index) {
	case REG_A:
		r->memory[REG_A] = value & (uint8_t)~A_UIP;
		return;
	case REG_B:
		write_b(r, value, now_ns);
		return;
	case REG_C:
	case REG_D:
		return;		/* read-only */
	default:
		break;
	}
	if (is_time(r->index) && running) {
		store_time(r, now_ns);
	}
	r->memory[r->index] = value;
	if (is_time(r->index) && running) {
		load_time(r, now_ns);
	}
}

void vrtc_init(struct vrtc *r, int64_t base_s)
{
	*r = (struct vrtc){ .base_s = base_s };
	r->memory[REG_A] = A_DEFAULT;
	r->memory[REG_B] = B_24H;
	r->memory[REG_D] = D_VALID;
}

uint8_t vrtc_read(struct vrtc *r, uint16_t port, uint64_t now_ns)
{
	bool running = !(r->memory[REG_B] & B_SET);

	if (port == VMAP_PORT_RTC) {
		return 0xff;
	}
	if (r->index == REG_A) {
		bool updating = running && now_ns % NS_PER_S >= NS_PER_S - UIP_NS;

		return r->memory[REG_A] | (updating ? A_UIP : 0);
	}
	if (is_time(r->index) && running) {
		store_time(r, now_ns);
	}
	return r->memory[r->index];
}

void vrtc_write(struct vrtc *r, uint16_t port, uint8_t value, uint64_t now_ns)
{
	if (port == VMAP_PORT_RTC) {
		r->index = value % VRTC_BYTES;		/* bit 7 is the NMI mask */
	} else {
		write_data(r, value, now_ns);
	}
}
