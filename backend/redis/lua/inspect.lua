-- Tells who holds a key.
-- KEYS  the lock, COUNTER if there is one
-- Returns {{attempt, identity, token, ms left, number of waiters}}, with attempt "" if
-- nobody does.

rest = { 1 }

local function one()
  look(KEYS[1])
  local waiters = 0
  if kind == 'hash' then
    local others = 0 -- fields that are of no waiter
    for _, v in ipairs(redis.call('HMGET', KEY, 'l', 'h', 'n', 'm', 'x', 't')) do
      if v then others = others + 1 end
    end
    waiters = (redis.call('HLEN', KEY) - others) / 2
  end
  if not lock or lock.over then return { '', '', '', 0, waiters } end
  return { lock.attempt, lock.identity, lock.token, lock.left, waiters }
end
