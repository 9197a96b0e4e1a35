# SPDX-License-Identifier: BSD-2-Clause
# Host programs. Each is built twice: plain, and with ASan and UBSan for the tests (from the host tests' objects).

TOOL_CFLAGS := $(COMMON) -O2 -DTARN_HOST

# tarn-check: the manifest and topology linter.
CHECK_SRCS := tools/tarn-check.c tools/tables.c $(wildcard tools/check_*.c)
CHECK_LIB_SRCS := $(filter-out kernel/lib/mem.c,$(wildcard kernel/lib/*.c)) $(wildcard acpi/*.c sched/*.c) kernel/topology.c \
	   kernel/cpusetexpr.c $(wildcard kernel/manifest*.c)
CHECK_OBJS := $(CHECK_SRCS:%.c=$(BUILD)/host/tool/%.o) $(CHECK_LIB_SRCS:%.c=$(BUILD)/host/tool/%.o)
CHECK_ASAN_OBJS := $(CHECK_SRCS:%.c=$(BUILD)/host/obj/%.o) $(CHECK_LIB_SRCS:%.c=$(BUILD)/host/obj/%.o)

$(BUILD)/host/tool/%.o: %.c
	@mkdir -p $(@D)
	@echo "  TOOL  $<"
	@$(CC) $(TOOL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/host/tarn-check: $(CHECK_OBJS)
	@echo "  LINK  $@"
	@$(CC) $(TOOL_CFLAGS) -o $@ $(CHECK_OBJS)

$(BUILD)/host/tarn-check-asan: $(CHECK_ASAN_OBJS)
	@echo "  LINK  $@"
	@$(CC) $(HOST_CFLAGS) -o $@ $(CHECK_ASAN_OBJS)

# tarn-sim: the scheduler simulator.
SIM_SRCS := tools/tarn-sim.c $(wildcard tools/sim/*.c) kernel/cpusetexpr.c $(wildcard sched/*.c) \
	   $(filter-out kernel/lib/mem.c,$(wildcard kernel/lib/*.c))
SIM_OBJS := $(SIM_SRCS:%.c=$(BUILD)/host/tool/%.o)
SIM_ASAN_OBJS := $(SIM_SRCS:%.c=$(BUILD)/host/obj/%.o)

$(BUILD)/host/tarn-sim: $(SIM_OBJS)
	@echo "  LINK  $@"
	@$(CC) $(TOOL_CFLAGS) -o $@ $(SIM_OBJS)

$(BUILD)/host/tarn-sim-asan: $(SIM_ASAN_OBJS)
	@echo "  LINK  $@"
	@$(CC) $(HOST_CFLAGS) -o $@ $(SIM_ASAN_OBJS)

.PHONY: bench
bench: all
	@BUILD=$(BUILD) /usr/bin/python3 tools/bench

-include $(CHECK_OBJS:.o=.d) $(CHECK_ASAN_OBJS:.o=.d) $(SIM_OBJS:.o=.d) $(SIM_ASAN_OBJS:.o=.d)
