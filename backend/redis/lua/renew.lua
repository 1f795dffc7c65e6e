-- Extends leases that are held; never brings one back.
-- KEYS  the locks
-- ARGV  attempt and ttl in ms of each
-- Returns for each 1 if it was extended, 0 if it is not held.

local out = {}
for i, v in ipairs(redis.call('MGET', unpack(KEYS))) do
  local attempt, ttl = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local lock = v and parse_lock(v)
  out[i] = 0
  if lock and lock.attempt == attempt and not lock.over then
    extend(KEYS[i], lock, ttl)
    out[i] = 1
  end
end
return out
