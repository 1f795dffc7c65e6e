-- Ends the grant that a key has, tells its holder, and hands the lock over.
-- Returns 1, or 0 if nobody held it.

local v = redis.call('GET', LOCK)
if not v then return 0 end
local lock = parse_lock(v)
if not lock.over then redis.call('PUBLISH', lock.client, 'evicted ' .. lock.owner) end
hand_over()
return lock.over and 0 or 1
