-- Raises the counter to the token of a grant, if the key has its try.
-- KEYS  1 NODE  2 LOCK  3 COUNTER
-- ARGV  1 what NODE must be  2 attempt  3 try  4 token
-- Returns 1, or 2 if nobody has the key, or 3 if another.

local v = redis.call('GET', LOCK)
if not v then return 2 end
local lock = parse(v)
if lock.attempt ~= ARGV[2] or lock.name ~= ARGV[3] then return 3 end
touch() -- so that a full server lets the next pass
raise(COUNTER, ARGV[4])
redis.call('SET', LOCK, pack(lock.attempt, lock.name, lock.channel, ARGV[4], lock.ttl, lock.meta), 'KEEPTTL')
return 1
