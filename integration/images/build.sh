#!/usr/bin/env bash
# Builds the images with the servers that the integration tests start, from
# Debian's packages, for machines that reach a Debian mirror and no container
# registry. An image that exists is kept.
#
#   build.sh                       list the images it can build
#   build.sh IMAGE...              build them
#
# The mirror is the one that apt is configured for, or FENCELOCK_DEBIAN_MIRROR.
# It needs root, for debootstrap.
set -euo pipefail

# Each line: image, Debian release, packages.
images='
fencelock/redis-debian:bookworm  bookworm  redis-server
fencelock/redis-debian:trixie    trixie    redis-server,valkey-server
'

say() { echo "build.sh: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# mirror prints the address of the Debian archive. apt knows it whichever way its
# sources are written.
mirror() {
	if [[ -n ${FENCELOCK_DEBIAN_MIRROR:-} ]]; then
		echo "$FENCELOCK_DEBIAN_MIRROR"
		return
	fi
	command -v apt-get >/dev/null ||
		die "there is no apt to read a mirror from: set FENCELOCK_DEBIAN_MIRROR to the address of a Debian archive"
	local own uri
	own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[[ $(. /etc/os-release && echo "${ID:-}") == debian ]] ||
		die "apt's mirror is not Debian's here: set FENCELOCK_DEBIAN_MIRROR to the address of a Debian archive"
	uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
		awk -v own="$own" '$2 == own && !found { print $1; found = 1 }')
	[[ -n $uri ]] || die "apt's sources name no archive for $own: set FENCELOCK_DEBIAN_MIRROR"
	echo "$uri"
}

# need_debootstrap installs it where that is possible.
need_debootstrap() {
	[[ $(id -u) == 0 ]] || die "debootstrap needs root: run this script once with sudo, the images are kept"
	command -v debootstrap >/dev/null && return
	command -v apt-get >/dev/null || die "install debootstrap"
	say "installing debootstrap"
	apt-get install -y -qq --no-install-recommends debootstrap >&2 ||
		die "debootstrap cannot be installed: run apt-get update and try again"
}

# clean_up removes the unpacked system, and what debootstrap may have left mounted
# in it.
work=
clean_up() {
	[[ -n $work ]] || return 0
	awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount
	rm -rf --one-file-system "$work" "$work.log"
	work=
}
trap clean_up EXIT

build() {
	local image=$1 release=$2 packages=$3 source began=$SECONDS
	source=$(mirror)
	need_debootstrap
	work=$(mktemp -d)
	chmod 755 "$work"
	say "$image: unpacking Debian $release with $packages"
	debootstrap --variant=minbase --foreign --include="$packages" "$release" "$work" "$source" >"$work.log" 2>&1 ||
		die "debootstrap failed: $(tail -n 3 "$work.log")"
	# The packages would start their services on installation: this says no.
	printf '#!/bin/sh\nexit 101\n' >"$work/usr/sbin/policy-rc.d"
	chmod 755 "$work/usr/sbin/policy-rc.d"
	say "$image: configuring"
	chroot "$work" /debootstrap/debootstrap --second-stage >>"$work.log" 2>&1 ||
		die "debootstrap failed: $(tail -n 3 "$work.log")"
	mkdir -p "$work/data"
	say "$image: importing"
	tar -C "$work" --one-file-system --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
		--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
		--exclude='./dev/*' --exclude='./var/log/*' -c . |
		docker import --change 'WORKDIR /data' --message "Debian $release with $packages" - "$image" >/dev/null
	clean_up
	say "$image: built in $((SECONDS - began)) s"
}

if [[ $# == 0 ]]; then
	awk 'NF { print $1 }' <<<"$images"
	exit
fi
command -v docker >/dev/null || die "install the docker command"
# Tests of several packages may want the same image at the same time.
exec 9>"${TMPDIR:-/tmp}/fencelock-images.lock"
flock 9
for image in "$@"; do
	if docker image inspect "$image" >/dev/null 2>&1; then
		say "$image: present"
		continue
	fi
	line=$(awk -v image="$image" '$1 == image' <<<"$images")
	[[ -n $line ]] || die "no such image: $image"
	read -r _ release packages <<<"$line"
	build "$image" "$release" "$packages"
done
