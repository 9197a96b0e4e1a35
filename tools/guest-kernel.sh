#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Fetches a Linux kernel and a busybox out of Debian's packages (debian.sh) and makes
#
#	OUT/vmlinuz	Debian's newest cloud kernel
#	OUT/initrd.gz	busybox, tools/guest-init.sh and PROGRAMs
#
#	tools/guest-kernel.sh OUT [PROGRAM...]

out=${1:?usage: guest-kernel.sh OUT [PROGRAM...]}
shift
. "$(dirname "$0")/debian.sh"

deb busybox-static 'busybox-static_*.deb'
file bin/busybox >"$out/busybox"
chmod +x "$out/busybox"
/usr/bin/python3 "$here/mkinitrd.py" "$out/busybox" "$here/guest-init.sh" "$out/initrd.gz.new" "$@"
deb linux-image-cloud-amd64 'linux-image-*-cloud-amd64_*.deb'
file 'boot/vmlinuz-*' >"$out/vmlinuz.new"
[ -s "$out/vmlinuz.new" ] || { echo "error: no kernel was unpacked from $deb" >&2; exit 1; }
mv "$out/vmlinuz.new" "$out/vmlinuz"
mv "$out/initrd.gz.new" "$out/initrd.gz"
