/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every registered policy with one thing wrong, and a check() that sees nothing: the model catches each. A mutant is a
 * wrapper that knows only the contract, so a policy that comes later has all of them too. Each runs in a process of its
 * own: one that crashes or never returns is caught as well.
 */
#include "tests/host/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fake/sched_model.h"

static const struct sched_ops *real;
static struct sched_entity *runs[SCHED_MODEL_SLOTS];
static unsigned long calls;

static bool blind(struct sched *s, struct sched_reason *why)
{
	(void)s, (void)why;
	return true;
}

static void forget(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)e, (void)now_ns, (void)out;
}

static void wake_quietly(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	real->wake(s, e, now_ns, out);
	sched_out_init(out);
}

static void released_quietly(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	real->released(s, e, now_ns, out);
	sched_out_init(out);
}

static void wake_now_and_then(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (++calls % 64 != 0) {
		real->wake(s, e, now_ns, out);
	}
}

static void block_on_slot_only(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (e->on_slot) {
		real->block(s, e, now_ns, out);
	}
}

static void block_off_slot_only(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (!e->on_slot) {
		real->block(s, e, now_ns, out);
	}
}

static void leave_nothing(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)slot, (void)now_ns, (void)out;
}

static struct sched_pick pick_until_now(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick p = real->pick(s, slot, now_ns, out);

	p.until_ns = p.entity != NULL && ++calls % 64 == 0 ? now_ns : p.until_ns;
	return p;
}

static struct sched_pick pick_remembered(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick p = real->pick(s, slot, now_ns, out);

	if (p.entity != SCHED_PULL) {
		runs[slot] = p.entity;
	}
	return p;
}

/* What another slot was given last, if that is still awake. */
static struct sched_pick pick_twice(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_entity *other = runs[(slot + 1) % SCHED_MODEL_SLOTS];
	struct sched_pick p = pick_remembered(s, slot, now_ns, out);

	if (other != NULL && ++calls % 16 == 0) {
		p.entity = other;
	}
	return p;
}

/* The one it replaces comes back at once, before its state has left the slot. */
static struct sched_pick pick_too_early(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_entity *last = runs[slot];
	struct sched_pick p = pick_remembered(s, slot, now_ns, out);

	if (p.entity != SCHED_PULL && last != NULL && last != p.entity && last->on_slot && last->runnable && last->slot == slot) {
		last->on_slot = false;
		real->released(s, last, now_ns, out);
		last->on_slot = true;
	}
	return p;
}

/* It keeps what runs, asleep or not. */
static struct sched_pick pick_sleeper(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_entity *last = runs[slot];
	struct sched_pick p = pick_remembered(s, slot, now_ns, out);

	if (last != NULL && last->on_slot && !last->runnable) {
		p.entity = last;
	}
	return p;
}

/* Nobody is let go once they run, and nobody else gets on: everyone off the slot starves. */
static struct sched_pick pick_nobody(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)slot, (void)now_ns, (void)out;
	return (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
}

static struct sched_entity *gone;

static void remove_noted(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (real->remove != NULL) {
		real->remove(s, e, now_ns, out);
	}
	gone = e;
}

static struct sched_pick pick_gone(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick p = real->pick(s, slot, now_ns, out);

	if (gone != NULL && ++calls % 16 == 0) {
		p.entity = gone;
	}
	return p;
}

/* Its block does something: null has one no-op for block and yield. */
#define HAS_QUEUE	(1u << 31)
/*
 * Whoever waits has a claim at once. A policy with a table owes only the next window, and says itself when that is: what it
 * owes is for its own test: test_sched_arinc653.c, mutants_of_time.
 */
#define HAS_CLAIMS	(1u << 30)

/* Its leave does something: one queue for all slots may have nothing to do there. */
#define HAS_LEAVE	(1u << 29)

/* `needs`: what the policy must honour for the mistake to be one. */
struct mutant {
	const char *what;
	void (*apply)(struct sched_ops *m);
	unsigned needs;
};

#define MUTANT(name, field, fn) \
	static void name(struct sched_ops *m) \
	{ \
		m->field = fn; \
	}

MUTANT(mute_wake, wake, wake_quietly)
MUTANT(no_wake, wake, forget)
MUTANT(rare_wake, wake, wake_now_and_then)
MUTANT(half_block, block, block_on_slot_only)
MUTANT(other_block, block, block_off_slot_only)
MUTANT(until_now, pick, pick_until_now)
MUTANT(twice, pick, pick_twice)
MUTANT(sleeper, pick, pick_sleeper)
MUTANT(nobody, pick, pick_nobody)
MUTANT(no_release, released, forget)
MUTANT(mute_release, released, released_quietly)
MUTANT(no_affinity, set_affinity, forget)
MUTANT(no_leave, leave, leave_nothing)

static void early(struct sched_ops *m)
{
	m->pick = pick_too_early;
	m->released = forget;
}

static void ghost(struct sched_ops *m)
{
	m->pick = pick_gone;
	m->remove = remove_noted;
}

static const struct mutant mutants[] = {
	{ "wake pokes nobody", mute_wake, HAS_CLAIMS },
	{ "wake forgets", no_wake, HAS_CLAIMS },
	{ "every 64th wake is forgotten", rare_wake, HAS_CLAIMS },
	{ "one blocked while it waits stays queued", half_block, HAS_QUEUE },
	{ "one blocked while it runs stays", other_block, HAS_QUEUE },
	{ "until is now", until_now, 0 },
	{ "one entity on two slots", twice, 0 },
	{ "picks a sleeper", sleeper, 0 },
	{ "picks nobody", nobody, HAS_CLAIMS },
	{ "queued before released", early, HAS_CLAIMS },
	{ "lost at released", no_release, HAS_CLAIMS },
	{ "released pokes nobody", mute_release, SCHED_WORK_CONSERVING },
	{ "a change of affinity goes unnoticed", no_affinity, SCHED_HONOURS_HARD_AFFINITY | HAS_CLAIMS },
	{ "leave forgets the slot", no_leave, HAS_LEAVE },
	{ "picks one that has gone", ghost, 0 },
};

static bool leave_acts;

static void leave_watched(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	void *object = memcpy(malloc(real->object_size + 1), s->priv, real->object_size);
	void *own = memcpy(malloc(real->slot_size + 1), s->slot_priv[slot], real->slot_size);

	real->leave(s, slot, now_ns, out);
	leave_acts |= out->any || memcmp(object, s->priv, real->object_size) != 0 ||
		      memcmp(own, s->slot_priv[slot], real->slot_size) != 0;
	free(object);
	free(own);
}

static bool does_leave_act(const struct sched_ops *ops)
{
	struct sched_ops watched = *ops;

	real = ops;
	leave_acts = false;
	watched.leave = leave_watched;
	for (uint64_t seed = 1; seed <= 40 && !leave_acts; seed++) {
		CHECK_STR(sched_conform(&watched, seed, 8000, false), "");
	}
	return leave_acts;
}

static bool applies(const struct mutant *m, const struct sched_ops *ops)
{
	unsigned has = ops->honours | (ops->block != ops->yield ? HAS_QUEUE : 0) |
		       (ops->check_table == NULL ? HAS_CLAIMS : 0) |
		       ((m->needs & HAS_LEAVE) != 0 && does_leave_act(ops) ? HAS_LEAVE : 0);

	return (has & m->needs) == m->needs;
}

/* In a process of its own: exit 0 if nothing was found. */
static void run_mutant(const struct mutant *m, const struct sched_ops *ops, bool sees)
{
	const unsigned seeds = getenv("SLOW") != NULL ? 200 : 12;	/* the model alone sees all in 200 */
	const struct itimerval most = { .it_value.tv_sec = 3 };		/* of the cpu; a seed takes a tenth of one */
	struct sched_ops wrong = *ops;

	real = ops;
	wrong.check = sees ? ops->check : blind;
	m->apply(&wrong);
	(void)!freopen("/dev/null", "w", stderr);
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		setitimer(ITIMER_VIRTUAL, &most, NULL);
		memset(runs, 0, sizeof(runs));
		gone = NULL;
		if (sched_conform(&wrong, seed, 8000, true)[0] != '\0') {
			_exit(1);
		}
	}
	_exit(0);
}

static bool caught(const struct mutant *m, const struct sched_ops *ops, bool sees)
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		run_mutant(m, ops, sees);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	return status != 0;
}

TEST(mutants, "every policy with something wrong is caught, nearly always even when its check() is blind")
{
	unsigned missed = 0, tried = 0, seen = 0;

	for (unsigned i = 0; i < sched_policy_count() * ARRAY_SIZE(mutants); i++) {
		const struct sched_ops *ops = sched_policy_at(i / ARRAY_SIZE(mutants));
		const struct mutant *m = &mutants[i % ARRAY_SIZE(mutants)];

		if (!applies(m, ops)) {
			continue;
		}
		tried++;
		if (caught(m, ops, false)) {
			continue;
		}
		seen++;
		if (caught(m, ops, true)) {
			printf("  by check() alone: %s: %s\n", ops->name, m->what);
		} else {
			printf("  not caught: %s: %s\n", ops->name, m->what);
			missed++;
		}
	}
	printf("  %u mutants of %u policies, %u of them caught by check() alone\n", tried, sched_policy_count(), seen - missed);
	CHECK_EQ(missed, 0);
	CHECK(getenv("SLOW") != NULL ? seen == 0 : seen * 20 <= tried);
}
