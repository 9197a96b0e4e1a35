#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Fetches guests that nobody here wrote out of Debian's packages, unpacked and never installed, and puts into OUT
#
#	vmlinux				the cloud kernel of tools/guest-kernel.sh, unpacked: started by its PVH note
#	gnumach				GNU Mach (Multiboot 1, ELF64 with 32-bit entry)
#	invaders			grub-invaders (Multiboot 1, address fields)
#	memtest				memtest86+ (bzImage)
#	vmlinuz-full, vmlinuz-rt	Debian's full and PREEMPT_RT kernels (bzImage)
#	xen				Xen 4.17 (Multiboot 1, ELF32)
#
#	tools/guest-images.sh OUT NAME...
#
# The packages are kept as debian.sh says, which is where those of tools/guest-kernel.sh are; its OUT/vmlinuz must be
# there for vmlinux.

usage="usage: guest-images.sh OUT NAME..."
out=${1:?$usage}
shift
. "$(dirname "$0")/debian.sh"

for name; do
	case $name in
	vmlinux)
		/usr/bin/python3 "$here/unpack-kernel.py" "$out/vmlinuz" "$out/$name.new" ;;
	gnumach)
		deb gnumach-image-1.8-486 'gnumach-image-1.8-486_*.deb'
		file 'boot/gnumach-1.8-486.gz' | gunzip >"$out/$name.new" ;;
	invaders)
		deb grub-invaders 'grub-invaders_*.deb'
		file 'boot/invaders.exec' >"$out/$name.new" ;;
	memtest)
		deb memtest86+ 'memtest86+_*.deb'
		file 'boot/memtest86+x64.bin' >"$out/$name.new" ;;
	vmlinuz-full)
		deb linux-image-amd64 'linux-image-*[0-9]-amd64_*.deb'
		file 'boot/vmlinuz-*' >"$out/$name.new" ;;
	vmlinuz-rt)
		deb linux-image-rt-amd64 'linux-image-*-rt-amd64_*.deb'
		file 'boot/vmlinuz-*' >"$out/$name.new" ;;
	xen)
		deb xen-hypervisor-4.17-amd64 'xen-hypervisor-4.17-amd64_*.deb'
		file 'boot/xen-4.17-amd64.gz' | gunzip >"$out/$name.new" ;;
	*)
		echo "error: guest $name is not known; see the top of $0" >&2
		exit 1 ;;
	esac
	[ -s "$out/$name.new" ] || { echo "error: $name: nothing was unpacked from $deb" >&2; exit 1; }
	mv "$out/$name.new" "$out/$name"
done
