-- Ends an attempt's claim, held or waiting, and hands the lock off.
-- ARGV  1 attempt  2 the ttl of its tombstone in ms: how long a late packet of it is refused;
--       absent if none can be under way
-- Returns 1 if it ended a grant, 0 if there was none, 2 if it had been released.

local attempt, tombstone_ttl = ARGV[1], ARGV[2]
local tombstone = SHARD .. attempt .. ':x'

if tombstone_ttl and redis.call('GET', tombstone) then return 2 end

local waited = redis.call('HDEL', WAITERS, attempt) == 1 -- first, so that a full server lets the next pass
wrote = waited
if tombstone_ttl then
  redis.call('SET', tombstone, '1', 'PX', tombstone_ttl)
  wrote = true
end

local lock = v and parse_lock(v)
if lock and lock.attempt == attempt then
  if lock.expires then hand_off() else redis.call('DEL', LOCK) end
  return lock.over and 0 or 1
end
if waited then
  local first = redis.call('ZRANGE', QUEUE, 0, 0)[1] == attempt
  redis.call('ZREM', QUEUE, attempt)
  if first then
    -- The attempt that is the first now must watch for the end of the lease: tell it.
    local now_first = redis.call('ZRANGE', QUEUE, 0, 0)[1]
    local w = now_first and redis.call('HGET', WAITERS, now_first)
    if w then redis.call('PUBLISH', string.match(w, '^%S+ (%S+)'), 'ask ' .. now_first) end
  end
end
return 0
