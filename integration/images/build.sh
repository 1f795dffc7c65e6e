#!/usr/bin/env bash
# Builds the images with the servers that the integration tests start, for machines
# that reach a Debian mirror and a Go module proxy, and no container registry: from
# Debian's packages, and etcd from its source. An image that exists is kept.
#
#   build.sh                       list the images it can build
#   build.sh IMAGE...              build them
#   build.sh --etcd VERSION        build that etcd's program only, and print its path
#
# The mirror is the one that apt is configured for, or FENCELOCK_DEBIAN_MIRROR.
# Images of Debian's packages need root, for debootstrap; etcd needs Go.
set -euo pipefail

# Each line: image, Debian release, packages; or image, "etcd", its version. The
# last of Debian's has what cuts a member of a cluster off.
images='
fencelock/redis-debian:bookworm      bookworm  redis-server
fencelock/redis-debian:trixie        trixie    redis-server,valkey-server
fencelock/zookeeper-debian:bookworm  bookworm  libzookeeper-java,default-jre-headless
fencelock/zookeeper-debian:trixie    trixie    libzookeeper-java,default-jre-headless
fencelock/faults-debian:trixie       trixie    iptables
fencelock/etcd:3.5.35                etcd      3.5.35
fencelock/etcd:3.7.3                 etcd      3.7.3
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

build_debian() {
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
	if [[ $packages == *zookeeper* ]]; then
		install -m 755 "$here/zkServer.sh" "$work/usr/local/bin/"
	fi
	say "$image: importing"
	tar -C "$work" --one-file-system --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
		--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
		--exclude='./dev/*' --exclude='./var/log/*' -c . |
		docker import --change 'WORKDIR /data' --message "Debian $release with $packages" - "$image" >/dev/null
	clean_up
	say "$image: built in $((SECONDS - began)) s"
}

# etcd_program prints the path of an etcd of that version, which it builds if it has
# not been built before. Its own go.mod pins what it is made of.
etcd_program() {
	local version=$1 dir source
	command -v go >/dev/null || die "install Go, or put it on root's PATH"
	dir=${XDG_CACHE_HOME:-$HOME/.cache}/fencelock/etcd-$version
	[[ $OSTYPE != darwin* ]] || dir=$HOME/Library/Caches/fencelock/etcd-$version
	if [[ ! -x $dir/etcd ]]; then
		say "etcd $version: building it from its source, once"
		mkdir -p "$dir"
		source=$(mktemp -d)
		cat >"$source/go.mod" <<-EOF
			module etcd

			go 1.24

			require go.etcd.io/etcd/server/v3 v$version
		EOF
		cat >"$source/main.go" <<-EOF
			package main

			import (
				"os"

				"go.etcd.io/etcd/server/v3/etcdmain"
			)

			func main() { etcdmain.Main(os.Args) }
		EOF
		(
			cd "$source"
			GOWORK=off GOFLAGS= CGO_ENABLED=0 go build -mod=mod -trimpath -buildvcs=false -ldflags '-s -w' -o "$source/etcd" . 2>"$source/log"
		) || die "etcd $version cannot be built: $(tail -n 3 "$source/log")"
		mv "$source/etcd" "$dir/etcd.$$" && mv "$dir/etcd.$$" "$dir/etcd"
		rm -r "$source"
	fi
	echo "$dir/etcd"
}

build_etcd() {
	local image=$1 version=$2 program began=$SECONDS
	program=$(etcd_program "$version")
	work=$(mktemp -d)
	mkdir -p "$work/usr/local/bin" "$work/data" "$work/tmp"
	cp "$program" "$work/usr/local/bin/etcd"
	tar -C "$work" -c . |
		docker import --change 'WORKDIR /data' --change 'ENV PATH=/usr/local/bin' --message "etcd $version" - "$image" >/dev/null
	clean_up
	say "$image: built in $((SECONDS - began)) s"
}

here=$(cd "$(dirname "$0")" && pwd)
if [[ $# == 0 ]]; then
	awk 'NF { print $1 }' <<<"$images"
	exit
fi
# Tests of several packages may want the same image at the same time.
if command -v flock >/dev/null; then
	exec 9>"${TMPDIR:-/tmp}/fencelock-images.lock"
	flock 9
fi
if [[ $1 == --etcd ]]; then
	etcd_program "$2"
	exit
fi
command -v docker >/dev/null || die "install the docker command"
for image in "$@"; do
	if docker image inspect "$image" >/dev/null 2>&1; then
		say "$image: present"
		continue
	fi
	line=$(awk -v image="$image" '$1 == image' <<<"$images")
	[[ -n $line ]] || die "no such image: $image"
	read -r _ release packages <<<"$line"
	if [[ $release == etcd ]]; then
		build_etcd "$image" "$packages"
	else
		build_debian "$image" "$release" "$packages"
	fi
done
