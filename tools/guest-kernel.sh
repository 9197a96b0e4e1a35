#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Fetches a Linux kernel and a busybox out of Debian's packages, unpacked and never installed, and makes
#
#	OUT/vmlinuz	Debian's newest cloud kernel
#	OUT/initrd.gz	busybox, tools/guest-init.sh and PROGRAMs
#
#	tools/guest-kernel.sh OUT [PROGRAM...]
#
# Packages stay in .cache/debs (TARN_CACHE=DIR: elsewhere), so the network is needed once. Needs no root: where the
# system's package lists are missing or out of date, lists of our own are fetched beside the packages.

set -eu
umask 022

here=$(dirname "$0")
out=${1:?usage: guest-kernel.sh OUT [PROGRAM...]}
shift
cache=${TARN_CACHE:-$here/../.cache}
mkdir -p "$cache/debs" "$out"
cache=$(cd "$cache" && pwd)
out=$(cd "$out" && pwd)
here=$(cd "$here" && pwd)

# Sandbox::User: the _apt user may not enter our directory, and apt would warn about it.
apt_options="-o APT::Sandbox::User=$(id -un) -o Acquire::Retries=3"

own_lists()
{
	echo "Fetching Debian's package lists"
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial"
	apt_options="$apt_options -o Dir::State=$cache/apt -o Dir::State::lists=$cache/apt/lists
		-o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache=$cache/apt/cache"
	apt-get -q $apt_options update || true	# one broken source among several need not matter
}

# The real package behind linux-image-cloud-amd64.
kernel_package()
{
	apt-cache $apt_options depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1
}

# The file in the cache that matches, if any: the newest when there are several.
cached()
{
	ls -t "$cache"/debs/$1 2>/dev/null | head -n 1
}

download()
{
	echo "Downloading $* (unpacked under $out, not installed)"
	# To a directory of its own first: an interrupted download leaves nothing that looks whole.
	rm -rf "$cache/part"
	mkdir "$cache/part"
	(cd "$cache/part" && apt-get -q $apt_options download "$@") && mv "$cache/part"/*.deb "$cache/debs/"
}

fetch()
{
	if [ -n "$(cached 'linux-image-*-cloud-amd64_*.deb')" ] && [ -n "$(cached 'busybox-static_*.deb')" ]; then
		return 0
	fi
	if ! command -v apt-get >/dev/null; then
		echo "error: no apt-get on this machine; put Debian's linux-image-VERSION-cloud-amd64 and busybox-static" \
			"packages into $cache/debs" >&2
		return 1
	fi
	package=$(kernel_package)
	if [ -n "$package" ] && download "$package" busybox-static; then
		return 0
	fi
	own_lists
	package=$(kernel_package)
	if [ -z "$package" ]; then
		echo "error: no linux-image-cloud-amd64 in apt's sources" >&2
		return 1
	fi
	download "$package" busybox-static
}

unpack()
{
	rm -rf "$out/unpacked"
	dpkg-deb -x "$(cached 'linux-image-*-cloud-amd64_*.deb')" "$out/unpacked"
	dpkg-deb -x "$(cached 'busybox-static_*.deb')" "$out/unpacked"
	cp "$out"/unpacked/boot/vmlinuz-*-cloud-amd64 "$out/vmlinuz.new"
	cp "$out/unpacked/bin/busybox" "$out/busybox"
	rm -rf "$out/unpacked"
}

fetch
unpack
/usr/bin/python3 "$here/mkinitrd.py" "$out/busybox" "$here/guest-init.sh" "$out/initrd.gz.new" "$@"
mv "$out/vmlinuz.new" "$out/vmlinuz"
mv "$out/initrd.gz.new" "$out/initrd.gz"
