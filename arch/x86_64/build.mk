# SPDX-License-Identifier: BSD-2-Clause
# offsets.c is compiled to assembler text only; its marks become equates for NASM.

$(BUILD)/gen/offsets.inc: arch/x86_64/offsets.c
	@mkdir -p $(@D)
	@echo "  GEN   $@"
	@$(CC) $(KERNEL_CFLAGS) -MMD -MP -MF $(BUILD)/gen/offsets.d -MT $@ -S $< -o $(BUILD)/gen/offsets.s
	@sed -n 's/^[ \t]*#OFFSET \([A-Z0-9_]*\) \([0-9]*\)/%define \1 \2/p' $(BUILD)/gen/offsets.s > $@

$(BUILD)/obj/arch/x86_64/vmx/enter.asm.o $(BUILD)/obj/arch/x86_64/trampoline.asm.o: $(BUILD)/gen/offsets.inc

-include $(BUILD)/gen/offsets.d

# The exit path keeps no frame pointer: two instructions fewer a call, and the guest's rbp passes through untouched.
$(addprefix $(BUILD)/obj/,arch/x86_64/vmx/exit.o arch/x86_64/vmx/vcpu.o vm/vcpu.o vm/vexit.o vm/vmsr.o pool/dispatch.o): KERNEL_CFLAGS += -fomit-frame-pointer
