# SPDX-License-Identifier: BSD-2-Clause
# Installs what is missing before anything is built. Make brings its own included files up to date before it looks at
# any goal, and starts over when one changed: so this comes first for every goal, and what the makefiles ask of the
# tools while they are read is asked again.

# Where Debian keeps sgdisk, which a user's PATH may lack.
export PATH := $(PATH):/usr/sbin:/sbin

# Not for goals that need nothing, nor for `make -n`.
ifeq ($(filter clean distclean help,$(MAKECMDGOALS))$(findstring n,$(firstword -$(MAKEFLAGS))),)
include $(BUILD)/deps.stamp.mk
endif

$(BUILD)/deps.stamp.mk: tools/deps.sh
	@tools/deps.sh
	@mkdir -p $(@D)
	@echo '# The packages of tools/deps.sh are there.' >$@
