/* SPDX-License-Identifier: BSD-2-Clause */
/* Every key of the manifest: the one table that parser, messages, help and docs read. */
#include "kernel/manifest.h"

#include "kernel/lib/manifest_files.h"
#include "kernel/lib/parse.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

#define NAME_FORM	"a name of at most 31 letters, digits and . _ -"

static const char *const granularities[] = { [MANIFEST_CPU] = "cpu", [MANIFEST_CORE] = "core", NULL };
static const char *const admissions[] = { [MANIFEST_REFUSE] = "refuse", [MANIFEST_WARN] = "warn", NULL };
static const char *const memory_policies[] = { [MANIFEST_STRICT] = "strict", [MANIFEST_PREFER] = "prefer", NULL };
static const char *const actions[] = {
	[MANIFEST_STOP] = "stop", [MANIFEST_RESTART] = "restart", [MANIFEST_DESTROY] = "destroy", NULL,
};

static const char *const mitigations[] = { [MANIFEST_MITIGATE_AUTO] = "auto", [MANIFEST_MITIGATE_OFF] = "off", NULL };

#define ROW(name_, section_, type_, ...) \
	{ .name = name_, .section = MANIFEST_##section_, .type = MANIFEST_##type_, __VA_ARGS__ }
#define IN(object, field)	.offset = offsetof(struct manifest_##object, field)

const struct manifest_key manifest_keys[] = {
	ROW("default-sched", BOOT, SCHED, .built = true, .def = "credit2", IN(boot, default_sched),
	    .help = "scheduler of pools that name none"),
	ROW("housekeeping", BOOT, NUMBER, .built = true, .def = "0", .max = CPU_MAX - 1, IN(boot, housekeeping),
	    .help = "the cpu that does console and housekeeping"),
	ROW("numa-split", BOOT, BOOL, .def = "no", IN(boot, numa_split),
	    .help = "a pool for each node, as the command pool numa-split makes them"),
	ROW("mitigations", BOOT, WORD, .built = true, .def = "auto", .words = mitigations, IN(boot, mitigations),
	    .help = "what the cpu needs against one VM learning of another through it, or nothing"),
	ROW("files", BOOT, FILE_LIST, .built = true, .help = "files of \\tarn\\ to keep for later commands"),
	ROW("run", BOOT, COMMAND, .built = true, .repeatable = true,
	    .help = "a shell command to run when the machine is up, in order"),

	ROW("sched", POOL, SCHED, .built = true, IN(pool, sched),
	    .help = "the pool's scheduler; default-sched if not given"),
	ROW("cpus", POOL, CPUS, .built = true, IN(pool, cpus),
	    .help = "the pool's cpus; pool0 has by default those that no other pool names"),
	ROW("granularity", POOL, WORD, .def = "cpu", .words = granularities, IN(pool, granularity),
	    .help = "what the scheduler hands out: single cpus or whole cores"),
	ROW("admission", POOL, WORD, .built = true, .def = "refuse", .words = admissions, IN(pool, admission),
	    .help = "what happens to a VM whose reservation does not fit"),
	ROW("lend", POOL, BOOL, .def = "no", IN(pool, lend), .help = "idle cpus may help other pools"),
	ROW("frame", POOL, TUNABLE, .help = "arinc653: length of the major frame"),
	ROW("window", POOL, TUNABLE, .repeatable = true, .help = "arinc653: SLOT VM.VCPU TIME"),

	ROW("pool", VM, NAME, .built = true, .def = "pool0", IN(vm, pool), .help = "the pool it runs in"),
	ROW("vcpus", VM, NUMBER, .built = true, .def = "1", .min = 1, .max = 64, IN(vm, vcpus), .help = "virtual processors"),
	ROW("memory", VM, SIZE, .built = true, .required = true, .min = MIB, .max = 64ul << 40, .multiple = 4096,
	    IN(vm, memory_bytes), .help = "RAM"),
	ROW("kernel", VM, FILE, .built = true, .required = true, IN(vm, kernel),
	    .help = "Linux bzImage, ELF with a PVH note or Multiboot image"),
	ROW("initrd", VM, FILE, .built = true, IN(vm, initrd), .help = "initial RAM disk"),
	ROW("module", VM, MODULE, .built = true, .repeatable = true, .help = "Multiboot or PVH module with its arguments"),
	ROW("cmdline", VM, TEXT, .built = true, IN(vm, cmdline), .help = "command line of the kernel"),
	ROW("autostart", VM, BOOL, .built = true, .def = "yes", IN(vm, autostart), .help = "start it at boot"),
	ROW("affinity", VM, CPUS, .built = true, IN(vm, affinity),
	    .help = "cpus it may run on; all of its pool if not given"),
	ROW("soft-affinity", VM, CPUS, .built = true, .def = "all", IN(vm, soft_affinity),
	    .help = "cpus it would rather run on"),
	ROW("memory-policy", VM, WORD, .built = true, .def = "strict", .words = memory_policies, IN(vm, memory_policy),
	    .help = "memory from the pool's nodes only, or from others when those are short"),
	ROW("memory-follows", VM, BOOL, .def = "no", IN(vm, memory_follows),
	    .help = "memory moves along when the VM moves to another pool"),
	ROW("on-poweroff", VM, WORD, .built = true, .def = "stop", .words = actions, IN(vm, on_poweroff),
	    .help = "what happens when the guest powers off"),
	ROW("on-reboot", VM, WORD, .built = true, .def = "restart", .words = actions, IN(vm, on_reboot),
	    .help = "what happens when the guest reboots"),
	ROW("on-crash", VM, WORD, .built = true, .def = "stop", .words = actions, IN(vm, on_crash),
	    .help = "what happens after a triple fault or a failed entry"),
	ROW("weight", VM, TUNABLE, .help = "share of cpu time beside the pool's other VMs"),
	ROW("cap", VM, TUNABLE, .help = "most cpu time, in percent of a cpu"),
	ROW("period", VM, TUNABLE, .help = "real-time reservation: budget in each period"),
	ROW("budget", VM, TUNABLE, .help = "real-time reservation: budget in each period"),
	ROW("extratime", VM, TUNABLE, .help = "may use time that is left over"),
};

const unsigned manifest_key_count = ARRAY_SIZE(manifest_keys);
_Static_assert(ARRAY_SIZE(manifest_keys) <= MANIFEST_KEY_MAX, "parser's table of keys seen");

const struct manifest_key *manifest_key_find(enum manifest_section section, const char *name)
{
	for (unsigned i = 0; i < manifest_key_count; i++) {
		if (manifest_keys[i].section == section && str_eq(manifest_keys[i].name, name)) {
			return &manifest_keys[i];
		}
	}
	return NULL;
}

bool manifest_name_ok(const char *name, size_t length)
{
	return length > 0 && length < MANIFEST_NAME_MAX && name[0] != '-' && name[0] != '.' && str_is_name(name, length, "._-");
}

static bool number_value(const struct manifest_key *key, const char *text, uint64_t *number)
{
	enum err e = key->type == MANIFEST_SIZE ? parse_size(text, number) : parse_u64(text, number);

	return e == ERR_OK && *number >= key->min && *number <= key->max &&
	       (key->multiple == 0 || *number % key->multiple == 0);
}

static bool module_value(const char *text)
{
	size_t name = 0;

	while (text[name] != '\0' && !is_blank(text[name])) {
		name++;
	}
	return manifest_file_ok(text, name) && strlen(text + name) <= MANIFEST_ARGS_MAX;
}

bool manifest_key_value(const struct manifest_key *key, const char *text, uint64_t *number)
{
	unsigned index = 0;
	bool yes = false, good = true;

	*number = 0;
	switch (key->type) {
	case MANIFEST_TEXT:
	case MANIFEST_TUNABLE:
	case MANIFEST_FILE_LIST:
		break;
	case MANIFEST_COMMAND:
	case MANIFEST_CPUS:
	case MANIFEST_SCHED:
		good = text[0] != '\0';
		break;
	case MANIFEST_NAME:
		good = manifest_name_ok(text, strlen(text));
		break;
	case MANIFEST_FILE:
		good = manifest_file_ok(text, strlen(text));
		break;
	case MANIFEST_MODULE:
		good = module_value(text);
		break;
	case MANIFEST_BOOL:
		good = parse_bool(text, &yes) == ERR_OK;
		*number = yes;
		break;
	case MANIFEST_WORD:
		good = parse_word(text, key->words, &index) == ERR_OK;
		*number = index;
		break;
	case MANIFEST_NUMBER:
	case MANIFEST_SIZE:
		good = number_value(key, text, number);
		break;
	}
	return good;
}

static void put_words(const char *const *words, struct text *to)
{
	text_puts(to, "one of: ");
	for (unsigned i = 0; words[i] != NULL; i++) {
		text_printf(to, "%s%s", i > 0 ? ", " : "", words[i]);
	}
}

static void put_size_form(const struct manifest_key *key, struct text *to)
{
	text_puts(to, PARSE_SIZE_FORM ", at least ");
	text_bytes(to, key->min);
	text_puts(to, ", a multiple of ");
	text_bytes(to, key->multiple);
}

void manifest_key_form(const struct manifest_key *key, struct text *to)
{
	static const char *const forms[] = {
		[MANIFEST_TEXT] = "text", [MANIFEST_COMMAND] = "a shell command", [MANIFEST_NAME] = NAME_FORM,
		[MANIFEST_FILE] = MANIFEST_FILE_FORM,
		[MANIFEST_MODULE] = "a file name, perhaps with a blank and at most 511 bytes of arguments after it",
		 [MANIFEST_FILE_LIST] = "file names with blanks between",
		[MANIFEST_CPUS] = "a cpu set such as 0-3,^1 or node:1", [MANIFEST_SCHED] = "a scheduler",
		[MANIFEST_BOOL] = PARSE_BOOL_FORM, [MANIFEST_TUNABLE] = "a value as its scheduler takes it",
	};

	switch (key->type) {
	case MANIFEST_WORD:
		put_words(key->words, to);
		break;
	case MANIFEST_NUMBER:
		text_printf(to, "a number from %lu to %lu", key->min, key->max);
		break;
	case MANIFEST_SIZE:
		put_size_form(key, to);
		break;
	default:
		text_puts(to, forms[key->type]);
		break;
	}
}

void manifest_key_names(enum manifest_section section, struct text *to)
{
	const char *between = "";

	for (unsigned i = 0; i < manifest_key_count; i++) {
		if (manifest_keys[i].section == section && manifest_keys[i].type != MANIFEST_TUNABLE) {
			text_printf(to, "%s%s", between, manifest_keys[i].name);
			between = ", ";
		}
	}
}

void manifest_describe_key(const struct manifest_key *key, struct text *to)
{
	text_printf(to, "%-15s %s: ", key->name, key->help);
	manifest_key_form(key, to);
	if (key->def != NULL) {
		text_printf(to, " (default %s)", key->def);
	}
	if (key->required) {
		text_puts(to, ", must be given");
	}
	if (key->repeatable) {
		text_puts(to, ", may repeat");
	}
	if (!key->built) {
		text_puts(to, key->type == MANIFEST_TUNABLE ? ", needs a scheduler that has it" : ", not built yet");
	}
}
