-- Takes the lock for an attempt, or its position in the queue; or confirms either.
-- KEYS  1 LOCK  2 LAST  3 TOMBSTONE
-- ARGV  1 attempt  2 client (its channel)  3 ttl in ms
--       4 "try", "wait", or "again" if the attempt has asked before and waits
--       5 identity: who asks, with what the application says of the lock
-- Returns the token (a string) if the attempt holds the lock now,
--         {1, ms, last} if it is the first that waits: what is left of the holder's lease,
--         and a number: tokens granted later are greater, those granted before
--         (also before a restart that set the counter back) are not,
--         {0, ms, last} if it waits behind others: the ttl of the one before it,
--         {ms, identity} if another holds it and the attempt does not wait: what is left of
--         the holder's lease, and its identity; 0 if the lease has ended and others wait,
--         nil if the attempt was released.

local attempt, client, ttl, mode, identity = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

local function leave_queue()
  if not redis.call('HGET', WAITERS, attempt) then return end -- a full server refuses it as a new one
  redis.call('HDEL', WAITERS, attempt)
  wrote = true
  redis.call('ZREM', QUEUE, attempt)
end

if not v[1] then
  -- Free. While somebody waits the key is kept alive, so nobody does; or it was
  -- deleted behind our back, and then order is lost, but not exclusion: a waiter
  -- that lives joins the queue again when it confirms.
  leave_queue()
  return grant(attempt, client, ttl, identity)
end

local lock = parse_lock(v[1])
if lock.attempt == attempt and not lock.over then
  -- Asked again, since a reply or a notification was lost: the same grant, from now.
  extend(LOCK, lock, ttl)
  return lock.token
end

local left = 0
if not lock.over then left = lock.expires and lock.expires - now or redis.call('PTTL', LOCK) end
if left > lock.ttl then
  -- Only if the server's clock was set back does a lease have more left than its ttl. A dead
  -- holder would be in the way for that long. Its ttl from now is no less than it has.
  extend(LOCK, lock, lock.ttl)
  left = lock.ttl
  if lock.expires then lock.expires = now + left end
end

if mode == 'try' then
  if not lock.over then return { left, lock.identity } end
  -- The lease has ended, and the lock belongs to the first waiter that lives.
  for _, w in ipairs(redis.call('HVALS', WAITERS)) do
    if tonumber(string.match(w, '^%S+')) > now then return 0 end
  end
  redis.call('DEL', QUEUE, WAITERS)
  wrote = true
  return grant(attempt, client, ttl, identity)
end

-- Join the queue, which a full server refuses; or stay in it, which it allows.
if not redis.call('ZSCORE', QUEUE, attempt) then
  local tail = redis.call('ZRANGE', QUEUE, -1, -1, 'WITHSCORES')
  redis.call('ZADD', QUEUE, (tonumber(tail[2] or 0)) + 1, attempt)
  wrote = true
end
outlive(QUEUE, ttl)
redis.call('HSET', WAITERS, attempt, string.format('%.0f', now + ttl) .. ' ' .. client .. ' ' .. ttl .. ' ' .. identity)
outlive(WAITERS, ttl)

if lock.over then
  local winner, token = hand_off()
  if winner == attempt then return token end
  left = parse_lock(redis.call('GET', LOCK)).expires - now
else
  if not lock.expires then
    redis.call('SET', LOCK, pack_lock(now + left, lock.attempt, lock.client, lock.token, lock.ttl, lock.identity), 'KEEPTTL')
  end
  outlive(LOCK, redis.call('PTTL', QUEUE))
end
local rank = redis.call('ZRANK', QUEUE, attempt)
local last = string.format('%.0f', math.max(tonumber(redis.call('GET', LAST) or 0), now_us - 1))
if rank == 0 then return { 1, left, last } end
local ahead = redis.call('HGET', WAITERS, redis.call('ZRANGE', QUEUE, rank - 1, rank - 1)[1])
return { 0, ahead and tonumber(string.match(ahead, '^%S+ %S+ (%S+)')) or ttl, last }
