-- Ends the grant that a key has, hands the lock over, and tells its holder. It tells the
-- holder last, since the holder must not hear of an eviction that was refused.
-- KEYS  the lock, COUNTER if there is one
-- ARGV  1 the attempt whose grant it must be; empty for any
-- Returns {1}, or {0} if nobody held it, or another attempt.

COUNTER, rest = KEYS[2], { 1 }

local function one()
  look(KEYS[1])
  if not lock or ARGV[1] ~= '' and lock.attempt ~= ARGV[1] then return 0 end
  local evicted = lock
  hand_off()
  if evicted.over then return 0 end
  redis.call('PUBLISH', evicted.client, 'evicted ' .. evicted.attempt)
  return 1
end
