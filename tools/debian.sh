# SPDX-License-Identifier: BSD-2-Clause
# Debian packages, unpacked and never installed: for guest-kernel.sh and guest-images.sh, which source this with $out set.
#
# Packages stay in .cache/debs (TARN_CACHE=DIR: elsewhere), so the network is needed once. Needs no root: where the
# system's package lists are missing or out of date, lists of our own are fetched beside the packages.

set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
cache=${TARN_CACHE:-$here/../.cache}
mkdir -p "$cache/debs" "$out"
cache=$(cd "$cache" && pwd)
out=$(cd "$out" && pwd)

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

# What a name that only depends on the newest version stands for.
newest()
{
	apt-cache $apt_options depends "$1" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1
}

# To a directory of its own first: an interrupted download leaves nothing that looks whole.
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

# deb PACKAGE PATTERN: leaves the package's file, of which PATTERN is the name in the cache (the newest), in $deb.
deb()
{
	deb=$(ls -t "$cache"/debs/$2 2>/dev/null | head -n 1)
	if [ -z "$deb" ]; then
		command -v apt-get >/dev/null || { echo "error: no apt-get here; put Debian's $1 into $cache/debs" >&2; exit 1; }
		download "$1" || { own_lists && download "$1"; } || { echo "error: cannot download Debian's $1" >&2; exit 1; }
		deb=$(ls -t "$cache"/debs/$2 | head -n 1)
	fi
}

# file PATTERN: that file of $deb, to standard output.
file()
{
	dpkg-deb --fsys-tarfile "$deb" | tar -x -O --wildcards -f - "./$1"
}
