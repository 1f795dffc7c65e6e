-- Ends the grant that a key has, hands the lock over, and tells its holder: last, since
-- it must not hear of an eviction that was refused.
-- Returns 1, or 0 if nobody held it.

local v = redis.call('GET', LOCK)
if not v then return 0 end
local lock = parse_lock(v)
hand_over()
if lock.over then return 0 end
redis.call('PUBLISH', lock.client, 'evicted ' .. lock.owner)
return 1
