/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings of a policy as people write them: "weight=512 cap=50%". */
#include "kernel/lib/ini.h"
#include "tools/sim/internal.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX	(INI_LINE_MAX + 1)

/* The next word of *text; false: there is none, or it is too long or no key=value. */
static bool next_pair(const char **text, char *word, char **value)
{
	size_t len;

	*text += strspn(*text, " \t");
	len = strcspn(*text, " \t");
	if (len == 0 || len >= WORD_MAX) {
		return false;
	}
	memcpy(word, *text, len);
	word[len] = '\0';
	*text += len;
	*value = strchr(word, '=');
	if (*value == NULL) {
		return false;
	}
	*(*value)++ = '\0';
	return true;
}

static bool some_policy_has(const char *key)
{
	unsigned index;

	for (unsigned i = 0; i < sched_policy_count(); i++) {
		if (sched_tunable_find(sched_policy_at(i), key, &index) != NULL) {
			return true;
		}
	}
	return false;
}

enum err sim_values_apply(struct sim *sim, const char *whose, const struct sched_ops *ops,
			  unsigned scopes, const char *text, struct sched_values *v)
{
	const char *at = text != NULL ? text : "";
	char word[WORD_MAX], *value;
	enum err err = ERR_OK;
	unsigned index = 0;

	while (err == ERR_OK && next_pair(&at, word, &value)) {
		const struct sched_tunable *t = sched_tunable_find(ops, word, &index);

		if (t == NULL && some_policy_has(word)) {
			sim_note(sim, "%s: %s has no effect under %s", whose, word, ops->name);
		} else if (t == NULL || (scopes & 1u << t->scope) == 0) {
			err = sched_refuse(ERR_NOENT, &sim->why,
					   "%s: %s has no setting \"%s\" here", whose, ops->name,
					   word);
		} else {
			err = sched_value_parse(t, value, &v->v[index], &sim->why);
		}
	}
	if (err == ERR_OK && at[strspn(at, " \t")] != '\0') {
		err = sched_refuse(ERR_FORMAT, &sim->why, "%s: found \"%s\", expected KEY=VALUE",
				   whose, at);
	}
	return err;
}

bool sim_is_list(const char *key)
{
	for (unsigned i = 0; i < sched_policy_count(); i++) {
		const struct sched_tunable *list = sched_list_of(sched_policy_at(i));

		if (list != NULL && strcmp(list->name, key) == 0) {
			return true;
		}
	}
	return false;
}

static bool has_key(const char *text, const char *key)
{
	const char *at = text;

	while ((at = strstr(at, key)) != NULL) {
		if ((at == text || at[-1] == ' ') && at[strlen(key)] == '=') {
			return true;
		}
		at++;
	}
	return false;
}

enum err sim_table_apply(struct sim_pool *p, const char *text, const struct sched_values *v)
{
	const struct sched_tunable *list = sched_list_of(p->sched.ops);
	const char *at = text != NULL ? text : "";
	struct sched_table *t = p->sched.table;
	char word[WORD_MAX], *value;
	enum err err = ERR_OK;

	if (list == NULL) {
		return ERR_OK;
	}
	if (has_key(at, list->name)) {
		t = sim_alloc(sizeof(*t) + SCHED_ROWS_MAX * sizeof(t->row[0]));
		t->room = SCHED_ROWS_MAX;
		SIM_PUSH(p->table, p->tables, p->table_room, t);
	}
	while (t != p->sched.table && err == ERR_OK && next_pair(&at, word, &value)) {
		if (strcmp(word, list->name) == 0) {
			err = sched_table_add(list, t, value, &p->sim->why);
		}
	}
	if (err != ERR_OK || t == NULL) {
		return err;
	}
	sched_table_finish(t);
	for (unsigned i = 0; i < t->count; i++) {
		if (!cpuset_has(&p->sched.slots, t->row[i].slot)) {
			return sched_refuse(ERR_INVAL, &p->sim->why, "cpu %u has a window, but is not in pool %s",
					    t->row[i].slot, p->name);
		}
	}
	err = p->sched.ops->check_table(v, t, &p->sim->why);
	if (err == ERR_OK) {
		p->sched.table = t;
	}
	return err;
}

void sim_values_append(char **text, const char *more)
{
	size_t old = *text != NULL ? strlen(*text) : 0;
	size_t add = more != NULL ? strlen(more) : 0;

	*text = sim_realloc(*text, old + add + 2);
	snprintf(*text + old, add + 2, "%s%s", old > 0 ? " " : "", more != NULL ? more : "");
}
