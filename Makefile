# SPDX-License-Identifier: BSD-2-Clause
# Tarn's build. `make help` lists what a person wants; the parts live beside what they build (*.mk).

BUILD	?= build
CC	:= gcc
NASM	:= nasm
ROOT	:= $(CURDIR)

WARN	:= -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wconversion -Wundef \
	   -Wpointer-arith -Wwrite-strings -Wvla -Wno-sign-conversion
COMMON	:= -std=gnu17 -I. -I$(BUILD)/gen $(WARN) -g

# --- the kernel: freestanding, no FPU, linked high --------------------------------------------------------------
KERNEL_CFLAGS := $(COMMON) -O2 -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
	   -fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fcf-protection=none \
	   -ffunction-sections -fdata-sections
KERNEL_SRCS := $(wildcard kernel/lib/*.c acpi/*.c sched/*.c kernel/*.c pool/*.c vm/*.c \
	   arch/x86_64/*.c arch/x86_64/vmx/*.c arch/x86_64/vmx/pure/*.c)
KERNEL_SRCS := $(filter-out arch/x86_64/offsets.c,$(KERNEL_SRCS))
KERNEL_ASMS := $(wildcard arch/x86_64/*.asm arch/x86_64/vmx/*.asm)
KERNEL_OBJS := $(KERNEL_SRCS:%.c=$(BUILD)/obj/%.o) $(KERNEL_ASMS:%.asm=$(BUILD)/obj/%.asm.o)

.PHONY: all
all: $(BUILD)/BOOTX64.EFI

$(BUILD)/tarn.elf: $(KERNEL_OBJS) linker.ld
	@echo "  LINK  $@"
	@ld -nostdlib -static --gc-sections -z max-page-size=4096 -z noexecstack -T linker.ld -o $@ $(KERNEL_OBJS)

# The mem* functions must not be turned into calls of themselves.
$(BUILD)/obj/kernel/lib/mem.o: KERNEL_CFLAGS += -fno-tree-loop-distribute-patterns

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(KERNEL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/obj/%.asm.o: %.asm
	@mkdir -p $(@D)
	@echo "  NASM  $<"
	@$(NASM) -f elf64 -g -F dwarf -w+all -Werror -I. -I$(BUILD)/gen/ -MD $(@:.o=.d) $< -o $@

include tools/deps.mk
-include boot/build.mk
-include tests/build.mk
-include tools/build.mk
-include arch/x86_64/build.mk
-include $(KERNEL_OBJS:.o=.d)

.PHONY: clean distclean
clean:
	rm -rf $(BUILD)

# Also what was downloaded.
distclean: clean
	rm -rf .cache
