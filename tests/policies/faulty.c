/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faulty: rr until `fault` says otherwise; then a policy as nobody should write one. For the watchdog's tests, on the host and
 * in a kernel of their own.
 */
#include "sched/sched.h"

#undef SCHED_POLICY
#define SCHED_POLICY(ident, ...)	/* its functions, but not a second rr */
#include "sched/rr.c"
#undef SCHED_POLICY
#define SCHED_POLICY(ident, ...) \
	const struct sched_ops ident __attribute__((used, section("sched_policies"), aligned(8))) = { __VA_ARGS__ }

#include "tests/policies/faulty.h"

extern const struct sched_ops sched_faulty;

struct faulty {
	struct rr_sched rr;		/* first: rr's functions find it there */
	struct sched_entity *blocked;	/* the last that did */
	struct sched_entity *running;	/* the last that was picked */
};

static struct sched_entity *stranger;	/* the last that was added anywhere */

static const char *const faults[] = {
	"none", "blocked", "foreign", "elsewhere", "forbidden", "until", "pull", "pokes",
	"forgets", "parks", "idles", "wake-forgets", "sleeps", "slot", "twice", "check", "domain", "wordless",
	"pick-loops", "released-loops", "block-loops", "wake-loops", "admit-loops", "add-loops", "tune-loops", "leave-loops",
	"check-loops", "join-loops", "pin-loops", "bound-loops", NULL,
};

enum { FAULTY_FAULT = RR_TIMESLICE + 1 };

static const struct sched_tunable faulty_tunables[] = {
	[RR_TIMESLICE] = {
		.name = "timeslice", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = 100 * NS_PER_US, .max = NS_PER_S, .def = 10 * NS_PER_MS, .help = "as rr's",
	},
	[FAULTY_FAULT] = {
		.name = "fault", .type = SCHED_ENUM, .scope = SCHED_POOL, .live = true, .max = FAULT_COUNT - 1, .words = faults,
		.help = "what it does wrong",
	},
};

static bool has(const struct sched *s, enum fault fault)
{
	return s->values.v[FAULTY_FAULT] == fault;
}

static void loop_if(const struct sched *s, enum fault fault)
{
	while (has(s, fault)) {
		faulty_spin();
	}
}

static enum err faulty_admit(struct sched *s, const struct sched_group *g, unsigned entities, const struct cpuset *slots,
			     struct sched_reason *why)
{
	(void)g, (void)entities, (void)slots, (void)why;
	loop_if(s, FAULT_ADMIT_LOOPS);
	return has(s, FAULT_WORDLESS) ? ERR_ADMISSION : ERR_OK;
}

static unsigned faulty_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
			    struct sched_out *out)
{
	loop_if(s, FAULT_JOIN_LOOPS);
	rr_join(s, slot, place, now_ns, out);
	return has(s, FAULT_DOMAIN) ? 1000000 : 0;
}

static void faulty_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	loop_if(s, FAULT_PIN_LOOPS);
	rr_set_affinity(s, e, now_ns, out);
}

static uint64_t faulty_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	loop_if(s, FAULT_BOUND_LOOPS);
	return rr_wait_bound_ns(s, e);
}

static void faulty_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	loop_if(s, FAULT_LEAVE_LOOPS);
	rr_leave(s, slot, now_ns, out);
}

static void faulty_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	loop_if(s, FAULT_TUNE_LOOPS);
	rr_tune(s, g, e, now_ns, out);
}

static void faulty_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	loop_if(s, FAULT_ADD_LOOPS);
	stranger = e;
	rr_add(s, e, now_ns, out);
}

static void faulty_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	loop_if(s, FAULT_WAKE_LOOPS);
	if (!has(s, FAULT_WAKE_FORGETS)) {
		rr_ready(s, e, now_ns, out);
	}
}

static void faulty_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct faulty *f = s->priv;

	loop_if(s, FAULT_BLOCK_LOOPS);
	f->blocked = e;
	rr_block(s, e, now_ns, out);
}

static void faulty_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct rr_entity *re = e->priv;

	loop_if(s, FAULT_RELEASED_LOOPS);
	if (has(s, FAULT_PARKS)) {
		e->parked = SCHED_PARK_CAP;
		e->parked_until_ns = now_ns + NS_PER_MS;
	}
	e->runnable &= !has(s, FAULT_SLEEPS);
	if (has(s, FAULT_SLOT)) {
		sched_set_slot(e, 1000000);
	}
	if (has(s, FAULT_TWICE) && e->runnable && re->anywhere) {
		list_push_back(&((struct rr_sched *)s->priv)->queue, &re->link);
	}
	if (!has(s, FAULT_FORGETS) && !has(s, FAULT_PARKS)) {
		rr_ready(s, e, now_ns, out);
	}
}

static struct sched_pick faulty_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick wrong = { .until_ns = now_ns + NS_PER_MS }, p;
	struct faulty *f = s->priv;

	loop_if(s, FAULT_PICK_LOOPS);
	if (has(s, FAULT_BLOCKED) && f->blocked != NULL && !f->blocked->runnable) {
		wrong.entity = f->blocked;
	} else if (has(s, FAULT_FOREIGN)) {
		wrong.entity = stranger;
	} else if (has(s, FAULT_ELSEWHERE) && f->running != NULL && f->running->on_slot && f->running->slot != slot) {
		wrong.entity = f->running;
	}
	if (has(s, FAULT_PULL)) {
		return (struct sched_pick){ .entity = SCHED_PULL, .until_ns = 1000000 };
	}
	if (has(s, FAULT_IDLES)) {
		return (struct sched_pick){ .until_ns = NS_NEVER };
	}
	if (has(s, FAULT_POKES)) {
		sched_poke(out, slot);
	}
	p = wrong.entity != NULL ? wrong : rr_pick(s, slot, now_ns, out);
	if (p.entity != NULL) {
		f->running = p.entity;
	}
	if (p.entity != NULL && has(s, FAULT_FORBIDDEN)) {
		cpuset_del(&p.entity->hard, slot);
	}
	p.until_ns = has(s, FAULT_UNTIL) ? now_ns : p.until_ns;
	return p;
}

static bool faulty_check(struct sched *s, struct sched_reason *why)
{
	loop_if(s, FAULT_CHECK_LOOPS);
	if (has(s, FAULT_CHECK)) {
		return sched_refuse(ERR_STATE, why, "I have lost count") == ERR_OK;
	}
	return rr_check(s, why);
}

SCHED_POLICY(sched_faulty,
	.name = "faulty",
	.summary = "rr that breaks the contract when told to",
	.honours = SCHED_HONOURS_HARD_AFFINITY | SCHED_HONOURS_YIELD | SCHED_WORK_CONSERVING,
	.tunables = faulty_tunables, .tunable_count = ARRAY_SIZE(faulty_tunables),
	.object_size = sizeof(struct faulty), .slot_size = sizeof(struct rr_slot),
	.entity_size = sizeof(struct rr_entity),
	.init = rr_init, .join = faulty_join, .leave = faulty_leave, .admit = faulty_admit,
	.add = faulty_add, .remove = rr_remove, .set_affinity = faulty_set_affinity,
	.wake = faulty_wake, .block = faulty_block, .yield = rr_yield, .pick = faulty_pick,
	.released = faulty_released, .tune = faulty_tune, .describe = rr_describe,
	.check = faulty_check, .wait_bound_ns = faulty_wait_bound_ns,
);
