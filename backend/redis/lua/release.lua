-- Ends the claims of attempts, held or waiting, and hands the locks off.
-- KEYS  the locks, COUNTER if there is one
-- ARGV  1 the ttl of a tombstone in ms: how long a late packet of an attempt is refused;
--       empty if none can be under way; otherwise always the same, so that tombstones end in their order
--       2 … the attempt of each lock
-- Returns for each lock 1 if it ended a grant, 0 if there was none, 2 if the attempt had been released,
--         or an error: a string.

local tombstone_ttl = tonumber(ARGV[1])

local function one(i)
  local attempt = ARGV[1 + i]
  look(KEYS[i])
  local holds = lock and lock.attempt == attempt
  local again = tombstone_ttl and buried(attempt)
  if again and not holds then return 2 end -- else an error has left half of it
  local place = kind == 'hash' and redis.call('HGET', KEY, 'w' .. attempt)
  -- A build before this layout would not find its lock in a hash, so there is no tombstone beside it.
  if not holds and not place and (not tombstone_ttl or lock and lock.old) then return 0 end
  if place or tombstone_ttl then must_pass() end
  if tombstone_ttl and not again then
    graves = (graves and graves .. ' ' or '') .. attempt .. ' ' .. string.format('%.0f', now + tombstone_ttl)
  end
  local life = tombstone_ttl or 0
  if place then
    local before = first_waiter()
    redis.call('HDEL', KEY, place, 'w' .. attempt)
    wrote = true
    -- So that the queue is known to be empty when the last that waits gets the lock.
    while first <= last_place and not redis.call('HGET', KEY, last_place) do last_place = last_place - 1 end
    if not holds and before and before.attempt == attempt then
      -- The attempt that is the first now must watch for the end of the lease: tell it.
      local w = first_waiter()
      if w then redis.call('PUBLISH', w.client, 'ask ' .. w.attempt) end
    end
  end
  if not holds then
    save(life)
    return 0
  end
  local over = lock.over
  if tombstone_ttl then save(life) end
  hand_off()
  return over and 0 or 1
end
