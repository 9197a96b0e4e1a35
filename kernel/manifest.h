/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manifest: pools and VMs to make at boot, as a text that a person writes.
 *
 * Two passes. manifest_parse() takes the text apart into a plain struct and finds what is wrong with the text itself;
 * manifest_check() compares the result with the machine and the schedulers and fills in what follows from them (ops,
 * tunable values, cpus). Both report every error, and go on: what is right is built. The unit is the section: a pool
 * or VM with an error in it is not `usable`, whatever else it says, because one that runs otherwise than asked is worse
 * than one that does not run and says why. pool0 is always made; an error in its section gives it its defaults.
 *
 * Nothing is allocated: a struct manifest is about 200 KiB, is filled in place and must not be copied or moved
 * (its texts point into it).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/cpusetexpr.h"
#include "kernel/lib/cpuset.h"
#include "kernel/lib/format.h"
#include "sched/sched.h"

#define MANIFEST_POOL_MAX	64u	/* pool0 among them */
#define MANIFEST_VM_MAX		128u
#define MANIFEST_RUN_MAX	64u
#define MANIFEST_FILES_MAX	64u
#define MANIFEST_MODULE_MAX	8u	/* of one VM */
#define MANIFEST_ARGS_MAX	512u	/* bytes of a module's arguments with their NUL */
#define MANIFEST_TUNABLE_MAX	512u	/* of all sections */
#define MANIFEST_NAME_MAX	32u	/* bytes of a pool's or VM's name with its NUL */
#define MANIFEST_ARENA_BYTES	(64u * 1024u)
#define MANIFEST_KEY_MAX	48u	/* rows of the key table */

/* --- Errors ------------------------------------------------------------------------------------------------------ */

struct manifest_error {
	unsigned line, column;	/* from 1; columns count characters */
	bool warning;		/* nothing is lost but what it names */
	char words[256];
};

/* Where errors go, one at a time as they are found: of the text first, then of what it means. */
struct manifest_errors {
	void (*report)(void *context, const struct manifest_error *error);
	void *context;
	unsigned errors, warnings;	/* counted here */
};

/* `tarn.conf:12:9: unknown scheduler "foo", expected one of: null, rr`; a warning says so after the place. */
void manifest_error_print(const struct manifest_error *error, const char *file, struct text *to);

/* --- Keys: one table -------------------------------------------------------------------------------------------- */

enum manifest_section { MANIFEST_BOOT, MANIFEST_POOL, MANIFEST_VM, MANIFEST_SECTIONS };

enum manifest_type {
	MANIFEST_TEXT,		/* anything */
	MANIFEST_COMMAND,	/* a shell command, anything but empty */
	MANIFEST_NAME,		/* of a pool */
	MANIFEST_FILE,
	MANIFEST_MODULE,	/* a file's name, then what the guest is told with it */
	MANIFEST_FILE_LIST,	/* names with blanks or commas between */
	MANIFEST_CPUS,		/* kernel/cpusetexpr.h */
	MANIFEST_SCHED,
	MANIFEST_BOOL,
	MANIFEST_WORD,
	MANIFEST_NUMBER,
	MANIFEST_SIZE,
	MANIFEST_TUNABLE,	/* belongs to a policy; listed here so that it is known before that policy is there */
};

struct manifest_key {
	const char *name;
	enum manifest_section section;
	enum manifest_type type;
	const char *def;		/* as a person would write it; NULL: none */
	const char *help;
	bool built;			/* else only the default works, and anything else is a warning */
	bool repeatable;
	bool required;
	const char *const *words;	/* MANIFEST_WORD, ending in NULL */
	uint64_t min, max, multiple;	/* MANIFEST_NUMBER, MANIFEST_SIZE */
	size_t offset;			/* of the field in the section's struct */
};

extern const struct manifest_key manifest_keys[];
extern const unsigned manifest_key_count;

/* A row of the table, or NULL. */
const struct manifest_key *manifest_key_find(enum manifest_section section, const char *name);
/*
 * Is text a value for key? *number gets what BOOL, WORD, NUMBER and SIZE mean, 0 for the others; cpu sets and
 * schedulers are only looked at for being there.
 */
bool manifest_key_value(const struct manifest_key *key, const char *text, uint64_t *number);
/* What a value for key looks like, for messages. */
void manifest_key_form(const struct manifest_key *key, struct text *to);
/* The names of a section's keys, with ", " between. */
void manifest_key_names(enum manifest_section section, struct text *to);
bool manifest_name_ok(const char *name, size_t length);
/* One key as a line of help. */
void manifest_describe_key(const struct manifest_key *key, struct text *to);

/* --- What a manifest says --------------------------------------------------------------------------------------- */

/* A value and where it stands. text is never NULL; line 0: not given, this is the default. */
struct manifest_text {
	const char *text;
	unsigned line, column;
};

struct manifest_module {
	struct manifest_text file;
	const char *args;	/* never NULL */
};

struct manifest_number {
	unsigned value;
	unsigned line, column;
};

struct manifest_tunable {
	const char *key;
	unsigned key_column;
	struct manifest_text value;
};

enum manifest_granularity { MANIFEST_CPU, MANIFEST_CORE };
enum manifest_admission { MANIFEST_REFUSE, MANIFEST_WARN };
enum manifest_memory_policy { MANIFEST_STRICT, MANIFEST_PREFER };
enum manifest_action { MANIFEST_STOP, MANIFEST_RESTART, MANIFEST_DESTROY };

enum manifest_mitigations { MANIFEST_MITIGATE_AUTO, MANIFEST_MITIGATE_OFF };

struct manifest_boot {
	struct manifest_text default_sched;
	struct manifest_number housekeeping;	/* a cpu */
	bool numa_split;
	unsigned mitigations;		/* enum manifest_mitigations */
	unsigned file_count, run_count;
	struct manifest_text file[MANIFEST_FILES_MAX];
	struct manifest_text run[MANIFEST_RUN_MAX];	/* shell commands, in order */

	/* By manifest_check(). */
	const struct sched_ops *default_ops;	/* of pools that name none; the key's default where it names none there is */
};

struct manifest_pool {
	char name[MANIFEST_NAME_MAX];
	unsigned line, column;		/* of the section; line 0: pool0 without a section */
	bool usable;
	struct manifest_text sched;	/* empty: default-sched */
	struct manifest_text cpus;	/* empty: none; in pool0 all that no other pool names */
	unsigned granularity;		/* enum manifest_granularity */
	unsigned admission;		/* enum manifest_admission */
	bool lend;
	unsigned tunable_first, tunable_count;	/* in manifest.tunable */

	/* By manifest_check(). */
	const struct sched_ops *ops;
	struct sched_values values;	/* of scope SCHED_POOL; the others hold defaults */
	struct cpuset cpu_set;
};

struct manifest_vm {
	char name[MANIFEST_NAME_MAX];
	unsigned line, column;
	bool usable;
	struct manifest_text pool;
	struct manifest_number vcpus;
	uint64_t memory_bytes;
	struct manifest_text kernel, initrd;	/* initrd may be empty */
	unsigned module_count;
	struct manifest_module module[MANIFEST_MODULE_MAX];
	struct manifest_text cmdline;
	bool autostart;
	struct manifest_text affinity, soft_affinity;	/* empty: all of the pool */
	unsigned memory_policy;		/* enum manifest_memory_policy */
	bool memory_follows;
	unsigned on_poweroff, on_reboot, on_crash;	/* enum manifest_action */
	unsigned tunable_first, tunable_count;

	/* By manifest_check(). */
	unsigned pool_index;		/* in manifest.pool; MANIFEST_POOL_MAX: none */
	struct sched_values values;	/* of scopes SCHED_GROUP and SCHED_ENTITY, by the pool's policy */
	struct cpuset affinity_set;
	struct cpuset soft_set;		/* empty: not given */
};

struct manifest {
	struct manifest_boot boot;
	unsigned pool_count;		/* at least 1: pool[0] is pool0 */
	struct manifest_pool pool[MANIFEST_POOL_MAX];
	unsigned vm_count;
	struct manifest_vm vm[MANIFEST_VM_MAX];
	unsigned tunable_count;
	struct manifest_tunable tunable[MANIFEST_TUNABLE_MAX];
	size_t arena_used;
	char arena[MANIFEST_ARENA_BYTES];
};

/* What manifest_check() needs to know of the machine. */
struct manifest_facts {
	struct cpusetexpr_facts cpus;	/* is_free NULL at boot: then a cpu is free that no pool above names */
	/* Is that file there? NULL: not known, not checked. */
	bool (*has_file)(const void *context, const char *name);
	const void *context;		/* for has_file */
};

/* Fills m from text. Size 0 is a good manifest: pool0 of every cpu. */
void manifest_parse(struct manifest *m, const char *text, size_t size, struct manifest_errors *errors);
/* After manifest_parse(), once. */
void manifest_check(struct manifest *m, const struct manifest_facts *facts, struct manifest_errors *errors);
/*
 * Instead, for one VM that comes to a running machine: the caller has put the pools there are in m->pool (name, ops, cpu_set,
 * usable), all that the check looks at.
 */
void manifest_check_vm(struct manifest *m, struct manifest_vm *vm, const struct manifest_facts *facts,
		       struct manifest_errors *errors);

/* Adds the rows that pool's section has to t, which has room, and finishes it. False, with words: more than room, or not a row. */
bool manifest_pool_table(const struct manifest *m, const struct manifest_pool *pool, struct sched_table *t,
			 struct sched_reason *why);
/* Index of the pool of that name, or MANIFEST_POOL_MAX. */
unsigned manifest_pool_find(const struct manifest *m, const char *name);

/* For the passes: counts and reports. */
void manifest_report(struct manifest_errors *errors, bool warning, unsigned line, unsigned column, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
