/* SPDX-License-Identifier: BSD-2-Clause */
/* The manifest's first pass: text to struct, every error of the text itself reported. */
#include "kernel/manifest.h"

#include "kernel/lib/ini.h"
#include "kernel/lib/manifest_files.h"
#include "kernel/lib/parse.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

#define SHOWN_MAX	40	/* characters of what was found that a message repeats */

struct parser {
	struct manifest *m;
	struct manifest_errors *errors;
	struct ini_line line;
	/* The section we are in. MANIFEST_SECTIONS: none, or one passed over because of an error in its head. */
	enum manifest_section section;
	bool in_any;
	unsigned boot_line;		/* of [boot], 0: not seen */
	void *object;			/* what the keys' offsets are in */
	bool *usable;			/* of the pool or VM, or NULL */
	unsigned *tunable_count;	/* of the pool or VM, or NULL */
	unsigned tunable_first;
	unsigned seen[MANIFEST_KEY_MAX];	/* line of each key in this section, 0: not yet */
};

/* --- Reports ------------------------------------------------------------------------------------------------------ */

static void vreport(struct manifest_errors *errors, struct manifest_error *e, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

static void vreport(struct manifest_errors *errors, struct manifest_error *e, const char *fmt, va_list args)
{
	struct text t = text_make(e->words, sizeof(e->words));

	text_vprintf(&t, fmt, args);
	*(e->warning ? &errors->warnings : &errors->errors) += 1;
	errors->report(errors->context, e);
}

void manifest_report(struct manifest_errors *errors, bool warning, unsigned line, unsigned column, const char *fmt, ...)
{
	struct manifest_error e = { .line = line, .column = column, .warning = warning };
	va_list args;

	va_start(args, fmt);
	vreport(errors, &e, fmt, args);
	va_end(args);
}

void manifest_error_print(const struct manifest_error *error, const char *file, struct text *to)
{
	text_printf(to, "%s:%u:%u: %s%s", file, error->line, error->column, error->warning ? "warning: " : "",
		    error->words);
}

/* An error in the line in hand: its section will not be built. */
static void fault(struct parser *p, unsigned column, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void fault(struct parser *p, unsigned column, const char *fmt, ...)
{
	struct manifest_error e = { .line = p->line.number, .column = column };
	va_list args;

	va_start(args, fmt);
	vreport(p->errors, &e, fmt, args);
	va_end(args);
	if (p->usable != NULL) {
		*p->usable = false;
	}
}

static int shown(const struct ini_span *span)
{
	return (int)MIN(span->len, (size_t)SHOWN_MAX);
}

static void fault_value(struct parser *p, const struct manifest_key *key, const struct ini_span *found)
{
	char form[128];
	struct text t = text_make(form, sizeof(form));

	manifest_key_form(key, &t);
	if (found->len == 0) {
		fault(p, found->column, "%s: found nothing, expected %s", key->name, form);
	} else {
		fault(p, found->column, "%s: found \"%.*s\", expected %s", key->name, shown(found), found->at, form);
	}
}

/* --- Values ------------------------------------------------------------------------------------------------------- */

/* A terminated copy that lives as long as the manifest, or NULL, reported. */
static const char *keep(struct parser *p, const struct ini_span *span)
{
	struct manifest *m = p->m;
	char *copy = m->arena + m->arena_used;

	if (span->len >= sizeof(m->arena) - m->arena_used) {
		fault(p, span->column, "found a manifest of more than %u bytes of values, expected a shorter one",
		      MANIFEST_ARENA_BYTES);
		return NULL;
	}
	memcpy(copy, span->at, span->len);
	copy[span->len] = '\0';
	m->arena_used += span->len + 1;
	return copy;
}

/* Takes away the quotes around all of it; quotes inside are the guest's. */
static void unquote(struct ini_span *span)
{
	if (span->len < 2 || span->at[0] != '"' || span->at[span->len - 1] != '"') {
		return;
	}
	for (size_t i = 1; i + 1 < span->len; i++) {
		if (span->at[i] == '"') {
			return;
		}
	}
	span->at++;
	span->len -= 2;
}

/* NAME, NAME ARGUMENTS or NAME "ARGUMENTS"; that the name is one was checked. */
static void take_module(struct parser *p, struct manifest_vm *vm)
{
	struct ini_span name = p->line.body, args = name;
	const char *end = name.at + name.len;

	for (name.len = 0; name.at + name.len < end && !is_blank(name.at[name.len]); name.len++) {
	}
	for (args.at = name.at + name.len; args.at < end && is_blank(*args.at); args.at++) {
	}
	args.len = (size_t)(end - args.at);
	unquote(&args);
	if (vm->module_count == MANIFEST_MODULE_MAX) {
		fault(p, name.column, "module: found one too many, expected at most %u", MANIFEST_MODULE_MAX);
		return;
	}
	struct manifest_module m = { { keep(p, &name), p->line.number, name.column }, keep(p, &args) };

	if (m.file.text != NULL && m.args != NULL) {
		vm->module[vm->module_count++] = m;
	}
}

static void put_field(const struct manifest_key *key, void *object, uint64_t number, const struct manifest_text *value)
{
	void *field = (char *)object + key->offset;

	switch (key->type) {
	case MANIFEST_BOOL:
		*(bool *)field = number != 0;
		break;
	case MANIFEST_WORD:
		*(unsigned *)field = (unsigned)number;
		break;
	case MANIFEST_NUMBER:
		*(struct manifest_number *)field =
			(struct manifest_number){ (unsigned)number, value->line, value->column };
		break;
	case MANIFEST_SIZE:
		*(uint64_t *)field = number;
		break;
	default:
		*(struct manifest_text *)field = *value;
		break;
	}
}

/* Keys with a field of their own; the others grow a list. */
static bool has_field(const struct manifest_key *key)
{
	return key->type != MANIFEST_TUNABLE && key->type != MANIFEST_COMMAND && key->type != MANIFEST_FILE_LIST &&
	       !key->repeatable;
}

static void put_defaults(enum manifest_section section, void *object)
{
	for (unsigned i = 0; i < manifest_key_count; i++) {
		const struct manifest_key *key = &manifest_keys[i];
		struct manifest_text none = { .text = key->def != NULL ? key->def : "" };
		uint64_t number;

		if (key->section != section || !has_field(key)) {
			continue;
		}
		if (key->def == NULL || !manifest_key_value(key, key->def, &number)) {
			number = 0;
		}
		put_field(key, object, number, &none);
	}
}

static void list_add(struct parser *p, struct manifest_text *list, unsigned *count, unsigned max,
		     const struct manifest_text *value)
{
	if (*count == max) {
		fault(p, value->column, "%.*s: found one too many, expected at most %u", shown(&p->line.head),
		      p->line.head.at, max);
		return;
	}
	list[(*count)++] = *value;
}

static void take_files(struct parser *p, const struct manifest_key *key)
{
	struct manifest_boot *boot = &p->m->boot;
	struct ini_span all = p->line.body, name;
	size_t at = 0;

	while (at < all.len) {
		if (manifest_file_separates(all.at[at])) {
			at++;
			continue;
		}
		/* What a file name may hold is ASCII: up to the first fault, columns are bytes. */
		name = (struct ini_span){ all.at + at, 0, all.column + (unsigned)at };
		for (; at < all.len && !manifest_file_separates(all.at[at]); at++) {
			name.len++;
		}
		if (!manifest_file_ok(name.at, name.len)) {
			fault(p, name.column, "%s: found \"%.*s\", expected " MANIFEST_FILE_FORM, key->name,
			      shown(&name), name.at);
			continue;
		}
		struct manifest_text value = { keep(p, &name), p->line.number, name.column };

		if (value.text != NULL) {
			list_add(p, boot->file, &boot->file_count, MANIFEST_FILES_MAX, &value);
		}
	}
}

static bool is_default(const struct manifest_key *key, const char *text, uint64_t number)
{
	uint64_t def;

	if (key->def == NULL) {
		return false;
	}
	if (key->words == NULL && key->type != MANIFEST_BOOL && key->type != MANIFEST_NUMBER) {
		return str_eq(text, key->def);
	}
	return manifest_key_value(key, key->def, &def) && def == number;
}

static void take_value(struct parser *p, const struct manifest_key *key, const char *text)
{
	struct manifest_text value = { text, p->line.number, p->line.body.column };
	struct manifest_boot *boot = &p->m->boot;
	uint64_t number;

	if (!manifest_key_value(key, text, &number)) {
		fault_value(p, key, &p->line.body);
		return;
	}
	if (!key->built && !is_default(key, text, number)) {
		manifest_report(p->errors, true, p->line.number, p->line.head.column, "key %s: not built yet, ignored",
				key->name);
		return;
	}
	if (key->type == MANIFEST_FILE_LIST) {
		take_files(p, key);
	} else if (key->type == MANIFEST_COMMAND) {
		list_add(p, boot->run, &boot->run_count, MANIFEST_RUN_MAX, &value);
	} else if (key->type == MANIFEST_MODULE) {
		take_module(p, p->object);
	} else {
		put_field(key, p->object, number, &value);
	}
}

/* --- Entries ------------------------------------------------------------------------------------------------------ */

static void fault_duplicate(struct parser *p, const char *name, unsigned first_line)
{
	fault(p, p->line.head.column, "found key \"%.*s\" again, expected it once: first given in line %u", SHOWN_MAX,
	      name, first_line);
}

/* A key that is not ours belongs, perhaps, to the scheduler: manifest_check() will see. */
static void take_tunable(struct parser *p, const char *name, const char *text, bool repeatable)
{
	struct manifest *m = p->m;
	struct manifest_tunable *t = &m->tunable[m->tunable_count];

	for (unsigned i = 0; !repeatable && i < *p->tunable_count; i++) {
		const struct manifest_tunable *other = &m->tunable[p->tunable_first + i];

		if (str_eq(other->key, name)) {
			fault_duplicate(p, name, other->value.line);
			return;
		}
	}
	if (m->tunable_count == MANIFEST_TUNABLE_MAX) {
		fault(p, p->line.head.column, "found one too many scheduler values, expected at most %u",
		      MANIFEST_TUNABLE_MAX);
		return;
	}
	*t = (struct manifest_tunable){ name, p->line.head.column, { text, p->line.number, p->line.body.column } };
	m->tunable_count++;
	*p->tunable_count += 1;
}

static void fault_unknown(struct parser *p, const char *name)
{
	char names[160];
	struct text t = text_make(names, sizeof(names));

	manifest_key_names(p->section, &t);
	fault(p, p->line.head.column, "unknown key \"%.*s\", expected one of: %s", SHOWN_MAX, name, names);
}

/* A key of ours, or the scheduler's; its name is kept only where it is not in the table. */
static const struct manifest_key *find_key(const struct parser *p)
{
	for (unsigned i = 0; i < manifest_key_count; i++) {
		if (manifest_keys[i].section == p->section && ini_span_is(&p->line.head, manifest_keys[i].name)) {
			return &manifest_keys[i];
		}
	}
	return NULL;
}

static void take_entry(struct parser *p)
{
	const struct manifest_key *key;
	const char *name, *text;

	if (!p->in_any) {
		fault(p, p->line.head.column,
		      "found key \"%.*s\" before any section, expected [boot], [pool NAME] or [vm NAME] first",
		      shown(&p->line.head), p->line.head.at);
		return;
	}
	if (p->section == MANIFEST_SECTIONS) {
		return;
	}
	key = find_key(p);
	name = key != NULL ? key->name : keep(p, &p->line.head);
	text = name != NULL ? keep(p, &p->line.body) : NULL;
	if (text == NULL) {
		return;
	}
	if (key == NULL && p->section == MANIFEST_BOOT) {
		fault_unknown(p, name);
		return;
	}
	if (key == NULL || key->type == MANIFEST_TUNABLE) {
		take_tunable(p, name, text, key != NULL && key->repeatable);
		return;
	}
	if (p->seen[key - manifest_keys] != 0 && !key->repeatable) {
		fault_duplicate(p, name, p->seen[key - manifest_keys]);
		return;
	}
	p->seen[key - manifest_keys] = p->line.number;
	take_value(p, key, text);
}

/* --- Sections ----------------------------------------------------------------------------------------------------- */

unsigned manifest_pool_find(const struct manifest *m, const char *name)
{
	for (unsigned i = 0; i < m->pool_count; i++) {
		if (str_eq(m->pool[i].name, name)) {
			return i;
		}
	}
	return MANIFEST_POOL_MAX;
}

static unsigned vm_find(const struct manifest *m, const char *name)
{
	unsigned i = 0;

	while (i < m->vm_count && !str_eq(m->vm[i].name, name)) {
		i++;
	}
	return i;
}

static void enter(struct parser *p, enum manifest_section section, void *object, bool *usable, unsigned *count)
{
	p->section = section;
	p->object = object;
	p->usable = usable;
	p->tunable_count = count;
	p->tunable_first = p->m->tunable_count;
}

static void fault_section(struct parser *p, unsigned first_line)
{
	fault(p, p->line.head.column, "found section [%.*s%s%.*s] again, expected it once: first in line %u",
	      shown(&p->line.head), p->line.head.at, p->line.body.len > 0 ? " " : "", shown(&p->line.body),
	      p->line.body.at, first_line);
}

static void enter_pool(struct parser *p, const char *name)
{
	struct manifest *m = p->m;
	unsigned i = manifest_pool_find(m, name);
	struct manifest_pool *pool = &m->pool[i];

	if (i != MANIFEST_POOL_MAX && pool->line != 0) {
		fault_section(p, pool->line);
		return;
	}
	if (i == MANIFEST_POOL_MAX) {
		if (m->pool_count == MANIFEST_POOL_MAX) {
			fault(p, p->line.head.column, "found one pool too many, expected at most %u",
			      MANIFEST_POOL_MAX);
			return;
		}
		pool = &m->pool[m->pool_count++];
		str_copy(pool->name, sizeof(pool->name), name);
		put_defaults(MANIFEST_POOL, pool);
	}
	pool->line = p->line.number;
	pool->column = p->line.head.column;
	pool->usable = true;
	pool->tunable_first = m->tunable_count;
	enter(p, MANIFEST_POOL, pool, &pool->usable, &pool->tunable_count);
}

static void enter_vm(struct parser *p, const char *name)
{
	struct manifest *m = p->m;
	unsigned i = vm_find(m, name);
	struct manifest_vm *vm = &m->vm[i];

	if (i < m->vm_count) {
		fault_section(p, vm->line);
		return;
	}
	if (m->vm_count == MANIFEST_VM_MAX) {
		fault(p, p->line.head.column, "found one VM too many, expected at most %u", MANIFEST_VM_MAX);
		return;
	}
	m->vm_count++;
	str_copy(vm->name, sizeof(vm->name), name);
	put_defaults(MANIFEST_VM, vm);
	vm->line = p->line.number;
	vm->column = p->line.head.column;
	vm->usable = true;
	vm->pool_index = MANIFEST_POOL_MAX;
	vm->tunable_first = m->tunable_count;
	enter(p, MANIFEST_VM, vm, &vm->usable, &vm->tunable_count);
}

static void enter_boot(struct parser *p)
{
	if (p->line.body.len > 0) {
		fault(p, p->line.body.column, "found \"%.*s\", expected [boot] without a name", shown(&p->line.body),
		      p->line.body.at);
	} else if (p->boot_line != 0) {
		fault_section(p, p->boot_line);
	} else {
		p->boot_line = p->line.number;
		enter(p, MANIFEST_BOOT, &p->m->boot, NULL, NULL);
	}
}

/* At the end of a section: what had to be given and was not. */
static void leave(struct parser *p)
{
	const struct manifest_vm *vm = p->object;
	char form[128];
	struct text t;

	for (unsigned i = 0; p->section == MANIFEST_VM && i < manifest_key_count; i++) {
		const struct manifest_key *key = &manifest_keys[i];

		if (key->section == MANIFEST_VM && key->required && p->seen[i] == 0) {
			t = text_make(form, sizeof(form));
			manifest_key_form(key, &t);
			manifest_report(p->errors, false, vm->line, vm->column,
					"vm %s: found no key \"%s\", expected %s = %s", vm->name, key->name,
					key->name, form);
			*p->usable = false;
		}
	}
	enter(p, MANIFEST_SECTIONS, NULL, NULL, NULL);
	memset(p->seen, 0, sizeof(p->seen));
}

static void take_section(struct parser *p)
{
	char name[MANIFEST_NAME_MAX];
	const struct ini_span *head = &p->line.head, *body = &p->line.body;

	/* Until the head is found good, what follows belongs nowhere. */
	leave(p);
	p->in_any = true;
	if (ini_span_is(head, "boot")) {
		enter_boot(p);
		return;
	}
	if (!ini_span_is(head, "pool") && !ini_span_is(head, "vm")) {
		fault(p, head->column, "unknown section \"%.*s\", expected one of: boot, pool, vm", shown(head),
		      head->at);
		return;
	}
	if (!manifest_name_ok(body->at, body->len)) {
		fault(p, body->column, "found %s%.*s%s, expected a name of at most 31 letters, digits and . _ -",
		      body->len > 0 ? "\"" : "no name", shown(body), body->at, body->len > 0 ? "\"" : "");
		return;
	}
	memcpy(name, body->at, body->len);
	name[body->len] = '\0';
	if (ini_span_is(head, "pool")) {
		enter_pool(p, name);
	} else {
		enter_vm(p, name);
	}
}

static void take_bad(struct parser *p)
{
	const struct ini_span *found = &p->line.head;
	enum ini_fault f = p->line.fault;

	if (p->line.opens) {
		leave(p);
		p->in_any = true;
	}
	if (f == INI_CONTROL) {
		fault(p, found->column, "found a control character (0x%02x), expected text",
		      (unsigned)(unsigned char)*found->at);
	} else if (found->len > 0) {
		fault(p, found->column, "found \"%.*s\", %s", shown(found), found->at, ini_fault_words(f));
	} else {
		fault(p, found->column, "%s", ini_fault_words(f));
	}
}

void manifest_parse(struct manifest *m, const char *text, size_t size, struct manifest_errors *errors)
{
	struct parser p = { .m = m, .errors = errors, .section = MANIFEST_SECTIONS };
	struct ini ini = ini_make(text, size);

	memset(m, 0, sizeof(*m));
	put_defaults(MANIFEST_BOOT, &m->boot);
	m->pool_count = 1;
	str_copy(m->pool[0].name, sizeof(m->pool[0].name), "pool0");
	put_defaults(MANIFEST_POOL, &m->pool[0]);
	m->pool[0].usable = true;
	while (ini_next(&ini, &p.line)) {
		switch (p.line.kind) {
		case INI_SECTION:
			take_section(&p);
			break;
		case INI_ENTRY:
			take_entry(&p);
			break;
		case INI_BAD:
			take_bad(&p);
			break;
		}
	}
	leave(&p);
}
