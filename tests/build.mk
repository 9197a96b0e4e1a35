# SPDX-License-Identifier: BSD-2-Clause
# Host tests: every tests/host/test_*.c is a program, linked with what it needs of the host-buildable sources
# (and the fake machine) under ASan and UBSan.

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
HOST_CFLAGS := $(COMMON) -O1 -fno-omit-frame-pointer $(SANITIZE) -DTARN_HOST
# Parts of arch that are pure functions.
ARCH_PURE := $(wildcard arch/x86_64/pure/*.c arch/x86_64/vmx/pure/*.c)
BOOT_PURE := $(wildcard boot/pure/*.c)
HOST_SRCS := $(filter-out kernel/lib/mem.c kernel/heap.c kernel/main.c, \
	   $(wildcard kernel/lib/*.c acpi/*.c kernel/*.c pool/*.c vm/*.c)) \
	   $(ARCH_PURE) $(BOOT_PURE) $(wildcard tests/fake/*.c tools/sim/*.c)
SCHED_SRCS := $(wildcard sched/*.c)
HOST_OBJS := $(HOST_SRCS:%.c=$(BUILD)/host/obj/%.o)
SCHED_OBJS := $(SCHED_SRCS:%.c=$(BUILD)/host/obj/%.o)
HOST_TESTS := $(patsubst tests/host/%.c,$(BUILD)/host/%,$(wildcard tests/host/test_*.c))

$(BUILD)/host/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  HOST  $<"
	@$(CC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/host/libtarn.a: $(HOST_OBJS)
	@rm -f $@
	@ar rcs $@ $(HOST_OBJS)

$(BUILD)/host/test_%: $(BUILD)/host/obj/tests/host/test_%.o $(BUILD)/host/obj/tests/host/test.o $(SCHED_OBJS) $(BUILD)/host/libtarn.a
	@echo "  LINK  $@"
	@$(CC) $(HOST_CFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(BUILD)/host/libtarn.a -Wl,--end-group -lm

# Commands register themselves and export nothing: an archive would leave them out.
$(BUILD)/host/test_manifest_commands: $(BUILD)/host/obj/pool/manifest_commands.o
$(BUILD)/host/test_pool_commands: $(BUILD)/host/obj/pool/pool_commands.o $(BUILD)/host/obj/pool/sched_commands.o
VM_TESTS := $(patsubst tests/host/%.c,$(BUILD)/host/%,$(wildcard tests/host/test_vm.c tests/host/test_vm_*.c tests/host/test_vsteal.c \
	tests/host/test_no_memory.c))
$(VM_TESTS): $(patsubst %.c,$(BUILD)/host/obj/%.o,$(wildcard vm/*commands.c) pool/pool_commands.c kernel/file_commands.c)

# The policy on the page: its indented block from the SPDX line on.
DOC_POLICY := $(BUILD)/host/obj/doc_policy
$(DOC_POLICY).c: docs/writing-a-scheduler.md
	@mkdir -p $(@D)
	@sed -n '/^    \/\* SPDX/,/^[^ ]/{/^    /s///p;/^$$/p}' $< > $@

$(DOC_POLICY).o: $(DOC_POLICY).c sched/sched.h
	@echo "  HOST  $<"
	@$(CC) $(HOST_CFLAGS) -c $< -o $@

$(BUILD)/host/test_doc_policy: $(DOC_POLICY).o

# The example in C on the simulator's page.
$(BUILD)/gen/doc_sim.inc: docs/simulator.md
	@mkdir -p $(@D)
	@sed -n '/^    struct sim /,/^[^ ]/{/^    /s///p;/^$$/p}' $< > $@

$(BUILD)/host/obj/tests/host/test_doc_policy.o: $(BUILD)/gen/doc_sim.inc

.PHONY: host-tests
host-tests: $(HOST_TESTS)
	@for t in $(HOST_TESTS); do $$t || exit 1; done

-include $(HOST_OBJS:.o=.d) $(SCHED_OBJS:.o=.d)

# Objects of test programs are kept: make would take them for intermediate files and compile them again every time.
.SECONDARY:

include tests/machine/build.mk
-include $(patsubst tests/host/%.c,$(BUILD)/host/obj/tests/host/%.d,$(wildcard tests/host/*.c))
include tests/guests/build.mk
include tests/leak/build.mk
include tests/policies/build.mk
include tests/bench/build.mk
