# SPDX-License-Identifier: BSD-2-Clause
# Programs that `make bench` has callgrind count: host sources as the kernel has them (-O2), without sanitizers.

BENCH_SRCS := $(filter kernel/% pool/% sched/% acpi/%,$(HOST_SRCS) $(SCHED_SRCS)) tests/fake/machine.c tests/fake/guest.c \
	   tests/bench/pool_cost.c
BENCH_OBJS := $(BENCH_SRCS:%.c=$(BUILD)/bench/obj/%.o)

$(BUILD)/bench/obj/%.o: %.c
	@mkdir -p $(@D)
	@$(CC) $(COMMON) -O2 -DTARN_HOST -ffunction-sections -fdata-sections -MMD -MP -c $< -o $@

$(BUILD)/bench/pool_cost: $(BENCH_OBJS)
	@echo "  LINK  $@"
	@$(CC) -Wl,--gc-sections,--wrap=heap_alloc,--wrap=heap_free -o $@ $^

-include $(BENCH_OBJS:.o=.d)
