# SPDX-License-Identifier: BSD-2-Clause
# Test guests: every tests/guests/NAME.c but guest.c, trap.c and lapic.c is a kernel build/guests/NAME.elf, to be named by `kernel =`.

GUEST_CFLAGS := $(COMMON) -O2 -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only \
	   -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none
GUEST_NAMES := $(filter-out guest trap lapic,$(patsubst tests/guests/%.c,%,$(wildcard tests/guests/*.c)))
GUEST_ELFS := $(GUEST_NAMES:%=$(BUILD)/guests/%.elf)
GUEST_SHARED := $(BUILD)/guests/obj/start.o $(BUILD)/guests/obj/guest.o $(BUILD)/guests/obj/trap.o \
	   $(BUILD)/guests/obj/trap_enter.o $(BUILD)/guests/obj/lapic.o

.PHONY: guests
guests: $(GUEST_ELFS)

# Machine tests put them into their images.
test-guests: $(GUEST_ELFS)

$(BUILD)/guests/obj/%.o: tests/guests/%.c
	@mkdir -p $(@D)
	@echo "  GUEST $<"
	@$(CC) $(GUEST_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/guests/obj/start.o: tests/guests/start.asm
$(BUILD)/guests/obj/trap_enter.o: tests/guests/trap.asm
$(BUILD)/guests/obj/ac.o: tests/guests/attack_ac.asm
$(BUILD)/guests/obj/attack_ap.o: tests/guests/attack_ap.asm
$(BUILD)/guests/attack_end.elf: $(BUILD)/guests/obj/ac.o
$(BUILD)/guests/attack_smp.elf: $(BUILD)/guests/obj/ac.o $(BUILD)/guests/obj/attack_ap.o
$(BUILD)/guests/obj/ap.o: tests/guests/ap.asm
$(BUILD)/guests/smp.elf: $(BUILD)/guests/obj/ap.o
$(addprefix $(BUILD)/guests/obj/,start.o trap_enter.o ac.o ap.o attack_ap.o):
	@mkdir -p $(@D)
	@echo "  NASM  $<"
	@$(NASM) -f elf64 -g -F dwarf -w+all -Werror $< -o $@

$(BUILD)/guests/%.elf: $(BUILD)/guests/obj/%.o $(GUEST_SHARED) tests/guests/guest.ld
	@echo "  LINK  $@"
	@ld -nostdlib -static --gc-sections -z max-page-size=4096 -z noexecstack -T tests/guests/guest.ld -o $@ \
		$(filter %.o,$^)

-include $(GUEST_NAMES:%=$(BUILD)/guests/obj/%.d) $(BUILD)/guests/obj/guest.d $(BUILD)/guests/obj/trap.d $(BUILD)/guests/obj/lapic.d
