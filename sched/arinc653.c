/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arinc653: a cyclic executive. A table says which vCPU has which slot at which time of a frame that repeats without end. In
 * its window a vCPU has the slot for itself, whether it uses it or not; outside its windows it does not run.
 *
 *      slot 0  | a.0       | b.0   | -   | a.0       | b.0   | -   |
 *      slot 1  | b.1 | a.1           | - | b.1 | a.1           | - |
 *              ^ origin                  ^ origin + frame
 *
 * All slots share one frame: frame n begins at origin + n * frame and nowhere else, so nothing drifts, and vCPUs of one VM
 * can be given the same time on several slots. Another table, or length, is taken up by all slots at the end of the frame
 * they are in; the first one at once. Time that no window covers, and a window whose vCPU sleeps, idles.
 *
 * Opening a window unparks its vCPU, closing it parks it until its next one. Each slot opens and closes its own in pick().
 * A vCPU whose windows lie end to end on two slots may be opened on the next before it is off the last: then that slot waits
 * for released().
 *
 * Against Xen's: every slot of the pool is used, not one; VMs have several vCPUs; a table is swapped at a frame's boundary, not
 * in the middle; the time left over in a frame is at its end on each slot, or where `idle` rows put it; hard affinity still
 * holds: where it forbids a window, that window idles. A vCPU without a window never runs, and admission says so; but a
 * table may leave out one that is there, which then has to wait for a table with it.
 */
#include "sched/sched.h"

#include "kernel/lib/string.h"

#define FRAME_MIN_NS	(100 * NS_PER_US)
#define WINDOW_MIN_NS	(10 * NS_PER_US)

struct arinc {
	uint64_t frame_ns, origin_ns;	/* of table_used; a multiple of frames before now */
	uint64_t switch_ns;		/* the new values and table are taken up then; NS_NEVER: there are none */
	struct list entities;		/* of arinc_entity.link */
};

struct arinc_slot {
	const struct sched_row *first, *end;	/* its rows of table_used */
	const struct sched_row *row;		/* the one that the time has come to; `end`: behind the last */
	uint64_t start_ns;			/* of the frame that it is in */
	bool open;				/* row's entity is unparked */
};

struct arinc_entity {
	struct list link;
	struct sched_entity *entity;
	const struct sched_row *rows;	/* of table_used: any of its own, linked in a circle by `next` */
	const struct sched_row *new_rows;	/* of the table that is to be taken up, else of the same */
	unsigned open_on;		/* the slot of its window, or SCHED_NO_SLOT */
};

enum { ARINC_FRAME, ARINC_WINDOW };

static const struct sched_tunable arinc_tunables[] = {
	[ARINC_FRAME] = {
		.name = "frame", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = FRAME_MIN_NS, .max = 100 * NS_PER_S, .def = 100 * NS_PER_MS,
		.help = "after which the table repeats; a change holds from the next on",
	},
	[ARINC_WINDOW] = {
		.name = "window", .type = SCHED_LIST, .scope = SCHED_POOL, .live = true,
		.min = WINDOW_MIN_NS, .max = 100 * NS_PER_S, .def = WINDOW_MIN_NS,
		.help = SCHED_ROW_FORM "; as many as wanted, in order; a change holds from the next frame on",
	},
};

static struct arinc_slot *slot_of(const struct sched *s, unsigned slot)
{
	return s->slot_priv[slot];
}

static struct arinc_entity *own(const struct sched_entity *e)
{
	return e->priv;
}

/* --- Tables. */

static bool same(const struct sched_row *row, const char *group, unsigned number)
{
	return row->number == number && row->group[0] != '\0' && str_eq(row->group, group);
}

static bool overlap(const struct sched_row *a, const struct sched_row *b)
{
	return a->start_ns < b->start_ns + b->length_ns && b->start_ns < a->start_ns + a->length_ns;
}

static enum err arinc_check_table(const struct sched_values *set, const struct sched_table *t, struct sched_reason *why)
{
	uint64_t frame_ns = (uint64_t)set->v[ARINC_FRAME];

	for (unsigned i = 0; i < t->count; i++) {
		const struct sched_row *a = &t->row[i];

		if (a->start_ns + a->length_ns > frame_ns) {
			return sched_refuse(ERR_RANGE, why, "slot %u: its windows up to that of %s.%u last %lu us, the frame %lu us",
					    a->slot, a->group[0] != '\0' ? a->group : "idle", a->number,
					    (a->start_ns + a->length_ns) / NS_PER_US, frame_ns / NS_PER_US);
		}
		for (unsigned k = 0; k < i && a->group[0] != '\0'; k++) {
			const struct sched_row *b = &t->row[k];

			if (same(b, a->group, a->number) && a->slot != b->slot && overlap(a, b)) {
				return sched_refuse(ERR_INVAL, why, "%s.%u has slots %u and %u at once, from %lu us of the frame on",
						    a->group, a->number, b->slot, a->slot,
						    MAX(a->start_ns, b->start_ns) / NS_PER_US);
			}
		}
	}
	return ERR_OK;
}

/* Of the rows of row's entity the one that starts next after row, or row itself. */
static const struct sched_row *row_after(const struct sched_table *t, const struct sched_row *row)
{
	const struct sched_row *later = NULL, *first = row;

	for (unsigned i = 0; i < t->count; i++) {
		const struct sched_row *r = &t->row[i];

		if (r->entity != row->entity) {
			continue;
		}
		if (r->start_ns > row->start_ns && (later == NULL || r->start_ns < later->start_ns)) {
			later = r;
		}
		first = r->start_ns < first->start_ns ? r : first;
	}
	return later != NULL ? later : first;
}

/* Points e's rows of t at e, or at nobody, and at each other. Returns one of them. */
static const struct sched_row *bind_rows(struct sched_table *t, const struct sched_entity *e, struct sched_entity *to)
{
	const struct sched_row *any = NULL;

	for (unsigned i = 0; t != NULL && i < t->count; i++) {
		if (same(&t->row[i], e->group->name, e->number)) {
			t->row[i].entity = to;
			any = &t->row[i];
		}
	}
	for (unsigned i = 0; t != NULL && to != NULL && i < t->count; i++) {
		if (t->row[i].entity == to) {
			t->row[i].next = row_after(t, &t->row[i]);
		}
	}
	return any;
}

/* --- Windows. */

static uint64_t frame_start_ns(const struct arinc *a, uint64_t now_ns)
{
	return now_ns - (now_ns - a->origin_ns) % a->frame_ns;
}

/* e is parked until its next window opens. */
static void park(const struct arinc *a, struct sched_entity *e, uint64_t now_ns)
{
	const struct sched_row *from = own(e)->rows, *row = from;
	uint64_t start_ns, next_ns = NS_NEVER;

	e->parked = SCHED_PARK_WINDOW;
	e->parked_until_ns = NS_NEVER;
	if (from == NULL) {
		return;
	}
	start_ns = frame_start_ns(a, now_ns);
	do {
		uint64_t at_ns = start_ns + row->start_ns;

		next_ns = MIN(next_ns, at_ns > now_ns ? at_ns : at_ns + a->frame_ns);
		row = row->next;
	} while (row != from);
	e->parked_until_ns = next_ns;
}

static void close_window(struct sched *s, unsigned slot)
{
	struct arinc_slot *as = slot_of(s, slot);
	struct sched_entity *e = as->open ? as->row->entity : NULL;

	as->open = false;
	if (e != NULL && own(e)->open_on == slot) {
		const struct sched_row *next = as->row->next;
		uint64_t at_ns = as->start_ns + next->start_ns;

		own(e)->open_on = SCHED_NO_SLOT;
		own(e)->rows = next;
		e->parked = SCHED_PARK_WINDOW;
		e->parked_until_ns = next->start_ns > as->row->start_ns ? at_ns : at_ns + ((struct arinc *)s->priv)->frame_ns;
	}
}

static void open_window(struct arinc_slot *as, unsigned slot)
{
	struct sched_entity *e = as->row != as->end ? as->row->entity : NULL;

	if (e != NULL && cpuset_has(&e->hard, slot)) {
		as->open = true;
		own(e)->open_on = slot;
		e->parked = SCHED_NOT_PARKED;
	}
}

/* The rows of slot in the table that is in use, of which the first `from` are of lower slots; its window is closed. Returns their end. */
static unsigned find_rows(struct sched *s, unsigned slot, unsigned from)
{
	struct arinc_slot *as = slot_of(s, slot);
	const struct sched_table *t = s->table_used;
	unsigned to;

	*as = (struct arinc_slot){ 0 };
	if (t == NULL) {
		return 0;
	}
	while (from < t->count && t->row[from].slot < slot) {
		from++;
	}
	for (to = from; to < t->count && t->row[to].slot == slot; to++) {
	}
	as->first = as->row = &t->row[from];
	as->end = &t->row[to];
	return to;
}

/* The frame is over that was the last of the old table. All slots change over, whichever comes first. */
static void take_up(struct sched *s, uint64_t now_ns)
{
	struct arinc *a = s->priv;
	unsigned from = 0;

	CPUSET_FOREACH(slot, &s->slots) {
		close_window(s, slot);
	}
	a->frame_ns = (uint64_t)s->values.v[ARINC_FRAME];
	a->origin_ns = a->switch_ns;
	a->switch_ns = NS_NEVER;
	s->table_used = s->table;
	CPUSET_FOREACH(slot, &s->slots) {
		from = find_rows(s, slot, from);
		slot_of(s, slot)->start_ns = a->origin_ns;
	}
	LIST_FOREACH(node, &a->entities) {
		struct arinc_entity *ae = LIST_ENTRY(node, struct arinc_entity, link);

		ae->rows = ae->new_rows;
		park(a, ae->entity, MAX(now_ns, a->origin_ns) - 1);
	}
}

/* Brings slot to where its rows are at this time. */
static void go_on(struct sched *s, unsigned slot, uint64_t now_ns)
{
	struct arinc *a = s->priv;
	struct arinc_slot *as = slot_of(s, slot);

	if (now_ns >= a->switch_ns) {
		take_up(s, now_ns);
	}
	if (now_ns - as->start_ns >= a->frame_ns) {
		close_window(s, slot);
		as->row = as->first;
		as->start_ns = frame_start_ns(a, now_ns);
	}
	while (as->row != as->end && now_ns >= as->start_ns + as->row->start_ns + as->row->length_ns) {
		close_window(s, slot);
		as->row++;
	}
	if (!as->open) {
		open_window(as, slot);
	}
}

static struct sched_pick arinc_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	const struct arinc *a = s->priv;
	const struct arinc_slot *as = slot_of(s, slot);
	struct sched_pick p = { .entity = NULL };
	uint64_t end_ns;

	(void)out;
	go_on(s, slot, now_ns);
	end_ns = as->row != as->end ? as->row->start_ns + as->row->length_ns : as->first != as->end ? a->frame_ns : NS_NEVER;
	p.until_ns = MIN(end_ns == NS_NEVER ? NS_NEVER : as->start_ns + end_ns, a->switch_ns);
	if (as->open) {
		struct sched_entity *e = as->row->entity;

		p.entity = e->runnable && (!e->on_slot || e->slot == slot) && own(e)->open_on == slot ? e : NULL;
	}
	return p;
}

/* --- The other ops. */

static enum err arinc_init(struct sched *s)
{
	struct arinc *a = s->priv;

	a->frame_ns = (uint64_t)s->values.v[ARINC_FRAME];
	a->switch_ns = NS_NEVER;
	list_init(&a->entities);
	return ERR_OK;
}

static unsigned arinc_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
			   struct sched_out *out)
{
	const struct arinc *a = s->priv;

	(void)place;
	(void)find_rows(s, slot, 0);
	slot_of(s, slot)->start_ns = frame_start_ns(a, now_ns);
	sched_poke(out, slot);
	return 0;
}

static void arinc_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns, (void)out;
	close_window(s, slot);
}

static const struct sched_row *row_on(const struct sched_table *t, const struct cpuset *slots)
{
	for (unsigned i = 0; t != NULL && i < t->count; i++) {
		if (t->row[i].group[0] != '\0' && !cpuset_has(slots, t->row[i].slot)) {
			return &t->row[i];
		}
	}
	return NULL;
}

/* Has a vCPU a window in t that it may use? hard: its cpus, or NULL: all. */
static bool has_window(const struct sched_table *t, const char *group, unsigned number, const struct cpuset *hard)
{
	for (unsigned i = 0; t != NULL && i < t->count; i++) {
		if (same(&t->row[i], group, number) && (hard == NULL || cpuset_has(hard, t->row[i].slot))) {
			return true;
		}
	}
	return false;
}

/* A vCPU without a window that it may use would never run, and neither would one whose slot goes. */
static enum err arinc_admit(struct sched *s, const struct sched_group *g, unsigned entities, const struct cpuset *slots,
			    struct sched_reason *why)
{
	const struct sched_table *t = s->table;
	const struct sched_row *lost = g == NULL ? row_on(t, slots) : NULL;

	if (lost != NULL) {
		return sched_refuse(ERR_ADMISSION, why, "slot %u has a window of %s.%u, %lu us long", lost->slot, lost->group,
				    lost->number, lost->length_ns / NS_PER_US);
	}
	for (unsigned i = 0; g != NULL && i < MAX(entities, g->want_count); i++) {
		const struct sched_entity *there = g->want_count > 0 ? g->want[i].instead : NULL;
		const char *name = there != NULL ? there->group->name : g->name;
		unsigned number = there != NULL ? there->number : i;

		if (!has_window(t, name, number, NULL)) {
			return sched_refuse(ERR_ADMISSION, why, "none of the %u windows is for %s.%u: it would never run",
					    t != NULL ? t->count : 0, name, number);
		}
		if (g->want_count > 0 && !has_window(t, name, number, g->want[i].hard)) {
			return sched_refuse(ERR_ADMISSION, why,
					    "no window of %s.%u is on a cpu that it is bound to: it would never run", name, number);
		}
	}
	return ERR_OK;
}

static void arinc_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct arinc *a = s->priv;
	struct arinc_entity *ae = own(e);

	ae->entity = e;
	ae->open_on = SCHED_NO_SLOT;
	ae->rows = bind_rows(s->table_used, e, e);
	ae->new_rows = bind_rows(s->table, e, e);
	list_push_back(&a->entities, &ae->link);
	park(a, e, now_ns);
	CPUSET_FOREACH(slot, &s->slots) {
		struct arinc_slot *as = slot_of(s, slot);

		if (as->row != as->end && as->row->entity == e) {
			sched_poke(out, slot);		/* its window may be open: pick() looks */
		}
	}
}

static void arinc_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns, (void)out;
	CPUSET_FOREACH(slot, &s->slots) {
		if (slot_of(s, slot)->open && slot_of(s, slot)->row->entity == e) {
			close_window(s, slot);	/* also one that is over, where its slot has not noticed yet */
		}
	}
	(void)bind_rows(s->table_used, e, NULL);
	(void)bind_rows(s->table, e, NULL);
	list_remove(&own(e)->link);
}

/* wake and released: a window that is open gets it at once. */
static void arinc_ready(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (!e->runnable || e->on_slot) {
		return;
	}
	if (own(e)->open_on != SCHED_NO_SLOT) {
		sched_poke(out, own(e)->open_on);
	} else if (e->parked_until_ns <= now_ns) {
		park(s->priv, e, now_ns);	/* it slept through some */
	}
}

/* block and yield: the window stays its own. */
static void arinc_ignore(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)e, (void)now_ns, (void)out;
}

static void arinc_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	unsigned slot = own(e)->open_on;

	(void)now_ns;
	if (slot != SCHED_NO_SLOT && !cpuset_has(&e->hard, slot)) {
		close_window(s, slot);
		sched_poke(out, slot);
	}
	if (e->on_slot && !cpuset_has(&e->hard, e->slot)) {
		sched_poke(out, e->slot);
	}
	CPUSET_FOREACH(other, &s->slots) {
		const struct arinc_slot *as = slot_of(s, other);

		if (!as->open && as->row != as->end && as->row->entity == e && cpuset_has(&e->hard, other)) {
			sched_poke(out, other);
		}
	}
}

/* Other values, another table: from the next frame on. Where none is in use there is nothing to wait for. */
static void arinc_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct arinc *a = s->priv;

	if (g != NULL || e != NULL) {
		return;
	}
	if (s->table == s->table_used && (uint64_t)s->values.v[ARINC_FRAME] == a->frame_ns) {
		a->switch_ns = NS_NEVER;
	} else if (a->switch_ns == NS_NEVER) {
		a->switch_ns = s->table_used == NULL ? now_ns : frame_start_ns(a, now_ns) + a->frame_ns;
	}
	LIST_FOREACH(node, &a->entities) {
		struct arinc_entity *ae = LIST_ENTRY(node, struct arinc_entity, link);

		ae->new_rows = bind_rows(s->table, ae->entity, ae->entity);
	}
	CPUSET_FOREACH(slot, &s->slots) {
		sched_poke(out, slot);
	}
}

static void arinc_describe(struct sched *s, uint64_t now_ns, struct text *to)
{
	const struct arinc *a = s->priv;

	text_puts(to, "frame ");
	text_ns(to, a->frame_ns);
	text_puts(to, ", over ");
	text_ns(to, (now_ns - a->origin_ns) % a->frame_ns);
	text_puts(to, a->switch_ns != NS_NEVER ? "; then a new table\n" : "\n");
	CPUSET_FOREACH(slot, &s->slots) {
		const struct arinc_slot *as = slot_of(s, slot);

		text_printf(to, "slot %u:", slot);
		for (const struct sched_row *row = as->first; row != as->end; row++) {
			text_puts(to, row == as->row ? (as->open ? "  > " : "  * ") : "  ");
			sched_row_print(row, to);
			text_puts(to, row->entity == NULL && row->group[0] != '\0' ? " (not there)" : "");
		}
		text_putc(to, '\n');
	}
}

static bool arinc_check(struct sched *s, struct sched_reason *why)
{
	const struct arinc *a = s->priv;

	CPUSET_FOREACH(slot, &s->slots) {
		const struct arinc_slot *as = slot_of(s, slot);
		const struct sched_entity *e = as->open && as->row != as->end ? as->row->entity : NULL;

		if (as->row < as->first || as->row > as->end || (as->open && e == NULL)) {
			return sched_refuse(ERR_STATE, why, "slot %u: its window is none of its rows", slot) == ERR_OK;
		}
		if (e != NULL && own(e)->open_on == slot && e->parked != SCHED_NOT_PARKED) {
			return sched_refuse(ERR_STATE, why, "slot %u: parked in its window", slot) == ERR_OK;
		}
	}
	for (const struct list *node = a->entities.next; node != &a->entities; node = node->next) {
		const struct arinc_entity *ae = LIST_ENTRY(node, struct arinc_entity, link);
		const struct sched_entity *e = ae->entity;
		const struct arinc_slot *as = ae->open_on == SCHED_NO_SLOT ? NULL : slot_of(s, ae->open_on);

		if ((as == NULL) != (e->parked == SCHED_PARK_WINDOW) || (as != NULL && (!as->open || as->row->entity != e))) {
			return sched_refuse(ERR_STATE, why, "%s.%u: its window is not agreed on", e->group->name, e->number) ==
			       ERR_OK;
		}
	}
	return true;
}

/* In its window it has a slot as soon as that is empty; the bound allows for the one before, and a late cpu. */
static uint64_t arinc_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	(void)e;
	return ((const struct arinc *)s->priv)->frame_ns;
}

SCHED_POLICY(sched_arinc653,
	.name = "arinc653",
	.summary = "a table of windows in a frame that repeats",
	.honours = SCHED_HONOURS_HARD_AFFINITY,
	.tunables = arinc_tunables, .tunable_count = ARRAY_SIZE(arinc_tunables),
	.object_size = sizeof(struct arinc), .slot_size = sizeof(struct arinc_slot),
	.entity_size = sizeof(struct arinc_entity),
	.init = arinc_init, .join = arinc_join, .leave = arinc_leave, .admit = arinc_admit, .check_table = arinc_check_table,
	.add = arinc_add, .remove = arinc_remove, .set_affinity = arinc_set_affinity,
	.wake = arinc_ready, .block = arinc_ignore, .yield = arinc_ignore, .pick = arinc_pick, .released = arinc_ready,
	.tune = arinc_tune, .describe = arinc_describe, .check = arinc_check, .wait_bound_ns = arinc_wait_bound_ns,
);
