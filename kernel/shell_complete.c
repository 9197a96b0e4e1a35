/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tab completion. The words before the cursor say where candidates come from: the first word is a command's first,
 * the second its second where there is such a group, any other what the command's `complete` names, or in KEY=VALUE
 * the key.
 */
#include "kernel/shell.h"

#include "kernel/console.h"
#include "kernel/lib/format.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"
#include "kernel/lineedit.h"

#define WORD_MAX	64u
#define CHOICES_MAX	1000u	/* bytes of the list of choices */

static const char *(*names[SHELL_COMPLETE_KINDS])(unsigned i);

/* Keys whose values are names. */
static const struct {
	const char *key;
	enum shell_complete kind;
} keys[] = {
	{ "pool", SHELL_POOL }, { "sched", SHELL_SCHED }, { "kernel", SHELL_FILE }, { "initrd", SHELL_FILE },
	{ "module", SHELL_FILE },
};

void shell_set_names(enum shell_complete kind, const char *(*nth)(unsigned i))
{
	names[kind] = nth;
}

/* What is asked, and what the candidates so far have in common. */
struct completion {
	char word[3][WORD_MAX];		/* the first two before the one completed, if so many; last: that one */
	unsigned word_count;		/* before it */
	size_t len;			/* of word[2] */
	const char *key;		/* in front of word[2] stood this and "=", or NULL */
	char common[WORD_MAX];
	unsigned count;
	char choices[CHOICES_MAX];	/* sorted, two blanks behind each */
	size_t choices_len;
};

/* Puts candidate where it belongs among the choices; false when it is there already (two commands share "pool"). */
static bool add_choice(struct completion *c, const char *candidate)
{
	size_t len = strlen(candidate), at = 0;

	while (c->choices[at] != '\0') {
		int order = strncmp(c->choices + at, candidate, len);

		if (order == 0 && c->choices[at + len] == ' ') {
			return false;
		}
		if (order >= 0) {
			break;
		}
		at = (size_t)(strchr(c->choices + at, ' ') + 2 - c->choices);
	}
	/* More than anybody reads; those that fit are shown. */
	if (c->choices_len + len + 2 < CHOICES_MAX) {
		memmove(c->choices + at + len + 2, c->choices + at, c->choices_len - at + 1);
		memcpy(c->choices + at, candidate, len);
		memcpy(c->choices + at + len, "  ", 2);
		c->choices_len += len + 2;
	}
	return true;
}

static void offer(struct completion *c, const char *candidate)
{
	size_t same = 0;

	if (strncmp(candidate, c->word[2], c->len) != 0 || strchr(candidate, ' ') != NULL ||
	    strlen(candidate) >= WORD_MAX || !add_choice(c, candidate)) {
		return;
	}
	if (c->count++ == 0) {
		str_copy(c->common, sizeof(c->common), candidate);
		return;
	}
	while (c->common[same] != '\0' && c->common[same] == candidate[same]) {
		same++;
	}
	c->common[same] = '\0';
}

/* Offers the name's first word (second: false), or its second where the first is the one typed. */
static void offer_word(struct completion *c, const char *name, const char *group)
{
	char word[WORD_MAX];
	const char *blank = strchr(name, ' ');
	size_t first = blank != NULL ? (size_t)(blank - name) : strlen(name);

	if (group == NULL) {
		str_copy(word, MIN(first + 1, sizeof(word)), name);
		offer(c, word);
	} else if (blank != NULL && strlen(group) == first && strncmp(name, group, first) == 0) {
		offer(c, blank + 1);
	}
}

static void offer_commands(struct completion *c, const char *group)
{
	SHELL_FOREACH(cmd) {
		offer_word(c, cmd->name, group);
	}
	if (c->count > 0 || group != NULL) {
		return;
	}
	/* Other people's names only when none of ours fits, not to crowd the list. */
	SHELL_FOREACH(alias) {
		if (alias->alias != NULL) {
			offer_word(c, alias->alias, NULL);
		}
	}
}

static void offer_names(struct completion *c, enum shell_complete kind)
{
	const char *name;

	if (names[kind] == NULL) {
		return;
	}
	for (unsigned i = 0; i < 4096 && (name = names[kind](i)) != NULL; i++) {
		offer(c, name);
	}
}

static void offer_values(struct completion *c)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		if (str_eq(keys[i].key, c->key)) {
			offer_names(c, keys[i].kind);
		}
	}
}

static void offer_all(struct completion *c)
{
	int words;
	const struct shell_command *cmd;

	if (c->key != NULL) {
		offer_values(c);
		return;
	}
	if (c->word_count == 0) {
		offer_commands(c, NULL);
		return;
	}
	cmd = shell_find(c->word[0], c->word_count > 1 ? c->word[1] : NULL, &words);
	if (cmd == NULL) {
		if (c->word_count == 1) {
			offer_commands(c, c->word[0]);
		}
	} else if (cmd->complete == SHELL_COMMAND_NAME) {
		if (c->word_count <= 2) {
			offer_commands(c, c->word_count == 2 ? c->word[1] : NULL);
		}
	} else {
		offer_names(c, cmd->complete);
		/* "pool" alone may be a command and a group. */
		if (c->word_count == 1 && words == 1) {
			offer_commands(c, c->word[0]);
		}
	}
}

/* Cuts the text before the cursor into words; false where there is nothing to complete: quotes, or too long. */
static bool parse(struct completion *c, const char *line, size_t len)
{
	for (size_t at = 0, start; at <= len; at++) {
		bool last;
		unsigned slot;

		while (at < len && line[at] == ' ') {
			at++;
		}
		start = at;
		while (at < len && line[at] != ' ') {
			if (line[at++] == '"') {
				return false;
			}
		}
		last = at == len;
		slot = last ? 2 : MIN(c->word_count, 1u);
		if (at - start >= WORD_MAX) {
			return false;
		}
		if (last || c->word_count < 2) {
			memcpy(c->word[slot], line + start, at - start);
			c->word[slot][at - start] = '\0';
		}
		if (last) {
			c->len = at - start;
			return true;
		}
		c->word_count++;
	}
	return true;
}

/* Of KEY=VALUE only the value is completed. */
static void cut_key(struct completion *c, char *key)
{
	char *equals = strchr(c->word[2], '=');

	if (equals == NULL) {
		return;
	}
	memcpy(key, c->word[2], WORD_MAX);
	key[equals - c->word[2]] = '\0';
	c->key = key;
	c->len -= (size_t)(equals + 1 - c->word[2]);
	memmove(c->word[2], equals + 1, c->len + 1);
}

void shell_complete(void *ctx, struct lineedit *e)
{
	struct completion c = { .word_count = 0 };
	char key[WORD_MAX];

	if (!parse(&c, e->line, e->cursor)) {
		return;
	}
	cut_key(&c, key);
	offer_all(&c);
	if (c.count == 1) {
		char rest[WORD_MAX + 1];
		struct text t = text_make(rest, sizeof(rest));

		text_printf(&t, "%s ", c.common + c.len);
		lineedit_insert(e, rest, t.len);
	} else if (strlen(c.common) > c.len) {
		lineedit_insert(e, c.common + c.len, strlen(c.common + c.len));
	} else if (c.count > 1) {
		console_say(c.choices, c.choices_len - 2);
		console_edit_sync();
	}
}
