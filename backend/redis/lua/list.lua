-- Tells who holds each of several keys. It writes nothing.
-- KEYS  the locks
-- Returns for each {attempt, identity, token, ms left}, or 0 if nobody holds it, or if it is not a lock but
--         somebody else's.

local function one(i)
  local ok = pcall(look, KEYS[i])
  if not ok or not lock or lock.over then return 0 end
  return { lock.attempt, lock.identity, lock.token, lock.left }
end
