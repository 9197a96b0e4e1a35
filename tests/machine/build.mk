# SPDX-License-Identifier: BSD-2-Clause
# `make test` and its parts. T=TEXT keeps the tests whose sentence holds TEXT.

.PHONY: test quick check-layers host-programs host-tools test-guests machine-tests

# No prerequisites: the runner builds part by part, so that what does not build is one failure among the others.
test:
	@BUILD=$(BUILD) tests/run.py $(if $(T),"$(T)")

quick:
	@BUILD=$(BUILD) tests/run.py --quick $(if $(T),"$(T)")

machine-tests: all test-guests
	@BUILD=$(BUILD) tests/machine/run.py $(if $(T),--only "$(T)")

check-layers:
	@tools/check-layers.py

host-programs: $(HOST_TESTS)

# Host-side programs that tests use.
host-tools: $(addprefix $(BUILD)/host/tarn-,check check-asan sim sim-asan)

# What machine tests put into their images: the tiny guests (tests/guests/), and Linux with a busybox.
test-guests: $(BUILD)/guest/vmlinuz $(BUILD)/guest/initrd.gz

$(BUILD)/guest/vmlinuz $(BUILD)/guest/initrd.gz &: tools/guest-kernel.sh tools/debian.sh tools/guest-init.sh tools/mkinitrd.py $(BUILD)/guest/load
	@tools/guest-kernel.sh $(BUILD)/guest $(BUILD)/guest/load

# What SMP Linux guests run in their initramfs.
$(BUILD)/guest/load: tests/linux/load.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) -std=gnu17 -O2 $(WARN) -static -o $@ $< -pthread

# Guests that nobody here wrote (list_guests.py); `make test SLOW=1` runs the slow ones too.
test-guests: $(BUILD)/guest/gnumach $(BUILD)/guest/invaders $(BUILD)/guest/vmlinux

REAL_GUESTS := gnumach invaders memtest vmlinuz-full vmlinuz-rt xen
$(REAL_GUESTS:%=$(BUILD)/guest/%): tools/guest-images.sh tools/debian.sh
	@tools/guest-images.sh $(BUILD)/guest $(@F)
	@touch $@

$(BUILD)/guest/vmlinux: $(BUILD)/guest/vmlinuz tools/guest-images.sh tools/unpack-kernel.py
	@tools/guest-images.sh $(BUILD)/guest $(@F)

# Images with one field made wrong, for list_life.py: hello.elf's second segment starts at offset 120 of its headers.
BAD_GUESTS := $(addprefix $(BUILD)/guests/bad-,cut.elf arm.elf overlap.elf big.elf)
test-guests: $(BAD_GUESTS)
change = cp $< $@ && printf '$(1)' | dd of=$@ bs=1 seek=$(2) conv=notrunc status=none
$(BAD_GUESTS): $(BUILD)/guests/hello.elf
$(BUILD)/guests/bad-cut.elf: ; @head -c 4200 $< >$@
$(BUILD)/guests/bad-arm.elf: ; @$(call change,\267,18)		# e_machine: AArch64
$(BUILD)/guests/bad-overlap.elf: ; @$(call change,\0\0\020,144)	# p_paddr: that of the first
$(BUILD)/guests/bad-big.elf: ; @$(call change,\377\377\377\177,160)	# p_memsz
