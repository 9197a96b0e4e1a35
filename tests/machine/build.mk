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

# Host-side programs that tests use, where their sources are there.
host-tools: $(foreach t,tarn-check tarn-sim,$(if $(wildcard tools/$(t).c),$(BUILD)/host/$(t))) \
	   $(if $(wildcard tools/tarn-check.c),$(BUILD)/host/tarn-check-asan)

# What machine tests put into their images: the tiny guests (tests/guests/), and Linux with a busybox.
test-guests: $(BUILD)/guest/vmlinuz $(BUILD)/guest/initrd.gz

$(BUILD)/guest/vmlinuz $(BUILD)/guest/initrd.gz &: tools/guest-kernel.sh tools/guest-init.sh tools/mkinitrd.py
	@tools/guest-kernel.sh $(BUILD)/guest

# Guests that nobody here wrote (tests/machine/guests.py); `make test SLOW=1` runs the slow ones too.
test-guests: $(BUILD)/guest/gnumach $(BUILD)/guest/vmlinux

REAL_GUESTS := gnumach invaders memtest vmlinuz-full vmlinuz-rt xen
$(REAL_GUESTS:%=$(BUILD)/guest/%): tools/guest-images.sh
	@tools/guest-images.sh $(BUILD)/guest $(@F)
	@touch $@

$(BUILD)/guest/vmlinux: $(BUILD)/guest/vmlinuz tools/guest-images.sh tools/unpack-kernel.py
	@tools/guest-images.sh $(BUILD)/guest $(@F)
