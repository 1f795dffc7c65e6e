#!/usr/bin/env bash
# A Redis that is full (maxmemory, noeviction) is sent scripts which write.
#
# Guess: a script may free memory, so one that only deletes works, and one that sets a key is refused, whatever
# else it does. "#!lua" in its first line changes nothing of that.
# Seen with Redis 7.0.15: what counts is the first write. If it may use memory, the script ends there. If it may not,
# as the DEL of a key that is not there, every later SET passes. With "#!lua" the whole script is refused beforehand, one that
# only deletes or reads, too, unless its flags say no-writes or allow-oom. Redis 8.0.2, 8.0.6 and 8.6.3, Valkey 8.1.1 and 9.1.2
# and redict 7.3.6 did the same.
#
# What follows for users of locks: a release that begins with a SET leaves the lock where it is when the
# server is full, and one that begins with a DEL does not.
#
# Needs bash, and apt on a system that has Redis 7.0.15 (Debian 12, Ubuntu 24.04). Takes some seconds.
# Fails if that has changed.
set -euo pipefail
dir=$(mktemp -d)
cleanup() {
	local jobs
	jobs=$(jobs -p)
	[[ -z $jobs ]] || kill $jobs 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir"
apt-get download 'redis-tools=5:7.0.15*' libatomic1 libjemalloc2 liblzf1 >apt.log 2>&1 || { cat apt.log; exit 1; }
for deb in *.deb; do dpkg -x "$deb" .; done
LD_LIBRARY_PATH=$(find "$dir/usr/lib" -maxdepth 1 -name '*-linux-gnu')
export LD_LIBRARY_PATH
server() { (exec -a redis-server usr/bin/redis-check-rdb "$@"); } # one program, and its name says what it does
cli() { usr/bin/redis-cli -s "$dir/socket" "$@" 2>&1; }
server --version
server --port 0 --unixsocket "$dir/socket" --save '' --maxmemory-policy noeviction >server.log 2>&1 &
for _ in {1..50}; do [[ $(cli PING) == PONG ]] && break || sleep 0.1; done
cli CONFIG SET maxmemory 100kb >/dev/null # less than an empty server uses

failed=
ask() { # what it does, what is expected, the script
	local answer
	answer=$(cli EVAL "$3" 0 | sed -n 1p)
	[[ $answer == "$2"* ]] || failed=1
	printf '%-42s %s\n' "$1" "${answer:0:60}"
}
set_='redis.call("SET", "k", "v") return "set"'
del='redis.call("DEL", "nothing")'
ask 'SET' OOM "$set_"
ask 'GET, then SET' OOM "redis.call('GET', 'nothing') $set_"
ask 'DEL of nothing, then SET' set "$del $set_"
ask 'DEL of nothing, with #!lua' OOM $'#!lua\n'"$del return 'deleted'"
ask 'GET, with #!lua' OOM $'#!lua\nredis.call("GET", "nothing") return "read"'
ask 'GET, with #!lua flags=no-writes' read $'#!lua flags=no-writes\nredis.call("GET", "nothing") return "read"'
ask 'SET, with #!lua flags=allow-oom' set $'#!lua flags=allow-oom\n'"$set_"
[[ -z $failed ]] || { echo "CHANGED, or it did not start"; exit 1; }
