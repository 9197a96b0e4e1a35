# SPDX-License-Identifier: BSD-2-Clause
# LEAK.EFI: Tarn with leaks of guest state planted into copies of sources (plant.py), for the test of that test.

LEAK_SRCS := arch/x86_64/vmx/vcpu.c arch/x86_64/vmx/kept.c
LEAK_OBJS := $(LEAK_SRCS:%.c=$(BUILD)/leak/%.o)

$(BUILD)/leak/%.c: %.c tests/leak/plant.py
	@mkdir -p $(@D)
	@echo "  LEAK  $<"
	@tests/leak/plant.py $< $@

$(BUILD)/leak/%.o: $(BUILD)/leak/%.c
	@$(CC) $(KERNEL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/leak.elf: $(filter-out $(LEAK_SRCS:%.c=$(BUILD)/obj/%.o),$(KERNEL_OBJS)) $(LEAK_OBJS) linker.ld
	@echo "  LINK  $@"
	@ld -nostdlib -static --gc-sections -z max-page-size=4096 -z noexecstack -T linker.ld -o $@ $(filter %.o,$^)

$(BUILD)/LEAK.EFI: $(LOADER_OBJS) $(BUILD)/leak.blob.o
	$(call efi_link,$^)

-include $(LEAK_OBJS:.o=.d)
