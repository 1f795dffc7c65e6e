-- Ends an owner's claim, held or waiting, and hands the lock over.
-- ARGV  1 owner  2 how long a late packet of the owner is kept out, in ms; absent
--       if none can be on its way
-- Returns 1 if it ended a grant, 0 if there was none, 2 if it had been released.

local owner, keep_out = ARGV[1], ARGV[2]
local tomb = SHARD .. owner .. ':x'

if keep_out and redis.call('GET', tomb) then return 2 end

local waited = redis.call('HDEL', WAITERS, owner) == 1 -- first, so that a full server lets the next pass
wrote = waited
if keep_out then
  redis.call('SET', tomb, '1', 'PX', keep_out)
  wrote = true
end

local lock = v and parse_lock(v)
if lock and lock.owner == owner then
  if lock.lapse then hand_over() else redis.call('DEL', LOCK) end
  return lock.over and 0 or 1
end
if waited then
  local first = redis.call('ZRANGE', QUEUE, 0, 0)[1] == owner
  redis.call('ZREM', QUEUE, owner)
  if first then
    -- Whoever is the first now must watch for the end of the lease: tell it.
    local heir = redis.call('ZRANGE', QUEUE, 0, 0)[1]
    local w = heir and redis.call('HGET', WAITERS, heir)
    if w then redis.call('PUBLISH', string.match(w, '^%S+ (%S+)'), 'ask ' .. heir) end
  end
end
return 0
