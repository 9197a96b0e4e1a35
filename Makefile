# SPDX-License-Identifier: BSD-2-Clause
# Tarn's build. `make help` lists what a person wants; the parts live beside what they build (*.mk).

BUILD	?= build
CC	:= gcc
NASM	:= nasm
ROOT	:= $(CURDIR)

# Handlers of one shape need not use all that they are given: hence -Wno-unused-parameter.
WARN	:= -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wconversion -Wundef \
	   -Wpointer-arith -Wwrite-strings -Wvla -Wno-sign-conversion -Wno-unused-parameter
COMMON	:= -std=gnu17 -I. -I$(BUILD)/gen $(WARN) -g

# --- the kernel: freestanding, no FPU, linked high --------------------------------------------------------------
KERNEL_CFLAGS := $(COMMON) -O2 -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
	   -fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fcf-protection=none \
	   -ffunction-sections -fdata-sections
KERNEL_SRCS := $(wildcard kernel/lib/*.c acpi/*.c sched/*.c kernel/*.c pool/*.c vm/*.c \
	   arch/x86_64/*.c arch/x86_64/pure/*.c arch/x86_64/vmx/*.c arch/x86_64/vmx/pure/*.c)
KERNEL_SRCS := $(filter-out arch/x86_64/offsets.c,$(KERNEL_SRCS))
KERNEL_ASMS := $(wildcard arch/x86_64/*.asm arch/x86_64/vmx/*.asm)
KERNEL_OBJS := $(KERNEL_SRCS:%.c=$(BUILD)/obj/%.o) $(KERNEL_ASMS:%.asm=$(BUILD)/obj/%.asm.o)

.PHONY: all
all: $(BUILD)/BOOTX64.EFI

$(BUILD)/tarn.elf: $(KERNEL_OBJS) linker.ld
	@echo "  LINK  $@"
	@ld -nostdlib -static --gc-sections -z max-page-size=4096 -z noexecstack -T linker.ld -o $@ $(KERNEL_OBJS)

# What no guest waits for, or seldom, is built small.
COLD_SRCS := $(wildcard acpi/*.c */*command*.c kernel/manifest*.c vm/load*.c vm/vm_*.c) \
	   $(addprefix kernel/,cpusetexpr.c json.c lineedit.c main.c mem_boot.c platform.c shell.c topology.c) \
	   $(addprefix kernel/lib/,ini.c manifest_files.c parse.c) \
	   $(addprefix arch/x86_64/,cputopo.c ioapic.c paging.c power.c pure/mitigate.c rtc.c smp.c vmx/pure/controls.c vmx/vmx.c) \
	   $(addprefix pool/,args.c fall.c pool_manifest.c watch.c) \
	   $(addprefix sched/,credit2_queues.c credit2_report.c edf_change.c edf_report.c registry.c) \
	   $(addprefix vm/,guest_acpi.c image.c)
$(COLD_SRCS:%.c=$(BUILD)/obj/%.o): KERNEL_CFLAGS += -Os

# The mem* functions must not be turned into calls of themselves.
$(BUILD)/obj/kernel/lib/mem.o: KERNEL_CFLAGS += -fno-tree-loop-distribute-patterns

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(KERNEL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/obj/%.asm.o: %.asm Makefile
	@mkdir -p $(@D)
	@echo "  NASM  $<"
	@$(NASM) -f elf64 -g -F dwarf -w+all -Werror -I. -I$(BUILD)/gen/ -MD $(@:.o=.d) $< -o $@

include tools/deps.mk
-include boot/build.mk
-include tests/build.mk
-include tools/build.mk
-include arch/x86_64/build.mk
-include $(KERNEL_OBJS:.o=.d)

define HELP
make                    build/BOOTX64.EFI (Tarn, all of it in one file) and build/tarn.elf (its kernel, with symbols)
make run                the demo on an emulated machine, this terminal as its serial console; Ctrl-A X quits
                          EMU=auto|kvm|bochs|qemu CPUS=4 NODES=2 MEM=2048
                          MANIFEST=file FILES="a b"   another manifest, with the guests' files it names
make test               everything that can be checked here; the last line is `N passed, N failed`
                          T=text   only tests whose sentence holds text
make quick              the tests that need no emulator
make bench              what exits, start-up and the program itself cost, in instructions and bytes
make image              build/tarn.img, a disk image; MANIFEST= FILES= CPUS= NODES= MEM= and ACPI=dir of tables
make usb DEV=/dev/sdX   the same on a stick, for a real machine: shows what DEV is and asks first
make check-layers       who may include whom, and the rules of form
make build/host/tarn-check   the linter for manifests and ACPI tables
make build/host/tarn-sim     the scheduler simulator (docs/simulator.md)
make clean              removes build/; `make distclean` also what was downloaded (.cache/)

Missing Debian packages are installed by whatever needs them (tools/deps.sh says what and why).
docs/testing.md has more on tests, README.md on the rest.
endef

.PHONY: help
help:
	$(info $(HELP))
	@:

.PHONY: clean distclean
clean:
	rm -rf $(BUILD)

# Also what was downloaded.
distclean: clean
	rm -rf .cache
