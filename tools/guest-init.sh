#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# /init of the Linux guest that tests and the demo boot. Options on the kernel's command line:
#
#	tarn.name=NAME	what the guest calls itself (linux)
#	tarn.run=CMD	run CMD, then power off; with blanks in it: tarn.run="..." or last on the line
#	tarn.loop	print a counter once a second instead of starting a shell
#	tarn.busy=N	N processes that only spin
#
# When it is up it prints one line starting "tarn-guest: NAME ready", then runs a shell on the console.

export PATH=/bin HOME=/root TERM=vt100
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
read -r cmdline </proc/cmdline

# option NAME: its value, "yes" where it has none, nothing where it is not given.
option()
{
	case " $cmdline " in
	*" $1=\""*)
		rest=${cmdline#*"$1=\""}
		echo "${rest%%\"*}" ;;
	*" \"$1="*)		# the kernel quotes so when the whole word was quoted
		rest=${cmdline#*"\"$1="}
		echo "${rest%%\"*}" ;;
	*" $1="*)
		rest=${cmdline#*"$1="}
		[ "$2" = line ] && echo "$rest" || echo "${rest%% *}" ;;
	*" $1 "*)
		echo yes ;;
	esac
}

name=$(option tarn.name)
name=${name:-linux}
hostname "$name"

echo "tarn-guest: $name ready, Linux $(uname -r), $(nproc) cpus, $(free -m | awk '/^Mem:/ { print $2 }') MiB"

busy=$(option tarn.busy)
while [ "${busy:-0}" -gt 0 ]; do
	(while :; do :; done) &
	busy=$((busy - 1))
done

run=$(option tarn.run line)
if [ -n "$run" ]; then
	sh -c "$run"
	echo "tarn-guest: $name done, status $?"
	poweroff -f
fi

if [ -n "$(option tarn.loop)" ]; then
	count=0
	while :; do
		count=$((count + 1))
		echo "tarn-guest: $name $count"
		sleep 1
	done
fi

export PS1="$name:\\w# "
cd /root || cd /
while :; do
	setsid cttyhack sh
done
