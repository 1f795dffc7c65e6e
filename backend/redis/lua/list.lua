-- Tells who holds each of several keys. It writes nothing.
-- KEYS  the locks
-- Returns for each {owner, meta, token, ms left}, or 0 if nobody holds it.

local out = {}
for i, v in ipairs(redis.call('MGET', unpack(KEYS))) do
  local lock = v and parse_lock(v)
  out[i] = 0
  if lock and lock.owner and not lock.over then -- without an owner it is no lock: somebody else's string
    out[i] = { lock.owner, lock.meta, lock.token, lock.lapse and lock.lapse - now or redis.call('PTTL', KEYS[i]) }
  end
end
return out
