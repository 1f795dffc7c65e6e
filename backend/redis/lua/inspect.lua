-- Tells who holds a key.
-- Returns {attempt, identity, token, ms left, number of waiters}, with attempt "" if
-- nobody does.

local waiters = redis.call('ZCARD', QUEUE)
local v = redis.call('GET', LOCK)
local lock = v and parse_lock(v)
if not lock or lock.over then return { '', '', '', 0, waiters } end
return { lock.attempt, lock.identity, lock.token, lock.expires and lock.expires - now or redis.call('PTTL', LOCK), waiters }
