-- Takes the key for a try, if it is free or has a lower try of the same attempt, and raises the
-- counter.
-- KEYS  1 NODE  2 LOCK  3 COUNTER  4 TOMBSTONE
-- ARGV  1 what NODE must be  2 attempt  3 try  4 ttl in ms
--       5 what the counter becomes at least; "-" leaves the counter alone
--       6 the client's channel
--       7 "1" to wait among the waiters of this node if another has the key, or "0"
--       8 the position that the attempt has there; "0" if it has none
--       9 meta
-- Returns the counter (a string) if the try has the key now,
--         OVER (a number) if the try was ended, or a higher one of its attempt has the key,
--         {record, ms left, counter, position, 1 if nobody waits before it} if another has it.

local attempt, try, ttl, floor, channel, queue, position, meta =
  ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8], ARGV[9]

if ended(TOMBSTONE, try) then return OVER end
local v = redis.call('GET', LOCK)
local lock = v and parse(v)
if lock and lock.attempt == attempt and lock.try >= tonumber(try) then return OVER end

if not lock or lock.attempt == attempt then
  local count = redis.call('GET', COUNTER) or '0'
  if floor then
    count = math.max(next_count(), floor)
    if count >= END then return { err = 'ERR the counter of tokens is at its end' } end
    count = string.format('%.0f', count)
    redis.call('SET', COUNTER, count)
    wrote = true
  end
  redis.call('SET', LOCK, pack(attempt, try, channel, count, ttl, meta), 'PX', ttl)
  wrote = true
  if position ~= '0' then leave(attempt, try) end
  return count
end

local left = redis.call('PTTL', LOCK)
if left < 0 or left > lock.ttl then
  -- No lease has more left than its ttl, unless the clock was set back: a dead holder would stay
  -- for as long. Its ttl from now is not less than it has.
  redis.call('PEXPIRE', LOCK, lock.ttl)
  wrote = true
  left = lock.ttl
end
local first = 0
if queue == '1' then position, first = join(attempt, try, position, channel, ttl) else position = '0' end
return { v, left, redis.call('GET', COUNTER) or '0', position, first }
