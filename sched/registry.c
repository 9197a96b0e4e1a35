/* SPDX-License-Identifier: BSD-2-Clause */
/* The policies that are linked in, and their tunables as text: found, parsed with range, printed. */
#include "sched/sched.h"

#include "kernel/lib/parse.h"
#include "kernel/lib/string.h"

extern const struct sched_ops __start_sched_policies[], __stop_sched_policies[];

unsigned sched_policy_count(void)
{
	return (unsigned)(__stop_sched_policies - __start_sched_policies);
}

const struct sched_ops *sched_policy_at(unsigned i)
{
	return i < sched_policy_count() ? &__start_sched_policies[i] : NULL;
}

const struct sched_ops *sched_policy_find(const char *name)
{
	for (unsigned i = 0; i < sched_policy_count(); i++) {
		if (str_eq(sched_policy_at(i)->name, name)) {
			return sched_policy_at(i);
		}
	}
	return NULL;
}

const struct sched_tunable *sched_tunable_find(const struct sched_ops *ops, const char *name, unsigned *index)
{
	for (unsigned i = 0; i < ops->tunable_count; i++) {
		const char *also = ops->tunables[i].also;

		if (str_eq(ops->tunables[i].name, name) || (also != NULL && str_eq(also, name))) {
			*index = i;
			return &ops->tunables[i];
		}
	}
	return NULL;
}

bool sched_tunable_known(const char *name, bool of_pool)
{
	unsigned index;

	for (unsigned i = 0; i < sched_policy_count(); i++) {
		const struct sched_tunable *t = sched_tunable_find(sched_policy_at(i), name, &index);

		if (t != NULL && (t->scope == SCHED_POOL) == of_pool) {
			return true;
		}
	}
	return false;
}

void sched_values_default(const struct sched_ops *ops, struct sched_values *values)
{
	*values = (struct sched_values){ 0 };
	for (unsigned i = 0; i < ops->tunable_count; i++) {
		values->v[i] = ops->tunables[i].def;
	}
}

enum err sched_refuse(enum err e, struct sched_reason *why, const char *fmt, ...)
{
	struct text t = text_make(why->words, sizeof(why->words));
	va_list args;

	va_start(args, fmt);
	text_vprintf(&t, fmt, args);
	va_end(args);
	return e;
}

/* Digits with an optional minus; *rest is what follows. False: no digit, or more than an int64_t holds. */
static bool take_number(const char *text, int64_t *value, const char **rest)
{
	bool negative = *text == '-';
	const char *at = text + negative;
	int64_t v = 0;

	if (*at < '0' || *at > '9') {
		return false;
	}
	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *at - '0', &v)) {
			return false;
		}
	}
	*value = negative ? -v : v;
	*rest = at;
	return true;
}

static enum err parse_int(const struct sched_tunable *t, const char *text, int64_t *value, struct sched_reason *why)
{
	const char *rest;

	if (!take_number(text, value, &rest) || !(*rest == '\0' || (t->unit != NULL && str_eq(rest, t->unit)))) {
		return sched_refuse(ERR_INVAL, why, "%s: found \"%s\", expected a whole number", t->name, text);
	}
	return ERR_OK;
}

static enum err parse_ns(const struct sched_tunable *t, const char *text, int64_t *value, struct sched_reason *why)
{
	uint64_t ns;

	if (parse_time(text, &ns) == ERR_OK && ns <= INT64_MAX) {
		*value = (int64_t)ns;
		return ERR_OK;
	}
	return sched_refuse(ERR_INVAL, why, "%s: found \"%s\", expected a time such as 500us, 10ms or 1s", t->name, text);
}

static enum err parse_yes(const struct sched_tunable *t, const char *text, int64_t *value, struct sched_reason *why)
{
	bool yes;

	if (parse_bool(text, &yes) != ERR_OK) {
		return sched_refuse(ERR_INVAL, why, "%s: found \"%s\", expected yes or no", t->name, text);
	}
	*value = yes;
	return ERR_OK;
}

static enum err parse_enum(const struct sched_tunable *t, const char *text, int64_t *value, struct sched_reason *why)
{
	struct text to;

	for (int64_t i = 0; t->words[i] != NULL; i++) {
		if (str_eq(text, t->words[i])) {
			*value = i;
			return ERR_OK;
		}
	}
	to = text_make(why->words, sizeof(why->words));
	text_printf(&to, "%s: found \"%s\", expected one of", t->name, text);
	for (unsigned i = 0; t->words[i] != NULL; i++) {
		text_printf(&to, " %s", t->words[i]);
	}
	return ERR_INVAL;
}

static enum err check_range(const struct sched_tunable *t, int64_t value, struct sched_reason *why)
{
	struct text to;

	if (value >= t->min && value <= t->max) {
		return ERR_OK;
	}
	to = text_make(why->words, sizeof(why->words));
	text_printf(&to, "%s: found ", t->name);
	sched_value_print(t, value, &to);
	text_puts(&to, ", expected ");
	sched_value_print(t, t->min, &to);
	text_puts(&to, " to ");
	sched_value_print(t, t->max, &to);
	return ERR_RANGE;
}

/* --- Tables. */

static bool is_gap(char c)
{
	return c == ' ' || c == '\t' || c == ',';
}

/* Copies the next word of *text, which ends at a gap, ; or the end. False: there is none, or it is too long. */
static bool take_word(const char **text, char *word, size_t size)
{
	size_t len = 0;

	while (is_gap(**text)) {
		++*text;
	}
	while (**text != '\0' && **text != ';' && !is_gap(**text) && len + 1 < size) {
		word[len++] = *(*text)++;
	}
	word[len] = '\0';
	return len > 0 && (**text == '\0' || **text == ';' || is_gap(**text));
}

static bool parse_index(const char *word, unsigned *value)
{
	const char *rest;
	int64_t v;

	if (!take_number(word, &v, &rest) || *rest != '\0' || v < 0 || v >= (int64_t)CPU_MAX) {
		return false;
	}
	*value = (unsigned)v;
	return true;
}

/* "VM.VCPU", where the VM's name may have dots too, or "idle". */
static bool parse_who(char *word, struct sched_row *row)
{
	size_t dot = strlen(word);

	if (str_eq(word, "idle")) {
		return true;
	}
	while (dot > 0 && word[dot] != '.') {
		dot--;
	}
	if (dot == 0 || dot >= sizeof(row->group) || !parse_index(word + dot + 1, &row->number)) {
		return false;
	}
	memcpy(row->group, word, dot);
	return true;
}

static enum err parse_row(const struct sched_tunable *t, const char **text, struct sched_row *row, struct sched_reason *why)
{
	char slot[16], who[48], length[24], more[2];
	const char *from = *text;
	int64_t ns = 0;

	*row = (struct sched_row){ 0 };
	if (!take_word(text, slot, sizeof(slot)) || !take_word(text, who, sizeof(who)) ||
	    !take_word(text, length, sizeof(length)) || take_word(text, more, sizeof(more)) ||
	    !parse_index(slot, &row->slot) || !parse_who(who, row)) {
		return sched_refuse(ERR_INVAL, why, "%s: found \"%.60s\", expected " SCHED_ROW_FORM, t->name, from);
	}
	if (parse_ns(t, length, &ns, why) != ERR_OK) {
		return ERR_INVAL;
	}
	row->length_ns = (uint64_t)ns;
	return check_range(t, ns, why);
}

static enum err parse_rows(const struct sched_tunable *t, const char *text, struct sched_table *to, struct sched_reason *why)
{
	while (*text != '\0') {
		struct sched_row row;
		enum err e = parse_row(t, &text, &row, why);

		if (e != ERR_OK) {
			return e;
		}
		if (to != NULL && to->count == to->room) {
			return sched_refuse(ERR_LIMIT, why, "%s: more than %u rows", t->name, to->room);
		}
		if (to != NULL) {
			to->row[to->count++] = row;
		}
		text += *text == ';';
	}
	return ERR_OK;
}

enum err sched_table_add(const struct sched_tunable *list, struct sched_table *t, const char *text, struct sched_reason *why)
{
	return parse_rows(list, text, t, why);
}

void sched_table_finish(struct sched_table *t)
{
	for (unsigned i = 1; i < t->count; i++) {
		struct sched_row row = t->row[i];
		unsigned at = i;

		for (; at > 0 && t->row[at - 1].slot > row.slot; at--) {
			t->row[at] = t->row[at - 1];
		}
		t->row[at] = row;
	}
	for (unsigned i = 1; i < t->count; i++) {
		const struct sched_row *before = &t->row[i - 1];

		t->row[i].start_ns = before->slot == t->row[i].slot ? before->start_ns + before->length_ns : 0;
	}
}

void sched_row_print(const struct sched_row *row, struct text *to)
{
	text_printf(to, "%u ", row->slot);
	if (row->group[0] == '\0') {
		text_puts(to, "idle ");
	} else {
		text_printf(to, "%s.%u ", row->group, row->number);
	}
	text_ns(to, row->length_ns);
}

const struct sched_tunable *sched_list_of(const struct sched_ops *ops)
{
	for (unsigned i = 0; i < ops->tunable_count; i++) {
		if (ops->tunables[i].type == SCHED_LIST) {
			return &ops->tunables[i];
		}
	}
	return NULL;
}

enum err sched_value_parse(const struct sched_tunable *t, const char *text, int64_t *value, struct sched_reason *why)
{
	int64_t v = 0;
	enum err e = ERR_NOTSUP;

	switch (t->type) {
	case SCHED_INT:
		e = parse_int(t, text, &v, why);
		break;
	case SCHED_TIME:
		e = parse_ns(t, text, &v, why);
		break;
	case SCHED_BOOL:
		e = parse_yes(t, text, &v, why);
		break;
	case SCHED_ENUM:
		e = parse_enum(t, text, &v, why);
		break;
	case SCHED_LIST:
		e = parse_rows(t, text, NULL, why);	/* only looked at: rows are kept in a table */
		break;
	}
	if (e == ERR_OK && (t->type == SCHED_INT || t->type == SCHED_TIME)) {
		e = check_range(t, v, why);
	}
	if (e == ERR_OK) {
		*value = v;
	}
	return e;
}

void sched_value_print(const struct sched_tunable *t, int64_t value, struct text *to)
{
	switch (t->type) {
	case SCHED_LIST:		/* of a row: how long it is */
	case SCHED_TIME:
		if (value < 0) {
			text_putc(to, '-');
		}
		text_ns(to, value < 0 ? 0 - (unsigned long)value : (unsigned long)value);
		break;
	case SCHED_BOOL:
		text_puts(to, value != 0 ? "yes" : "no");
		break;
	case SCHED_ENUM:
		text_puts(to, value >= t->min && value <= t->max ? t->words[value] : "?");
		break;
	case SCHED_INT:
		text_printf(to, "%ld%s", value, t->unit != NULL ? t->unit : "");
		break;
	}
}
