-- Ends the claim of an attempt: the key, if it has this try or a lower one, and its position in the
-- queue. Where the key is free then, the first waiter is told. Or ends just a try that has failed:
-- nobody is told, and the attempt may wait on.
-- KEYS  1 NODE  2 LOCK  3 COUNTER  4 TOMBSTONE
-- ARGV  1 what NODE must be  2 attempt  3 try
--       4 for how long Take and Repair of this try are kept out, in ms; "0" if none can be on its way
--       5 "release", "evict" to tell the holder besides, "failed", or "wait" if it failed and the attempt
--         is to have a position in the queue
--       6 position, "0" for the last one  7 the client's channel  8 ttl in ms: for "wait" only
-- Returns 1 if it ended a key, or 0; and 2 more if a waiter was told.

local attempt, try, keep_out, kind = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local failed = kind == 'failed' or kind == 'wait'

-- First what always writes, so that a full server lets the next pass.
if failed then touch() else leave(attempt, try) end

if keep_out > 0 then
  local highest, left = redis.call('GET', TOMBSTONE), redis.call('PTTL', TOMBSTONE)
  if not highest or tonumber(highest) < tonumber(try) then highest = try end
  redis.call('SET', TOMBSTONE, highest, 'PX', math.max(keep_out, left))
end

local did = 0
local v = redis.call('GET', LOCK)
local lock = v and parse(v)
if lock and lock.attempt == attempt and lock.try <= tonumber(try) then
  redis.call('DEL', LOCK)
  did = 1
end
-- A higher try of the attempt, which came before this, has the key, and is to leave no position behind.
local overtaken = lock and lock.attempt == attempt and did == 0
if kind == 'wait' and not overtaken and not ended(TOMBSTONE, try) then join(attempt, try, ARGV[6], ARGV[7], tonumber(ARGV[8])) end
if not failed and (not lock or did == 1) and wake(COUNTER) then did = did + 2 end
-- Last: the holder must not hear of an eviction that was refused.
if kind == 'evict' and did % 2 == 1 then redis.call('PUBLISH', lock.channel, 'evicted ' .. attempt) end
return did
