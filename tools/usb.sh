#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Writes an image to a whole disk: usb.sh /dev/sdX IMAGE. Shows what the disk is and asks first.
set -eu

fail() {
	echo "usb: $*" >&2
	exit 1
}

dev=${1:-}
image=$2
[ -n "$dev" ] || fail "which stick? make usb DEV=/dev/sdX"
[ -b "$dev" ] || fail "$dev is not a block device"
[ "$(lsblk -dno TYPE "$dev")" = disk ] || fail "$dev is a $(lsblk -dno TYPE "$dev"), want the whole disk"
mounted=$(lsblk -no MOUNTPOINTS "$dev" | grep . || true)
[ -z "$mounted" ] || fail "$dev is in use: $(echo "$mounted" | tr '\n' ' ')(unmount it first)"
[ "$(cat "/sys/class/block/$(basename "$(readlink -f "$dev")")/ro")" = 0 ] || fail "$dev is read-only"

lsblk -o NAME,SIZE,TYPE,TRAN,VENDOR,MODEL,LABEL "$dev"
printf 'All of %s will be lost. Write Tarn to it? Type its name to go on: ' "$dev"
read -r answer || answer=
[ "$answer" = "$dev" ] || fail "nothing was written"
dd if="$image" of="$dev" bs=4M conv=fsync status=progress
# The copy of the partition table belongs at the end of this disk, not of the image.
PATH=$PATH:/usr/sbin:/sbin sgdisk --move-second-header "$dev" >/dev/null || true
echo "usb: done; boot the machine from it"
