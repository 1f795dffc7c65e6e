-- Tells who has a key.
-- KEYS  1 NODE  2 LOCK  3 COUNTER
-- ARGV  1 what NODE must be
-- Returns {record or "", ms left, counter, number of waiters}.

local v, left, holder = redis.call('GET', LOCK), 0, ''
if v then
  local lock = parse(v)
  local ttl = lock.ttl
  holder = lock.attempt
  left = redis.call('PTTL', LOCK)
  if left < 0 or left > ttl then left = ttl end
end
local waiters, now = 0, math.floor(now_us() / 1000)
local own = redis.call('HGET', WAITERS, holder) -- one whose answer got lost may still be in the queue
if own and tonumber(string.match(own, '^%S+')) > now then waiters = -1 end
for _, w in ipairs(redis.call('HVALS', WAITERS)) do
  if tonumber(string.match(w, '^%S+')) > now then waiters = waiters + 1 end
end
return { v or '', left, redis.call('GET', COUNTER) or '0', waiters }
