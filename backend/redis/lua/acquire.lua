-- Takes locks for attempts, or their positions in the queue; or confirms either.
-- KEYS  the locks, COUNTER if there is one
-- ARGV  1 client (its channel)  2 ttl in ms  3 "try" or "wait"
--       4 identity: who asks, with what the application says of the lock
--       5 … the attempt of each lock
-- Returns for each lock
--         the token if the attempt holds the lock now,
--         {1, ms, last} if it is the first that waits: what is left of the holder's lease,
--         and a number: tokens granted later are greater, those granted before
--         (also before a restart that set the counter back) are not,
--         {0, ms, last} if it waits behind others: the least ttl of those that wait,
--         {ms, identity} if another holds it and the attempt does not wait: what is left of
--         the holder's lease, and its identity; 0 if the lease has ended and others wait,
--         nil if the attempt was released,
--         or an error: a string.

ttl = tonumber(ttl)

local function waiting(is_first, ms)
  if COUNTER then last = tonumber(redis.call('GET', COUNTER) or 0) end
  return { is_first, ms, math.max(last or 0, now_us - 1) }
end

local function one(i)
  local attempt = ARGV[4 + i]
  look(KEYS[i])
  if buried(attempt) then return false end
  if lock and lock.attempt == attempt and not lock.over then
    -- Asked again, since a reply or a notification was lost: the same grant, from now.
    extend(ttl)
    return tonumber(lock.token)
  end
  if lock and lock.left > lock.ttl then
    -- Only if the server's clock was set back does a lease have more left than its ttl. A dead
    -- holder would be in the way for that long. Its ttl from now is no less than it has.
    must_pass()
    lock.left = lock.ttl
    local ends = now + lock.ttl
    if kind == 'hash' then
      redis.call('HSET', KEY, 'l', pack_lock(ends))
    else
      local v = string.gsub(raw, '^%d+', string.format('%.0f', ends)) -- old builds may have the time there
      redis.call('SET', KEY, v, 'PX', lock.ttl)
    end
    wrote = true
  end

  local held = lock and not lock.over
  if mode == 'try' then
    if held then return { lock.left, lock.identity } end
    if first_waiter() then return 0 end -- the lock belongs to it
    return tonumber(grant(next_token(), attempt, client, ttl, identity))
  end
  if held and lock.old then return waiting(1, lock.left) end -- its builds would not find it in a hash

  -- Join the queue, which a full server refuses; or stay in it, which it allows.
  local place = kind == 'hash' and tonumber(redis.call('HGET', KEY, 'w' .. attempt))
  local w = attempt .. ' ' .. string.format('%.0f', now + ttl) .. ' ' .. client .. ' ' .. ttl .. ' ' .. identity
  if place then
    must_pass()
    redis.call('HSET', KEY, place, w)
    wrote = true
    redis.call('PEXPIRE', KEY, ttl, 'GT')
  elseif not held and not first_waiter() then
    return tonumber(grant(next_token(), attempt, client, ttl, identity))
  else
    if kind == 'string' then redis.call('SET', KEY, raw, 'KEEPTTL') end -- save begins with a write that a full server allows
    if first > last_place then least = nil end
    last_place = last_place + 1
    least = math.min(least or ttl, ttl)
    save(ttl, last_place, w, 'w' .. attempt, last_place)
  end

  if not held then
    local winner, token = hand_off()
    if winner == attempt then return tonumber(token) end
  end
  if first_waiter().attempt == attempt then return waiting(1, lock.left) end
  return waiting(0, least)
end
