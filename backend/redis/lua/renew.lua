-- Extends leases that are held; never brings one back.
-- KEYS  the locks
-- ARGV  attempt and ttl in ms of each; an empty ttl is that of the one before
-- Returns for each 1 if it was extended, 0 if it is not held, or an error: a string.

local function one(i)
  look(KEYS[i])
  if not lock or lock.attempt ~= ARGV[2 * i - 1] or lock.over then return 0 end
  extend(ttls[i])
  return 1
end
