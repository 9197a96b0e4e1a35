# SPDX-License-Identifier: BSD-2-Clause
# Programs that `make bench` has callgrind count: host sources as the kernel has them (-O2, some -Os), without
# sanitizers.

BENCH_SRCS := $(filter kernel/% pool/% sched/% acpi/%,$(HOST_SRCS) $(SCHED_SRCS)) tests/fake/machine.c tests/fake/guest.c tests/fake/serial.c \
	   tests/bench/pool_cost.c
BENCH_OBJS := $(BENCH_SRCS:%.c=$(BUILD)/bench/obj/%.o)

BENCH_OPTIMIZE := -O2
$(COLD_SRCS:%.c=$(BUILD)/bench/obj/%.o): BENCH_OPTIMIZE := -Os

$(BUILD)/bench/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(COMMON) $(BENCH_OPTIMIZE) -DTARN_HOST -ffunction-sections -fdata-sections -MMD -MP -c $< -o $@

$(BUILD)/bench/pool_cost: $(BENCH_OBJS)
	@echo "  LINK  $@"
	@$(CC) -Wl,--gc-sections,--wrap=heap_alloc,--wrap=heap_free -o $@ $^

-include $(BENCH_OBJS:.o=.d)

# The policies as the kernel has them: its own objects, driven by the simulator.
SCHED_COST_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard sched/*.c kernel/lib/*.c)) \
	   $(patsubst %.c,$(BUILD)/host/tool/%.o,$(wildcard tools/sim/*.c) kernel/cpusetexpr.c tests/bench/sched_cost.c)

$(BUILD)/bench/sched_cost: $(SCHED_COST_OBJS)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) -no-pie -o $@ $^

-include $(BUILD)/host/tool/tests/bench/sched_cost.d
