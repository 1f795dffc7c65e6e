-- Ends the grant that a key has, hands the lock over, and tells its holder. It tells the
-- holder last, since the holder must not hear of an eviction that was refused.
-- ARGV  1 the attempt whose grant it must be; empty for any
-- Returns 1, or 0 if nobody held it, or another attempt.

local v = redis.call('GET', LOCK)
if not v then return 0 end
local lock = parse_lock(v)
if ARGV[1] ~= '' and lock.attempt ~= ARGV[1] then return 0 end
hand_off()
if lock.over then return 0 end
redis.call('PUBLISH', lock.client, 'evicted ' .. lock.attempt)
return 1
