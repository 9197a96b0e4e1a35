# SPDX-License-Identifier: BSD-2-Clause
# The UEFI programs (GNU-EFI, gcc) and disk images.
#
#   make image [MANIFEST=f] [FILES="a b"] [ACPI=dir] [CPUS=4] [NODES=2] [MEM=1024] [IMAGE=build/tarn.img]
#   make run [EMU=auto|kvm|bochs|qemu] [CPUS=] [NODES=] [MEM=] and what image takes
#   make usb DEV=/dev/sdX [MANIFEST=f] [FILES="a b"]

EFI_CFLAGS := $(COMMON) -isystem /usr/include/efi -isystem /usr/include/efi/x86_64 -DGNU_EFI_USE_MS_ABI \
	   -maccumulate-outgoing-args -Os -ffreestanding -fpic -fvisibility=hidden -fshort-wchar -mno-red-zone \
	   -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none
EFI_LDFLAGS := -nostdlib -znocombreloc -shared -Bsymbolic -znoexecstack --no-undefined \
	   -T /usr/lib/elf_x86_64_efi.lds -L/usr/lib /usr/lib/crt0-efi-x86_64.o
EFI_SECTIONS := -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j '.rel*' -j .reloc
EFI_LIB_SRCS := kernel/lib/mem.c kernel/lib/string.c kernel/lib/format.c kernel/lib/err.c boot/uefi.c
LOADER_SRCS := $(EFI_LIB_SRCS) boot/main.c boot/memory.c boot/cpu.c boot/files.c boot/kernel.c boot/handoff.c \
	   kernel/lib/manifest_files.c kernel/lib/ini.c boot/pure/boot_elf.c boot/pure/boot_map.c boot/pure/boot_paging.c
FRONT_SRCS := $(EFI_LIB_SRCS) boot/front.c boot/start.c boot/pure/boot_acpi.c
LOADER_OBJS := $(LOADER_SRCS:%.c=$(BUILD)/efi/%.o) $(BUILD)/efi/boot/jump.asm.o
FRONT_OBJS := $(FRONT_SRCS:%.c=$(BUILD)/efi/%.o)

$(BUILD)/efi/%.o: %.c
	@mkdir -p $(@D)
	@echo "  EFI   $<"
	@$(CC) $(EFI_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/efi/kernel/lib/mem.o: EFI_CFLAGS += -fno-tree-loop-distribute-patterns

$(BUILD)/efi/%.asm.o: %.asm
	@mkdir -p $(@D)
	@echo "  NASM  $<"
	@$(NASM) -f elf64 -w+all -Werror $< -o $@

# A kernel as it is embedded: NAME.elf without symbols, as an object.
$(BUILD)/%.blob.o: $(BUILD)/%.elf boot/blob.asm
	@echo "  BLOB  $<"
	@objcopy --strip-all $< $(BUILD)/$*.stripped.elf
	@$(NASM) -f elf64 -w+all -Werror -DKERNEL_ELF='"$(BUILD)/$*.stripped.elf"' boot/blob.asm -o $@

# $(call efi_link,OBJECTS): an EFI application of them at $@.
define efi_link
@mkdir -p $(@D)
@echo "  EFI   $@"
@ld $(EFI_LDFLAGS) -o $@.so $(1) -lgnuefi
@objcopy $(EFI_SECTIONS) --target=efi-app-x86_64 $@.so $@
@rm $@.so
endef

$(BUILD)/BOOTX64.EFI: $(LOADER_OBJS) $(BUILD)/tarn.blob.o
	$(call efi_link,$^)

$(BUILD)/FRONT.EFI: $(FRONT_OBJS)
	$(call efi_link,$^)

-include $(LOADER_OBJS:.o=.d) $(FRONT_OBJS:.o=.d)

# --- A tiny kernel that checks the hand-off and reports on COM1, for the loader's own machine test.
BOOTTEST_OBJS := $(addprefix $(BUILD)/obj/,tests/boot/entry.asm.o tests/boot/kernel.o kernel/lib/mem.o \
	   kernel/lib/string.o kernel/lib/format.o kernel/lib/err.o)

$(BUILD)/boottest.elf: $(BOOTTEST_OBJS) linker.ld
	@echo "  LINK  $@"
	@ld -nostdlib -static --gc-sections -z max-page-size=4096 -z noexecstack -T linker.ld -o $@ $(BOOTTEST_OBJS)

$(BUILD)/BOOTTEST.EFI: $(LOADER_OBJS) $(BUILD)/boottest.blob.o
	$(call efi_link,$^)

-include $(BOOTTEST_OBJS:.o=.d)

# --- A program that locks VT-x off, as a firmware may, and then starts Tarn: for a machine test.
LOCK_OBJS := $(patsubst %.c,$(BUILD)/efi/%.o,$(EFI_LIB_SRCS) boot/start.c tests/boot/lock.c)

$(BUILD)/LOCK.EFI: $(LOCK_OBJS)
	$(call efi_link,$^)

-include $(LOCK_OBJS:.o=.d)

# --- Disk images. The variables are a user's; a change of one rebuilds (the stamp holds what they were).
# `make run` without a manifest is the demo, with the Linux guest that tests/build.mk makes.
ifneq ($(filter run,$(MAKECMDGOALS)),)
MANIFEST ?= $(wildcard manifests/demo.conf)
ifeq ($(MANIFEST),manifests/demo.conf)
FILES	?= $(BUILD)/guest/vmlinuz $(BUILD)/guest/initrd.gz
MEM	?= 2048
endif
IMAGE	?= $(BUILD)/run.img
endif
IMAGE	?= $(BUILD)/tarn.img
MANIFEST ?=
FILES	?=
ACPI	?=
CPUS	?= 4
NODES	?= 2
MEM	?= 1024
# The program that the image starts: a test puts another one here.
IMAGE_TARN ?= $(BUILD)/BOOTX64.EFI

# $(call stamp,FILE,TEXT): writes TEXT into FILE where it says something else.
stamp = $(shell mkdir -p $(dir $(1)); printf '%s\n' "$(2)" | cmp -s - $(1) || printf '%s\n' "$(2)" >$(1))
ifneq ($(filter image run usb $(IMAGE),$(MAKECMDGOALS)),)
$(call stamp,$(IMAGE).args,$(MANIFEST) | $(FILES) | $(ACPI) | $(CPUS) $(NODES) $(MEM) | $(IMAGE_TARN))
endif

.PHONY: image
image: $(IMAGE)
	@echo "$(IMAGE): tables $(if $(ACPI),of $(ACPI),for $(CPUS) cpus, $(NODES) nodes and $(MEM) MiB where the firmware has none)"

$(BUILD)/acpi/$(CPUS)-$(NODES)-$(MEM)/FACP.dat: tools/acpi-gen.py
	@mkdir -p $(@D)
	@echo "  ACPI  $(@D)"
	@tools/acpi-gen.py $(CPUS) $(NODES) $(MEM) $(@D)

# The machine's own part of the tables, which ACPI=dir does not bring.
$(BUILD)/acpi/base/FACP.dat: $(BUILD)/acpi/$(CPUS)-$(NODES)-$(MEM)/FACP.dat
	@mkdir -p $(@D)
	@cp $(<D)/DSDT.dat $< $(@D)

IMAGE_TABLES = $(if $(ACPI),--acpi $(ACPI) --replace --base $(BUILD)/acpi/base,--acpi $(BUILD)/acpi/$(CPUS)-$(NODES)-$(MEM))
IMAGE_CONTENTS = $(if $(MANIFEST),--manifest $(MANIFEST)) $(addprefix --file ,$(FILES))
IMAGE_INPUTS = $(MANIFEST) $(FILES) tools/image.py

$(IMAGE): $(IMAGE_TARN) $(BUILD)/FRONT.EFI $(IMAGE_INPUTS) $(wildcard $(ACPI)/*.dat) $(wildcard $(IMAGE).args) \
	   $(BUILD)/acpi/$(if $(ACPI),base,$(CPUS)-$(NODES)-$(MEM))/FACP.dat
	@echo "  IMAGE $@"
	@tools/image.py $@ --tarn $(IMAGE_TARN) --front $(BUILD)/FRONT.EFI $(IMAGE_TABLES) $(IMAGE_CONTENTS)

.PHONY: usb
usb: $(BUILD)/BOOTX64.EFI $(IMAGE_INPUTS)
	@tools/image.py $(BUILD)/usb.img --tarn $(BUILD)/BOOTX64.EFI $(IMAGE_CONTENTS)
	@tools/usb.sh "$(DEV)" $(BUILD)/usb.img

.PHONY: run
EMU	?= auto
run: $(IMAGE)
	@tools/run.py --emu $(EMU) --cpus $(CPUS) --nodes $(NODES) --mem $(MEM) $(IMAGE)
