/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a folder of ACPI tables and says which cannot be used, and why.
 *
 * On wrong checksums: such a table is not used. Two cases are told apart, both of which only a file can show. Where
 * the bytes of the whole file add up and those within the length field do not, it is that field that was damaged:
 * the table counts up to where it ends. And a folder with one table and nothing else asks about that table, so it is
 * read all the same. The kernel knows neither case: there a wrong checksum is the end of a table.
 */
#include "tools/tables.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acpi/fadt.h"
#include "acpi/hpet.h"
#include "acpi/madt.h"
#include "acpi/mcfg.h"
#include "acpi/pptt.h"
#include "acpi/slit.h"
#include "acpi/spcr.h"
#include "acpi/srat.h"
#include "kernel/lib/util.h"

/* Probes: whether the room's reader takes the table. */
static enum err probe_madt(const void *p, size_t n) { struct madt x; return madt_open(&x, p, n); }
static enum err probe_srat(const void *p, size_t n) { struct srat x; return srat_open(&x, p, n); }
static enum err probe_slit(const void *p, size_t n) { struct slit x; return slit_open(&x, p, n); }
static enum err probe_fadt(const void *p, size_t n) { struct fadt x; return fadt_read(&x, p, n); }
static enum err probe_hpet(const void *p, size_t n) { struct hpet x; return hpet_read(&x, p, n); }
static enum err probe_mcfg(const void *p, size_t n) { struct mcfg x; return mcfg_open(&x, p, n); }
static enum err probe_spcr(const void *p, size_t n) { struct spcr x; return spcr_read(&x, p, n); }
static enum err probe_pptt(const void *p, size_t n) { struct pptt x; return pptt_open(&x, p, n); }

static const struct known {
	const char *signature, *title;
	uint32_t size_min;	/* bytes */
	enum err (*probe)(const void *table, size_t size);
} known[] = {
	{ MADT_SIGNATURE, "MADT", MADT_SIZE_MIN, probe_madt },
	{ SRAT_SIGNATURE, "SRAT", SRAT_SIZE_MIN, probe_srat },
	{ SLIT_SIGNATURE, "SLIT", SLIT_SIZE_MIN, probe_slit },
	{ FADT_SIGNATURE, "FADT", FADT_SIZE_MIN, probe_fadt },
	{ HPET_SIGNATURE, "HPET", HPET_SIZE_MIN, probe_hpet },
	{ MCFG_SIGNATURE, "MCFG", MCFG_SIZE_MIN, probe_mcfg },
	{ SPCR_SIGNATURE, "SPCR", SPCR_SIZE_MIN, probe_spcr },
	{ PPTT_SIGNATURE, "PPTT", PPTT_SIZE_MIN, probe_pptt },
};

static const struct known *find_known(const char *signature)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].signature, signature) == 0) {
			return &known[i];
		}
	}
	return NULL;
}

/* "DIR/APIC.dat (MADT): " */
static void say_file(const struct tables *t, const struct table_file *f, const char *grade)
{
	const struct known *k = find_known(f->signature);

	fprintf(stderr, "%s: %s/%s (%s): ", grade, t->dir, f->name, k != NULL ? k->title : f->signature);
}

static void reject(struct tables *t, struct table_file *f)
{
	fprintf(stderr, "; table not used\n");
	f->size = 0;
	t->errors++;
}

static void say_header(const struct table_file *f, enum err e)
{
	struct reader r = reader_make(f->bytes, f->have);
	unsigned long length = reader_peek(&r, 4, 4);

	if (e == ERR_SIGNATURE) {
		fprintf(stderr, "signature found ");
		for (unsigned i = 0; i < 4; i++) {
			fputc(f->bytes[i] >= ' ' && f->bytes[i] < 127 ? f->bytes[i] : '?', stderr);
		}
		fprintf(stderr, ", expected %s", f->signature);
	} else if (f->have < ACPI_HEADER_SIZE) {
		fprintf(stderr, "file of %zu bytes found, expected a header of %u at least", f->have,
			ACPI_HEADER_SIZE);
	} else if (e == ERR_RANGE) {
		fprintf(stderr, "length field of %lu found, expected %u to %u", length, ACPI_HEADER_SIZE,
			ACPI_TABLE_MAX);
	} else {
		fprintf(stderr, "file of %zu bytes found, expected the %lu that its length field says", f->have,
			length);
	}
}

/* True when a table with a wrong checksum is used all the same; see the top of this file. */
static bool take_wrong_sum(struct tables *t, struct table_file *f, uint32_t size)
{
	bool rest_is_right = size < f->have && acpi_sum(f->bytes, f->have) == 0;
	bool alone = t->count == 1;

	say_file(t, f, rest_is_right || alone ? "warning" : "error");
	fprintf(stderr, "checksum: bytes add up to 0x%02x, expected 0x00", acpi_sum(f->bytes, size));
	if (rest_is_right) {
		fprintf(stderr, "; all %zu bytes of the file add up to 0x00, so the length field of %u is wrong: "
			"read up to there\n", f->have, size);
	} else if (alone) {
		fprintf(stderr, "; read all the same, as it is the only table here\n");
	}
	return rest_is_right || alone;
}

static void say_unusable(const struct table_file *f, const struct known *k, enum err e)
{
	struct reader r = reader_make(f->bytes, f->size);

	if (f->size < k->size_min) {
		fprintf(stderr, "table of %u bytes found, expected %u at least", f->size, k->size_min);
	} else if (k->probe == probe_slit) {
		fprintf(stderr, "matrix of %llu localities in %u bytes found, expected 1 or more and their square",
			(unsigned long long)reader_peek(&r, 36, 8), f->size - SLIT_SIZE_MIN);
	} else {
		fprintf(stderr, "%s", err_words(e));
	}
}

static void check(struct tables *t, struct table_file *f)
{
	const struct known *k = find_known(f->signature);
	uint32_t size = 0;
	enum err e = acpi_check(f->bytes, f->have, f->signature, &size);

	if (e == ERR_CHECKSUM) {
		if (!take_wrong_sum(t, f, size)) {
			reject(t, f);
			return;
		}
	} else if (e != ERR_OK) {
		say_file(t, f, "error");
		say_header(f, e);
		reject(t, f);
		return;
	}
	f->size = size;
	e = k != NULL ? k->probe(f->bytes, f->size) : ERR_OK;
	if (e != ERR_OK) {
		say_file(t, f, "error");
		say_unusable(f, k, e);
		reject(t, f);
	}
}

/* --- files ---------------------------------------------------------------------------------------------------- */

/* acpixtract writes apic.dat, most others APIC.dat: both are taken. */
static bool is_table_name(const char *name)
{
	size_t len = strlen(name);

	return len >= 8 && len < sizeof(((struct table_file *)0)->name) &&
	       (strcmp(name + len - 4, ".dat") == 0 || strcmp(name + len - 4, ".DAT") == 0);
}

static void name_file(struct table_file *f, const char *name)
{
	*f = (struct table_file){ .bytes = NULL };
	strcpy(f->name, name);
	for (unsigned i = 0; i < 4; i++) {
		bool low = name[i] >= 'a' && name[i] <= 'z';

		f->signature[i] = (char)(low ? name[i] - 'a' + 'A' : name[i]);
	}
}

/* The whole file into a buffer of exactly its size. False, told, when it cannot be read or is past any table's size. */
static bool read_file(const struct tables *t, struct table_file *f)
{
	char path[4096];
	FILE *file;
	long size;
	bool fits;

	snprintf(path, sizeof(path), "%s/%s", t->dir, f->name);
	file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		return false;
	}
	fits = fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 && size <= (long)ACPI_TABLE_MAX &&
	       fseek(file, 0, SEEK_SET) == 0;
	f->have = fits ? (size_t)size : 0;
	f->bytes = malloc(f->have);
	if (!fits || (f->have > 0 && (f->bytes == NULL || fread(f->bytes, 1, f->have, file) != f->have))) {
		fprintf(stderr, "error: %s: cannot be read, or has over %u bytes\n", path, ACPI_TABLE_MAX);
		f->have = 0;
		fits = false;
	}
	fclose(file);
	return fits;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct table_file *)a)->name, ((const struct table_file *)b)->name);
}

static bool list(struct tables *t)
{
	DIR *dir = opendir(t->dir);

	if (dir == NULL) {
		fprintf(stderr, "error: %s: cannot be read as a folder, expected one with APIC.dat, SRAT.dat, ...\n",
			t->dir);
		return false;
	}
	for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
		if (!is_table_name(d->d_name)) {
			continue;
		}
		if (t->count == TABLES_MAX) {
			fprintf(stderr, "warning: %s: more than %u tables: the rest is left out\n", t->dir, TABLES_MAX);
			break;
		}
		name_file(&t->file[t->count++], d->d_name);
	}
	closedir(dir);
	qsort(t->file, t->count, sizeof(t->file[0]), by_name);
	if (t->count == 0) {
		fprintf(stderr, "error: %s: no table found, expected APIC.dat, SRAT.dat, ...\n", t->dir);
	}
	return t->count > 0;
}

bool tables_load(struct tables *t, const char *dir)
{
	*t = (struct tables){ .dir = dir };
	if (!list(t)) {
		return false;
	}
	for (unsigned i = 0; i < t->count; i++) {
		if (read_file(t, &t->file[i])) {
			check(t, &t->file[i]);
		} else {
			t->errors++;
		}
	}
	return true;
}

void tables_free(struct tables *t)
{
	for (unsigned i = 0; i < t->count; i++) {
		free(t->file[i].bytes);
	}
	t->count = 0;
}

const struct table_file *tables_find(const struct tables *t, const char *signature)
{
	for (unsigned i = 0; i < t->count; i++) {
		if (t->file[i].size > 0 && strcmp(t->file[i].signature, signature) == 0) {
			return &t->file[i];
		}
	}
	return NULL;
}

/* The id of the first cpu that can be started, or 0. */
static uint32_t first_cpu(const struct table_file *file)
{
	struct madt madt;
	struct madt_entry e;

	if (file == NULL || madt_open(&madt, file->bytes, file->size) != ERR_OK) {
		return 0;
	}
	while (madt_next(&madt, &e)) {
		if (e.kind == MADT_CPU && e.cpu.enabled && !madt_is_placeholder(&e.cpu)) {
			return e.cpu.apic_id;
		}
	}
	return 0;
}

void tables_topology(const struct tables *t, struct topology *out)
{
	const struct table_file *madt = tables_find(t, MADT_SIGNATURE);
	const struct table_file *srat = tables_find(t, SRAT_SIGNATURE);
	const struct table_file *slit = tables_find(t, SLIT_SIGNATURE);
	struct topology_tables in = {
		.madt = madt != NULL ? madt->bytes : NULL, .madt_size = madt != NULL ? madt->size : 0,
		.srat = srat != NULL ? srat->bytes : NULL, .srat_size = srat != NULL ? srat->size : 0,
		.slit = slit != NULL ? slit->bytes : NULL, .slit_size = slit != NULL ? slit->size : 0,
	};

	topology_build(out, &in, first_cpu(madt));
}
