#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs what the build and the tests need on Debian 12 and is not there yet; says what and why first.
#
#	tools/deps.sh		install what is missing
#	tools/deps.sh --check	only say what is missing; exit 1 if anything is
#
# Looking costs milliseconds: a command or a file of each package, never dpkg. What is there from elsewhere (a NASM in
# /usr/local) counts. DEPS_ROOT=DIR looks for the files under DIR, for tests.

set -eu

root=${DEPS_ROOT:-}
missing=
reasons=

# want PACKAGE WHY THING...: the package is there when every THING (a command's name or a file's path) is.
want()
{
	package=$1 why=$2
	shift 2
	for thing; do
		found=no
		case $thing in
		/*)	[ -e "$root$thing" ] && found=yes ;;
		*)	# sbin is not in a user's PATH on Debian
			for dir in $look; do
				[ -x "$root$dir/$thing" ] && found=yes && break
			done ;;
		esac
		if [ $found = no ]; then
			missing="$missing $package"
			reasons="$reasons  $package: $why
"
			return
		fi
	done
}

look="/usr/bin /usr/sbin /bin /sbin /usr/local/bin"
[ -n "$root" ] || look="$(printf %s "$PATH" | tr ':' ' ') $look"

want make		"runs the build"				make
want gcc		"compiles the kernel and the host tests"	gcc
want libc6-dev		"C library headers for the host tests"		/usr/include/stdio.h
want binutils		"links the kernel"				ld objcopy ar
want nasm		"assembles the kernel's entry code"		nasm
want gnu-efi		"headers and start-up code of the UEFI program"	/usr/include/efi/efi.h /usr/lib/crt0-efi-x86_64.o
want python3		"runs the tools and the test runner"		/usr/bin/python3
want mtools		"fills the FAT file system of the image"	mformat mcopy mmd
want gdisk		"makes the image's partition table"		sgdisk
want acpica-tools	"compiles the ACPI tables of test machines"	iasl
want qemu-system-x86	"boots the image (without VT-x)"		qemu-system-x86_64
want ovmf		"UEFI firmware for the emulators"		/usr/share/ovmf/OVMF.fd /usr/share/OVMF/OVMF_CODE_4M.fd
# bochs wants any one of its displays; the terminal one is the smallest. What is used is rfb, which bochs itself has.
want "bochs bochs-term"	"boots the image with an emulated VT-x"		bochs
want vgabios		"video firmware for Bochs"			/usr/share/vgabios/vgabios.bin
want bochsbios		"firmware files that Bochs expects"		/usr/share/bochs/BIOS-bochs-latest
want valgrind		"counts instructions for make bench"		valgrind

[ -n "$missing" ] || exit 0

printf 'Missing Debian packages:\n%s' "$reasons"
if [ "${1:-}" = --check ]; then
	exit 1
fi
if ! command -v apt-get >/dev/null; then
	echo "error: this machine has no apt-get; install the above by its own means and run this again" >&2
	exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "error: not root and no sudo; as root: apt-get install --no-install-recommends$missing" >&2
		exit 1
	fi
	sudo=sudo
fi

export DEBIAN_FRONTEND=noninteractive
env_keep=
[ -z "$sudo" ] || env_keep="env DEBIAN_FRONTEND=noninteractive"
echo "Installing them with apt-get:$missing"
# A list that cannot be fetched (one broken source among several) need not matter: the install says so if it does.
$sudo $env_keep apt-get -q update || echo "warning: apt-get update failed; trying with the lists that are there" >&2
# shellcheck disable=SC2086 # a list of packages
if ! $sudo $env_keep apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install $missing; then
	echo "error: apt-get could not install:$missing" >&2
	exit 1
fi
