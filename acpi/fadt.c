/* SPDX-License-Identifier: BSD-2-Clause */
/* The FADT's fields; a table that ends before a field does not have it. */
#include "acpi/fadt.h"

/* Byte offsets: ACPI 6.5, table 5.9. */
#define REVISION_AT		8u
#define DSDT_AT			40u
#define SCI_INT_AT		46u
#define SMI_CMD_AT		48u
#define ACPI_ENABLE_AT		52u
#define PM1A_EVT_AT		56u
#define PM1A_CNT_AT		64u
#define PM1B_CNT_AT		68u
#define PM_TMR_AT		76u
#define PM1_EVT_LEN_AT		88u
#define PM1_CNT_LEN_AT		89u
#define PM_TMR_LEN_AT		91u
#define CENTURY_AT		108u
#define IAPC_BOOT_ARCH_AT	109u
#define FLAGS_AT		112u
#define RESET_REG_AT		116u
#define RESET_VALUE_AT		128u
#define X_DSDT_AT		140u
#define X_PM1A_EVT_AT		148u
#define X_PM1A_CNT_AT		172u
#define X_PM1B_CNT_AT		184u
#define X_PM_TMR_AT		208u
#define SLEEP_CONTROL_AT	244u
#define SLEEP_STATUS_AT		256u

#define FLAG_TMR_VAL_EXT	(1u << 8)
#define FLAG_RESET_REG_SUP	(1u << 10)
#define FLAG_HW_REDUCED_ACPI	(1u << 20)

#define BOOT_LEGACY_DEVICES	(1u << 0)
#define BOOT_8042		(1u << 1)
#define BOOT_NO_VGA		(1u << 2)

/* The wide form of a register block where the table has one, else the port of ACPI 1.0. */
static struct acpi_gas block(struct reader *r, size_t wide_at, size_t port_at, size_t len_at)
{
	struct acpi_gas gas = acpi_gas(r, wide_at);

	if (gas.address != 0) {
		return gas;
	}
	return (struct acpi_gas){
		.space = ACPI_SPACE_IO,
		.bit_width = (uint8_t)(reader_peek(r, len_at, 1) * 8),
		.address = reader_peek(r, port_at, 4),
	};
}

static void read_boot_flags(struct fadt *f, struct reader *r)
{
	/* Reserved bytes in ACPI 1.0's table. Length tells, not revision: some of revision 1 have 132 bytes. */
	f->has_boot_flags = r->size > FADT_SIZE_MIN;
	if (!f->has_boot_flags) {
		f->has_legacy_devices = f->has_8042 = true;
		return;
	}
	f->boot_flags = (uint16_t)reader_peek(r, IAPC_BOOT_ARCH_AT, 2);
	f->has_legacy_devices = (f->boot_flags & BOOT_LEGACY_DEVICES) != 0;
	f->has_8042 = (f->boot_flags & BOOT_8042) != 0;
	f->no_vga = (f->boot_flags & BOOT_NO_VGA) != 0;
}

static void read_reset(struct fadt *f, struct reader *r)
{
	f->reset = acpi_gas(r, RESET_REG_AT);
	f->reset_value = (uint8_t)reader_peek(r, RESET_VALUE_AT, 1);
	f->has_reset = (f->flags & FLAG_RESET_REG_SUP) != 0 && f->reset.address != 0;
}

enum err fadt_read(struct fadt *f, const void *table, size_t size)
{
	struct reader r;
	enum err e = acpi_reader(&r, table, size, FADT_SIGNATURE, FADT_SIZE_MIN);

	*f = (struct fadt){ 0 };
	if (e != ERR_OK) {
		return e;
	}
	f->revision = (uint8_t)reader_peek(&r, REVISION_AT, 1);
	f->sci_irq = (uint16_t)reader_peek(&r, SCI_INT_AT, 2);
	f->smi_command = (uint32_t)reader_peek(&r, SMI_CMD_AT, 4);
	f->acpi_enable = (uint8_t)reader_peek(&r, ACPI_ENABLE_AT, 1);
	f->century = (uint8_t)reader_peek(&r, CENTURY_AT, 1);
	f->flags = (uint32_t)reader_peek(&r, FLAGS_AT, 4);
	f->pm1a_event = block(&r, X_PM1A_EVT_AT, PM1A_EVT_AT, PM1_EVT_LEN_AT);
	f->pm1a_control = block(&r, X_PM1A_CNT_AT, PM1A_CNT_AT, PM1_CNT_LEN_AT);
	f->pm1b_control = block(&r, X_PM1B_CNT_AT, PM1B_CNT_AT, PM1_CNT_LEN_AT);
	f->pm_timer = block(&r, X_PM_TMR_AT, PM_TMR_AT, PM_TMR_LEN_AT);
	f->pm_timer_is_32bit = (f->flags & FLAG_TMR_VAL_EXT) != 0;
	f->hw_reduced = (f->flags & FLAG_HW_REDUCED_ACPI) != 0;
	f->sleep_control = acpi_gas(&r, SLEEP_CONTROL_AT);
	f->sleep_status = acpi_gas(&r, SLEEP_STATUS_AT);
	f->dsdt = reader_peek(&r, X_DSDT_AT, 8);
	if (f->dsdt == 0) {
		f->dsdt = reader_peek(&r, DSDT_AT, 4);
	}
	read_boot_flags(f, &r);
	read_reset(f, &r);
	return ERR_OK;
}
