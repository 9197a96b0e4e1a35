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
# Packages stay in .cache/debs (TARN_CACHE=DIR: elsewhere), as those of tools/guest-kernel.sh, whose OUT/vmlinuz must be
# there for vmlinux.

set -eu
umask 022

here=$(dirname "$0")
usage="usage: guest-images.sh OUT NAME..."
out=${1:?$usage}
shift
cache=${TARN_CACHE:-$here/../.cache}
mkdir -p "$cache/debs" "$out"
cache=$(cd "$cache" && pwd)
out=$(cd "$out" && pwd)
here=$(cd "$here" && pwd)
apt_options="-o APT::Sandbox::User=$(id -un) -o Acquire::Retries=3"

own_lists()
{
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial"
	apt_options="$apt_options -o Dir::State=$cache/apt -o Dir::State::lists=$cache/apt/lists
		-o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache=$cache/apt/cache"
	apt-get -q $apt_options update || true	# one broken source among several need not matter
}

# What a name that only depends on the newest version stands for.
newest()
{
	apt-cache $apt_options depends "$1" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1
}

download()
{
	package=$1
	case $package in linux-image-*) package=$(newest "$package") ;; esac
	[ -n "$package" ] || return 1
	echo "Downloading $package (unpacked under $out, not installed)"
	part=$cache/part.$$
	rm -rf "$part"
	mkdir "$part"
	(cd "$part" && apt-get -q $apt_options download "$package") && mv "$part"/*.deb "$cache/debs/" && rmdir "$part"
}

# deb PACKAGE PATTERN: leaves the package's file, of which PATTERN is the name in the cache, in $deb.
deb()
{
	deb=$(ls -t "$cache"/debs/$2 2>/dev/null | head -n 1)
	if [ -z "$deb" ]; then
		command -v apt-get >/dev/null || { echo "error: no apt-get here; put Debian's $1 into $cache/debs" >&2; exit 1; }
		download "$1" || { own_lists && download "$1"; } || { echo "error: cannot download Debian's $1" >&2; exit 1; }
		deb=$(ls -t "$cache"/debs/$2 | head -n 1)
	fi
}

# file PATTERN: that file of $deb's /boot, to standard output.
file()
{
	dpkg-deb --fsys-tarfile "$deb" | tar -x -O --wildcards -f - "./boot/$1"
}

for name; do
	case $name in
	vmlinux)
		/usr/bin/python3 "$here/unpack-kernel.py" "$out/vmlinuz" "$out/$name.new" ;;
	gnumach)
		deb gnumach-image-1.8-486 'gnumach-image-1.8-486_*.deb'
		file 'gnumach-1.8-486.gz' | gunzip >"$out/$name.new" ;;
	invaders)
		deb grub-invaders 'grub-invaders_*.deb'
		file invaders.exec >"$out/$name.new" ;;
	memtest)
		deb memtest86+ 'memtest86+_*.deb'
		file 'memtest86+x64.bin' >"$out/$name.new" ;;
	vmlinuz-full)
		deb linux-image-amd64 'linux-image-*[0-9]-amd64_*.deb'
		file 'vmlinuz-*' >"$out/$name.new" ;;
	vmlinuz-rt)
		deb linux-image-rt-amd64 'linux-image-*-rt-amd64_*.deb'
		file 'vmlinuz-*' >"$out/$name.new" ;;
	xen)
		deb xen-hypervisor-4.17-amd64 'xen-hypervisor-4.17-amd64_*.deb'
		file 'xen-4.17-amd64.gz' | gunzip >"$out/$name.new" ;;
	*)
		echo "error: guest $name is not known; see the top of $0" >&2
		exit 1 ;;
	esac
	[ -s "$out/$name.new" ] || { echo "error: $name: nothing was unpacked from $deb" >&2; exit 1; }
	mv "$out/$name.new" "$out/$name"
done
