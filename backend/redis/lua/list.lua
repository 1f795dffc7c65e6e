-- Tells who holds each of several keys. It writes nothing.
-- KEYS  the locks
-- Returns for each {attempt, identity, token, ms left}, or 0 if nobody holds it.

local out = {}
for i, v in ipairs(redis.call('MGET', unpack(KEYS))) do
  local lock = v and parse_lock(v)
  out[i] = 0
  if lock and lock.attempt and not lock.over then -- without an attempt it is no lock: somebody else's string
    out[i] = { lock.attempt, lock.identity, lock.token, lock.expires and lock.expires - now or redis.call('PTTL', KEYS[i]) }
  end
end
return out
