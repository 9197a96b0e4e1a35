/* SPDX-License-Identifier: BSD-2-Clause */
/* pool/watch, pool/fall, kernel/stuck: policies that break the contract are caught, and their pool goes on with rr. */
#include "tests/host/watch_fixture.h"

static unsigned spins;
static bool others_spin;		/* an op that loops: other cpus come to wait for the domain */
static struct pool *watched;		/* a control operation asks it: others look at what is held meanwhile */

static void begin(unsigned cpus)
{
	reset(cpus);
	spins = 0;
	others_spin = false;
	watched = NULL;
}

/* join() as if every other slot had a queue of its own: so cpus of the pool go by different locks. */
static unsigned join_two_domains(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
				 struct sched_out *out)
{
	rr_join(s, slot, place, now_ns, out);
	return slot % 2;
}

/* Each vCPU is to stay in one of them: pinned, and with a slot there from the start. */
static void add_pinned(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	faulty_add(s, e, now_ns, out);
	sched_set_slot(e, cpuset_first(&e->hard));
}

static void pin_to_domains(struct fake_vm *vm)
{
	for (unsigned i = 0; i < vm->count; i++) {
		cpuset_add(&vm->v[i].e.hard, 2 - i % 2);
		if (i % 2 != 0) {
			cpuset_add(&vm->v[i].e.hard, 3);
		}
	}
}

static void wrong_pick(enum fault fault, const char *words, bool two_domains)
{
	struct sched_ops ops = sched_faulty;
	struct fake_vm vm, other;
	struct pool *p, *q;
	long blocks;

	begin(5);
	fake_vm_init(&vm, "a", 6);
	if (two_domains) {
		ops.join = join_two_domains;
		ops.add = add_pinned;
		pin_to_domains(&vm);
	}
	vm.v[5].act = fake_act_server;
	p = new_pool("p", &ops, 1, 3);
	fake_vm_start(&vm, p);
	fake_vm_init(&other, "b", 1);
	q = new_pool("q", sched_policy_find("faulty"), 4, 4);
	fake_vm_start(&other, q);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	CHECK_STR(p->sched.ops->name, "faulty");
	set_fault(p, fault);
	blocks = fake.heap_blocks;
	fake.heap_fail_in = 1;		/* nothing is there to be had while it falls */
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	CHECK_EQ(fake.heap_fail_in, 1);
	CHECK_EQ(fake.heap_blocks, blocks);
	fake.heap_fail_in = 0;
	CHECK(log_says(words));
	CHECK(log_says("rr takes over"));
	for (unsigned i = 0; i < vm.count; i++) {	/* `forbidden` took cpus away */
		CHECK_EQ(pool_entity_pin(&vm.v[i].e, &p->cpus, &p->cpus, &why), ERR_OK);
	}
	check_goes_on(&vm, 5);
	fake_event(&vm.v[5], 0);
	fake_guest_run(200 * NS_PER_MS, NS_PER_MS);
	CHECK_EQ(vm.v[5].handled, 1);
	CHECK_STR(q->sched.ops->name, "faulty");
	pool_group_remove(&other.g);
	CHECK_EQ(pool_destroy(q, &why), ERR_OK);
	end(&vm);
}

TEST(picks, "a pick of whom it may not pick is caught at once: rr takes over without memory, all vCPUs go on")
{
	for (unsigned domains = 0; domains <= 1; domains++) {
		wrong_pick(FAULT_BLOCKED, "scheduler faulty failed: pick on cpu", domains);
		wrong_pick(FAULT_BLOCKED, "a.5: not runnable", domains);
		wrong_pick(FAULT_FOREIGN, "b.0: not an entity of this pool", domains);
		wrong_pick(FAULT_ELSEWHERE, "still on cpu", domains);
		wrong_pick(FAULT_FORBIDDEN, "may not run on cpu", domains);
		wrong_pick(FAULT_UNTIL, "which is not later than now", domains);
		wrong_pick(FAULT_PULL, "it asks to pull from slot 1000000", domains);
		wrong_pick(FAULT_POKES, "1000 times in a row cpu", domains);
	}
}

TEST(domains, "a pick of whom another lock covers is caught, and so is a slot in a lock domain that is none")
{
	struct sched_ops ops = sched_faulty;
	struct sched_values values;
	struct fake_vm vm;
	struct pool *p;

	begin(4);
	ops.join = join_two_domains;
	fake_vm_init(&vm, "a", 4);
	p = new_pool("p", &ops, 1, 2);
	fake_vm_start(&vm, p);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	CHECK(log_says(", not in that of cpu"));
	check_goes_on(&vm, 4);
	end(&vm);

	begin(3);
	sched_values_default(&sched_faulty, &values);
	values.v[FAULTY_FAULT] = FAULT_DOMAIN;
	CHECK_EQ(pool_create("p", &sched_faulty, &values, 0, &p, &why), ERR_OK);
	CHECK_EQ(pool_add_cpu(p, 1, &why), ERR_OK);
	fake_vm_init(&vm, "a", 2);
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	CHECK(log_says("join on cpu 1: it was given lock domain 1000000 of 3"));
	fake_vm_start(&vm, p);
	check_goes_on(&vm, 2);
	end(&vm);
}

TEST(words, "a pool is said to have failed once what is said of it is written, and nobody writes it over")
{
	struct fake_vm vm;
	struct pool *p;

	begin(2);
	fake_vm_init(&vm, "a", 1);
	p = new_pool("p", &sched_faulty, 0, 1);
	fake_vm_start(&vm, p);
	p->trust = POOL_ACCUSED;
	CHECK(pool_failed(p) == NULL);
	p->trust = POOL_CONDEMNED;
	CHECK_STR(pool_failed(p), "faulty");
	p->trust = POOL_TRUSTED;
	pool_condemn(p, POOL_OP_check, &vm.v[0].e, "the first word");
	pool_condemn(p, POOL_OP_pick, NULL, "another");
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	CHECK(log_says("check on cpu 0, a.0: the first word; rr takes over"));
	end(&vm);
}

TEST(forgotten, "an entity that waits beyond its policy's bound is found within twice the bound and two seconds")
{
	struct fake_vm vm;
	struct pool *p;

	begin(3);
	p = start_faulty(&vm, 5, 1, 2);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	set_fault(p, FAULT_FORGETS);
	fake_guest_run(2 * 50 * NS_PER_MS + 3 * NS_PER_S, NS_PER_MS);
	CHECK(log_says("and 50 ms is the longest"));
	check_goes_on(&vm, 5);
	end(&vm);
}

static void neglect(enum fault fault, const char *words)
{
	struct fake_vm vm;
	struct pool *p;

	begin(3);
	p = start_faulty(&vm, 6, 1, 2);
	vm.v[5].act = fake_act_server;
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	set_fault(p, fault);
	fake_event(&vm.v[5], 0);
	fake_guest_run(11 * NS_PER_S, NS_PER_MS);
	CHECK(log_says(words));
	check_goes_on(&vm, 5);
	CHECK_EQ(vm.v[5].handled, 1);
	end(&vm);
}

TEST(neglected, "so is one that stays parked beyond its time, is not queued when it wakes, or waits beside cpus told to idle")
{
	neglect(FAULT_PARKS, "and 60 ms is the longest");
	neglect(FAULT_WAKE_FORGETS, "a.5: it waits for");
	neglect(FAULT_IDLES, "and 60 ms is the longest");
}

TEST(written, "what a policy writes that is the core's to write is found within ten seconds, and put right")
{
	neglect(FAULT_SLEEPS, ": forgotten");
	neglect(FAULT_SLOT, ": on a slot not ours");
}

TEST(check, "a policy whose check() says no is replaced within ten seconds, with what it said")
{
	struct fake_vm vm;
	struct pool *p;

	begin(2);
	p = start_faulty(&vm, 3, 0, 1);
	set_fault(p, FAULT_CHECK);
	fake_guest_run(11 * NS_PER_S, NS_PER_MS);
	CHECK(log_says("check on cpu 0: I have lost count"));
	check_goes_on(&vm, 3);
	end(&vm);
}

/* --- Ops that loop. Time goes by, and the other cpus do what they would, as far as that matters here. */

static struct spinlock *waited_for;
static struct stuck_seen waiter, asker;

void faulty_spin(void)
{
	unsigned self = fake.this_cpu;
	unsigned nmis = fake.cpu[self].nmis;

	CHECK(++spins < 1000);
	fake.now_ns += NS_PER_MS;
	if (watched != NULL) {
		fake_be_cpu(self == 0);
		stuck_look(&watched->domain[0].lock, &waiter);
		stuck_look(&pool_asking, &asker);
	} else if (others_spin) {
		fake_be_cpu(self == 0);
		stuck_look(waited_for, &waiter);
	} else if (self != 0) {
		fake_be_cpu(0);
		pool_watch();
	} else {
		fake_be_cpu(1);
		timer_expire(&cpu_get(1)->timers, fake.now_ns);
	}
	fake_be_cpu(self);
	if (fake.cpu[self].nmis != nmis) {
		fake_take_nmi();
	}
}

static void looping(enum fault fault, unsigned first, unsigned last, const char *words)
{
	struct fake_vm vm;
	struct pool *p;
	uint64_t start_ns;

	begin(4);
	fake_vm_init(&vm, "a", 5);
	vm.v[4].act = fake_act_server;
	p = new_pool("p", &sched_faulty, first, last);
	fake_vm_start(&vm, p);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	set_fault(p, fault);
	start_ns = fake.now_ns;
	spins = 0;
	while (p->sched.ops == &sched_faulty || p->sched.ops == &p->limbo) {
		fake_guest_step(NS_PER_MS);
		CHECK(fake.now_ns - start_ns < 2 * NS_PER_S);
	}
	CHECK(spins >= 100 && spins <= 200);	/* ms */
	CHECK(log_says(words));
	CHECK(log_says("an op of a scheduler looped, and was abandoned; backtrace"));
	check_goes_on(&vm, 4);
	end(&vm);
}

TEST(loops, "an op that loops is abandoned after 100 to 200 ms, whoever looks: the cpu goes on, and its pool under rr")
{
	looping(FAULT_PICK_LOOPS, 1, 3, "pick on cpu 1: it did not come back in 100 ms");
	looping(FAULT_RELEASED_LOOPS, 1, 3, "released on cpu");
}

/* --- In a control operation: on the housekeeping cpu, where a neighbour looks at what it holds, or on the cpu that moves. */

static enum err operate(struct fake_vm *other, struct pool *p, enum fault fault)
{
	switch (fault) {
	case FAULT_LEAVE_LOOPS:
		return pool_remove_cpu(p, 2, &why);
	case FAULT_ADMIT_LOOPS:
	case FAULT_ADD_LOOPS:
		return pool_group_move(&other->g, p, &why);
	case FAULT_CHECK_LOOPS:
		return pool_check(p, &why) ? ERR_OK : ERR_STATE;
	case FAULT_JOIN_LOOPS:
		return pool_add_cpu(p, 4, &why);
	case FAULT_PIN_LOOPS:
		return pool_entity_pin(LIST_ENTRY(list_first(&p->entities), struct sched_entity, link), &p->cpus, &p->cpus, &why);
	case FAULT_BOUND_LOOPS:
		fake.now_ns += 2 * NS_PER_S;
		pool_watch();
		return ERR_OK;
	default:
		return ERR_OK;		/* set_fault() was it */
	}
}

static void operating(enum fault fault, enum err want, const char *op, const char *words)
{
	struct fake_vm vm, other;
	struct pool *p, *q;

	begin(5);
	p = start_faulty(&vm, 4, 1, 2);
	fake_vm_init(&other, "b", 1);
	q = new_pool("q", &sched_rr, 3, 3);
	fake_vm_start(&other, q);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	watched = p;
	waiter = asker = (struct stuck_seen){ 0 };
	spins = 0;
	set_fault(p, fault);
	CHECK_EQ(operate(&other, p, fault), want);
	CHECK(spins >= 100 && spins <= 200);
	CHECK(want == ERR_OK || strstr(why.words, words) != NULL);
	CHECK(log_says("an op of a scheduler looped, and was abandoned; backtrace"));
	CHECK(other.g.pool == (fault == FAULT_ADD_LOOPS ? p : q));
	CHECK_EQ(cpu_get(0)->held.ranks, 0);
	fake_guest_run(20 * NS_PER_MS, NS_PER_MS);
	CHECK_STR(p->sched.ops->name, "rr");
	CHECK(log_says(op));
	watched = NULL;
	if (fault == FAULT_ADD_LOOPS) {
		CHECK_EQ(pool_group_move(&other.g, q, &why), ERR_OK);
	}
	check_goes_on(&vm, 4);
	pool_group_remove(&other.g);
	CHECK_EQ(pool_destroy(q, &why), ERR_OK);
	end(&vm);
}

TEST(control, "an op that loops in a control operation is abandoned: what asks is refused, what tells is done, the machine lives")
{
	const char *not_back = "scheduler faulty did not come back from its op admit";

	operating(FAULT_ADMIT_LOOPS, ERR_TIMEOUT, "admit on cpu 0: it did not come back in 100 ms", not_back);
	operating(FAULT_ADD_LOOPS, ERR_OK, "add on cpu 0: it did not", "");
	operating(FAULT_LEAVE_LOOPS, ERR_OK, "leave on cpu 2: it did not", "");
	operating(FAULT_CHECK_LOOPS, ERR_STATE, "check on cpu 0: it did not", "check did not come back");
	operating(FAULT_TUNE_LOOPS, ERR_OK, "tune on cpu 0: it did not", "");
	operating(FAULT_JOIN_LOOPS, ERR_OK, "join on cpu 4: it did not", "");
	operating(FAULT_PIN_LOOPS, ERR_OK, "set_affinity on cpu 0: it did not", "");
	operating(FAULT_BOUND_LOOPS, ERR_OK, "wait_bound_ns on cpu 0: it did not", "");
}

/* A vCPU that runs, or one that waits, is held and let go; both, whatever loops meanwhile. */
static void holding(enum fault fault, bool running, const char *words)
{
	struct fake_vm vm;
	struct pool *p;
	unsigned i = 0;

	begin(3);
	p = start_faulty(&vm, 3, 1, 1);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	while (vm.v[i].e.on_slot != running) {
		i++;
	}
	watched = p;
	waiter = asker = (struct stuck_seen){ 0 };
	if (fault == FAULT_WAKE_LOOPS) {
		pool_entity_pause(&vm.v[i].e);
	}
	spins = 0;
	set_fault(p, fault);
	if (fault != FAULT_WAKE_LOOPS) {
		pool_entity_pause(&vm.v[i].e);
	}
	pool_entity_resume(&vm.v[i].e);
	CHECK(spins >= 100 && spins <= 200);
	CHECK_EQ(cpu_get(0)->held.ranks | cpu_get(1)->held.ranks, 0);
	fake_guest_run(20 * NS_PER_MS, NS_PER_MS);
	CHECK(log_says(words));
	watched = NULL;
	check_goes_on(&vm, 3);
	end(&vm);
}

TEST(holding, "a vCPU is held and let go although an op loops: the machine goes on")
{
	holding(FAULT_BLOCK_LOOPS, true, "block on cpu 1: it did not");
	holding(FAULT_BLOCK_LOOPS, false, "block on cpu 0: it did not");
	holding(FAULT_RELEASED_LOOPS, true, "released on cpu 1: it did not");
	holding(FAULT_WAKE_LOOPS, true, "wake on cpu 0: it did not");
}

TEST(wordless, "a policy that refuses without a word is quoted by name, with what its error means")
{
	struct fake_vm vm, other;
	struct pool *p;

	begin(2);
	p = start_faulty(&vm, 1, 1, 1);
	set_fault(p, FAULT_WORDLESS);
	fake_vm_init(&other, "b", 1);
	fake_vm_defaults(&other, p);
	memset(why.words, 'x', sizeof(why.words));
	CHECK_EQ(pool_group_add(p, &other.g, other.list, 1, &why), ERR_ADMISSION);
	CHECK_STR(why.words, "scheduler faulty: does not fit");
	end(&vm);
}

TEST(waiters, "one who waits for the domain sees that its holder loops")
{
	struct fake_vm vm;
	struct pool *p;

	begin(3);
	p = start_faulty(&vm, 2, 1, 1);
	waited_for = &p->domain[0].lock;
	waiter = (struct stuck_seen){ 0 };
	others_spin = true;
	set_fault(p, FAULT_PICK_LOOPS);
	fake_run_cpu(1);
	CHECK(spins >= 100 && spins <= 130);
	CHECK_EQ(cpu_get(1)->held.ranks, 0);
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	check_goes_on(&vm, 2);
	end(&vm);
}

TEST(house, "a neighbour finds the housekeeping cpu in an op that loops")
{
	struct fake_vm vm;
	struct pool *p;

	begin(2);
	p = start_faulty(&vm, 2, 0, 0);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	set_fault(p, FAULT_PICK_LOOPS);
	waited_for = &p->domain[0].lock;
	others_spin = true;
	waiter = (struct stuck_seen){ 0 };
	fake_run_cpu(0);
	CHECK(spins >= 100 && spins <= 130);
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	check_goes_on(&vm, 2);
	end(&vm);
}

/* Which cpus were poked in some seconds in which nothing happens. */
static unsigned disturbed(void)
{
	unsigned before[4], set = 0;

	fake_guest_run(2 * NS_PER_S, 10 * NS_PER_MS);	/* who was asked last still looks */
	for (unsigned id = 0; id < 4; id++) {
		before[id] = fake.cpu[id].pokes;
	}
	fake_guest_run(5 * NS_PER_S, 10 * NS_PER_MS);
	for (unsigned id = 0; id < 4; id++) {
		set |= (fake.cpu[id].pokes != before[id]) << id;
	}
	return set;
}

TEST(undisturbed, "who watches the housekeeping cpu is of a null pool only where there is no other cpu")
{
	struct pool *own, *null, *other;

	begin(4);
	own = new_pool("own", &sched_rr, 0, 0);
	null = new_pool("null", &sched_null, 1, 1);
	other = new_pool("other", &sched_rr, 2, 2);
	CHECK_EQ(disturbed(), 1 << 3);		/* a free one */
	CHECK_EQ(pool_add_cpu(other, 3, &why), ERR_OK);
	CHECK_EQ(disturbed(), 1 << 2);
	CHECK_EQ(pool_move_cpu(other, own, 3, &why), ERR_OK);
	CHECK_EQ(disturbed(), 1 << 3);		/* one of its own pool */
	CHECK_EQ(pool_move_cpu(own, null, 3, &why), ERR_OK);
	CHECK_EQ(disturbed(), 1 << 2);
	CHECK_EQ(pool_move_cpu(other, null, 2, &why), ERR_OK);
	CHECK(disturbed() != 0);
	CHECK_EQ(pool_destroy(own, &why), ERR_OK);
	CHECK_EQ(pool_destroy(null, &why), ERR_OK);
	CHECK_EQ(pool_destroy(other, &why), ERR_OK);
	fake_machine_fini();
}

TEST(innocent, "a cpu that holds its domain often but not long, or waits for one, is not taken to be stuck")
{
	struct spinlock l;
	struct stuck_seen seen = { 0 };
	struct cpu *self;

	begin(2);
	spin_init(&l, SPIN_RANK_DOMAIN);
	self = cpu_get(1);
	for (unsigned i = 0; i < 100; i++) {	/* another hold each time */
		fake_be_cpu(1);
		spin_lock(&l);
		fake_be_cpu(0);
		fake.now_ns += STUCK_LOOK_NS;
		stuck_look(&l, &seen);
		fake_be_cpu(1);
		CHECK(!stuck_verdict(self));
		spin_unlock(&l);
	}
	CHECK_EQ(fake.cpu[1].nmis, 0);
	spin_lock(&l);
	fake_be_cpu(0);
	for (unsigned i = 0; i <= STUCK_STRIKES; i++) {	/* one hold, but the cpu itself stood still: it took no NMI meanwhile */
		fake.now_ns += STUCK_LOOK_NS;
		stuck_look(&l, &seen);
	}
	CHECK_EQ(fake.cpu[1].nmis, STUCK_STRIKES);
	fake_be_cpu(1);
	CHECK(!stuck_verdict(self));
	self->stuck.waits = true;
	for (unsigned i = 0; i < 10; i++) {
		fake_be_cpu(0);
		fake.now_ns += STUCK_LOOK_NS;
		stuck_look(&l, &seen);
		fake_be_cpu(1);
		CHECK(!stuck_verdict(self));
	}
	spin_unlock(&l);
	fake_machine_fini();
}

TEST(right, "policies that keep the contract keep their pool, however long it is watched")
{
	static const struct sched_ops *const ops[] = { &sched_rr, &sched_null, &sched_faulty };

	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		struct fake_vm vm;
		struct pool *p;

		begin(4);
		fake_vm_init(&vm, "a", 2);
		vm.v[1].act = fake_act_server;
		p = new_pool("p", ops[i], 2, 3);
		fake_vm_start(&vm, p);
		for (unsigned s = 0; s < 30; s++) {
			fake_guest_run(NS_PER_S, 10 * NS_PER_MS);
			fake_event(&vm.v[1], 0);
		}
		CHECK(p->sched.ops == ops[i] && !p->fallen);
		end(&vm);
	}
}

static void wake_the_sleeper(void *sleeper)
{
	fake_event(sleeper, 0);
}

TEST(stops, "an op that loops in the middle of something else stops the machine, and says why")
{
	struct fake_vm vm;
	struct pool *p;
	const char *words;

	begin(2);
	p = start_faulty(&vm, 1, 1, 1);
	vm.v[0].act = fake_act_server;
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	waited_for = &p->domain[0].lock;
	waiter = (struct stuck_seen){ 0 };
	others_spin = true;
	set_fault(p, FAULT_WAKE_LOOPS);
	words = fake_panic_of(wake_the_sleeper, &vm.v[0]);
	CHECK(words != NULL && strncmp(words, "pool p: scheduler faulty loops in its op wake, ", 47) == 0);
	fake_be_cpu(0);
	spin_unlock(waited_for);	/* what the panic left, for the test's own end */
	end(&vm);
}

TEST(twice, "rr that takes over and fails too leaves its VMs held; they can move to another pool, and go on there")
{
	struct fake_vm vm;
	struct pool *p, *q;

	begin(3);
	fake_vm_init(&vm, "a", 2);
	p = new_pool("p", &sched_faulty, 1, 1);
	q = new_pool("q", &sched_rr, 2, 2);
	fake_vm_start(&vm, p);
	set_fault(p, FAULT_UNTIL);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	CHECK(p->fallen);
	pool_condemn(p, POOL_OP_check, NULL, "once more");
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	CHECK(log_says("scheduler rr failed: check on cpu 0: once more; its VMs are held"));
	CHECK_EQ(cpu_get(1)->current == NULL, true);
	CHECK_EQ(pool_group_move(&vm.g, q, &why), ERR_OK);
	check_goes_on(&vm, 2);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	end(&vm);
}
