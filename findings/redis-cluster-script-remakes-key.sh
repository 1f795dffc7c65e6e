#!/usr/bin/env bash
# Two nodes of a Redis Cluster. A slot begins to move from the first to the second (CLUSTER SETSLOT, as rebalancing
# tools do). A Lua script on the first node deletes a key of that slot, which it has declared and which is there, and
# sets the key again.
#
# Guess: it is as without the move. The key is declared and was there when the script began, and a script is atomic.
# Seen with Redis 7.0.15 (and, by hand, Redis 8.6.3 and Valkey 9.1.2): the SET fails, "Script attempted to access a non
# local key", and the DEL stays. Each command of a script is looked at by itself, and after the DEL the key counts as
# one that has moved. A SET over the key, without a DEL before it, works.
#
# What follows for users of locks: a script that changes the type of its key (a string until somebody waits, say) by
# DEL and another command loses the lock while its slot moves, and the holder does not know.
#
# Needs bash, and redis-server and redis-cli on PATH. It takes a few seconds. Fails if the script goes through.
set -euo pipefail
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
first=$((20000 + RANDOM % 10000))
second=$((first + 1))
for port in $first $second; do
	mkdir "$dir/$port"
	redis-server --port $port --bind 127.0.0.1 --save '' --dir "$dir/$port" --cluster-enabled yes --cluster-config-file nodes.conf >"$dir/$port.log" 2>&1 &
done
on() { redis-cli -p "$@"; }
for port in $first $second; do
	for _ in {1..100}; do on $port ping 2>/dev/null | grep -q PONG && break || sleep 0.05; done
done
on $first cluster addslotsrange 0 16383 >/dev/null
on $first cluster meet 127.0.0.1 $second >/dev/null
for port in $first $second; do
	for _ in {1..200}; do on $port cluster info | grep -q 'cluster_state:ok' && break || sleep 0.05; done
done
slot=$(on $first cluster keyslot lock)
on $first set lock held >/dev/null
on $second cluster setslot "$slot" importing "$(on $first cluster myid)" >/dev/null
on $first cluster setslot "$slot" migrating "$(on $second cluster myid)" >/dev/null

echo "$(redis-server --version | cut -d' ' -f3), slot $slot is moving"
echo "SET over it: $(on $first eval "return redis.call('SET', KEYS[1], 'again')" 1 lock)"
answer=$(on $first eval "redis.call('DEL', KEYS[1]) return redis.call('SET', KEYS[1], 'again')" 1 lock 2>&1 || true)
left=$(on $first get lock 2>&1 || true)
echo "DEL, then SET: $answer"
echo "GET afterwards: $left"
case "$answer|$left" in
*"non local key"*"|"*ASK*) ;;
*) echo "CHANGED: the script went through, or the key is still there" && exit 1 ;;
esac
