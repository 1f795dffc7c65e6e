-- Ends an owner's claim, held or waiting, and hands the lock over.
-- ARGV  1 owner  2 how long a late packet of the owner is kept out, in ms; absent
--       if none can be on its way
-- Returns 1 if it ended a grant, 0 if there was none, 2 if it had been released.

local owner, keep_out = ARGV[1], ARGV[2]

if keep_out and not redis.call('SET', SHARD .. owner .. ':x', '1', 'NX', 'PX', keep_out) then return 2 end

local lock = v and parse_lock(v)
if lock and lock.owner == owner then
  if lock.lapse then hand_over() else redis.call('DEL', LOCK) end
  return lock.over and 0 or 1
end
if redis.call('HDEL', WAITERS, owner) == 1 then redis.call('ZREM', QUEUE, owner) end
return 0
