-- What the scripts share.
--
-- KEYS  1 LOCK  string, the grant: "expires attempt client token ttl identity". Its own
--               expiry is the lease's while nobody waits; expires is "-" then. While
--               somebody waits, expires is the server time in ms at which the lease
--               ends, and the key outlives it, so that the first attempt after
--               that sees that there is a queue. identity is the Identity and
--               Meta of the request, joined.
--
-- The other names begin like LOCK, up to the hash tag, so that they are in the
-- same slot. Those that a lock without waiters does not need are made here instead
-- of being passed, since each name that is passed costs time on every call.
--         LAST       string, the last token granted in this shard
--         TOMBSTONE  string, there if the attempt was released
--         QUEUE      sorted set, attempts that wait, by arrival
--         WAITERS    hash, attempt -> "deadline client ttl identity"; a waiter that has not
--                    confirmed by its deadline, in server time in ms, is dead
--
-- Numbers that may reach 1e14 are written with %.0f: Lua's own conversion turns
-- them into 1e+14. A ttl is one ms longer than the lease that the client counts,
-- since times are cut to whole ms here and a lease must not end early.

-- A server refuses some writes (it is full, may not write, forbids a command), and keeps
-- what a script has written before. Hence:
--   * Where a script only keeps or ends what is there, its first write is one that a full
--     server allows: it looks at its memory until a script has written. What makes
--     something new writes that first, and is refused.
--   * A statement that may be the first to write sets wrote, and end.lua says it in the error.

local wrote = false

local LOCK = KEYS[1]
local QUEUE, WAITERS = string.sub(LOCK, 1, -2) .. 'q', string.sub(LOCK, 1, -2) .. 'w'
local SHARD = string.match(LOCK, '^[^}]*}:')
local LAST = SHARD .. 't'

local now_us
do
  local t = redis.call('TIME')
  now_us = t[1] * 1000000 + t[2]
end
local now = math.floor(now_us / 1000)

local function pack_lock(expires, attempt, client, token, ttl, identity)
  return (expires and string.format('%.0f', expires) or '-') .. ' ' .. attempt .. ' ' .. client .. ' ' .. token .. ' '
    .. ttl .. ' ' .. identity
end

local function parse_lock(v)
  local expires, attempt, client, token, ttl, identity = string.match(v, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  expires = tonumber(expires)
  return {
    attempt = attempt, client = client, token = token, ttl = tonumber(ttl), expires = expires, identity = identity,
    over = expires ~= nil and expires <= now, -- the lease has ended though the key is there
  }
end

-- outlive makes a key last for ms from now, at least. It always writes, which a full
-- server allows.
local function outlive(key, ms)
  redis.call('PEXPIRE', key, math.max(ms, redis.call('PTTL', key)))
  wrote = true
end

-- extend gives the lease of a lock that is held ttl from now.
local function extend(key, lock, ttl)
  if lock.expires then outlive(key, ttl) else redis.call('PEXPIRE', key, ttl) end
  wrote = true
  if lock.expires or lock.ttl ~= ttl then -- last, since a full server lets it pass now
    local expires = lock.expires and now + ttl
    redis.call('SET', key, pack_lock(expires, lock.attempt, lock.client, lock.token, ttl, lock.identity), 'KEEPTTL')
  end
end

-- grant gives the lock to an attempt and returns the token: greater than the last
-- one, and never below the clock, so that tokens keep rising when the counter was
-- lost, or set back, with the server's data.
local function grant(attempt, client, ttl, identity)
  local token = string.format('%.0f', math.max(tonumber(redis.call('GET', LAST) or 0) + 1, now_us))
  redis.call('SET', LAST, token)
  wrote = true
  local expires, life = nil, ttl
  local queue_life = redis.call('PTTL', QUEUE) -- below 0 if there is none
  if queue_life >= 0 then
    expires, life = now + life, math.max(life, queue_life)
  end
  redis.call('SET', LOCK, pack_lock(expires, attempt, client, token, ttl, identity), 'PX', life)
  return token
end

-- next_waiter takes the first living waiter off the queue. Its first write is one that a
-- full server allows.
local function next_waiter()
  while true do
    local attempt = redis.call('ZPOPMIN', QUEUE)[1]
    wrote = true
    if not attempt then return nil end
    local v = redis.call('HGET', WAITERS, attempt)
    redis.call('HDEL', WAITERS, attempt)
    if v then
      local deadline, client, ttl, identity = string.match(v, '^(%S+) (%S+) (%S+) (.*)$')
      if tonumber(deadline) > now then return attempt, client, tonumber(ttl), identity end
    end
  end
end

-- hand_off grants the lock to the next waiter and notifies its client, or frees the lock.
-- It returns the attempt that has it now and its token, or nil.
local function hand_off()
  local attempt, client, ttl, identity = next_waiter()
  if not attempt then
    redis.call('DEL', LOCK)
    return nil
  end
  local token = grant(attempt, client, ttl, identity)
  redis.call('PUBLISH', client, 'granted ' .. attempt .. ' ' .. token)
  return attempt, token
end

-- What a script does follows here; end.lua ends it.
local ok, reply = pcall(function()
