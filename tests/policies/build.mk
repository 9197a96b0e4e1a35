# SPDX-License-Identifier: BSD-2-Clause
# FAULTY.EFI: Tarn with the policies of this folder beside its own, which break the contract on demand.

FAULTY_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/policies/*.c))

$(BUILD)/faulty.elf: $(KERNEL_OBJS) $(FAULTY_OBJS) linker.ld
	@echo "  LINK  $@"
	@ld -nostdlib -static --gc-sections -z max-page-size=4096 -z noexecstack -T linker.ld -o $@ $(filter %.o,$^)

$(BUILD)/FAULTY.EFI: $(LOADER_OBJS) $(BUILD)/faulty.blob.o
	$(call efi_link,$^)

test-guests: $(BUILD)/FAULTY.EFI

-include $(FAULTY_OBJS:.o=.d)
