-- What the scripts share.
--
-- KEYS  1 to n, the locks; and then, on one server, COUNTER: string, the last token that was granted in the
--       namespace. Without it each lock's key keeps the last token of that lock: then a script needs no key
--       but the lock's, and stands on a Cluster while slots move.
--
-- With COUNTER a lock's key is a string while nobody waits: "+ attempt client token ttl identity", whose own
-- expiry is the lease's. identity is the Identity and Meta of the request, joined. "-" or a number in place of
-- "+" is of a build before this layout, which has its waiters in other keys.
--
-- Without COUNTER it is always a hash: a key that a script deletes cannot be made again by the same script
-- while its slot moves (it "is not local" then), so it must not change its type. A lock that nobody has stays
-- for some time, for its last token.
--
-- With COUNTER it is a hash while somebody waits, or while a request of an attempt that was released may be
-- under way:
--         l     the string as above, if there is a holder, with the server time in ms at which the lease ends
--               in place of "+": the key outlives the lease, so that the first attempt after it sees the queue
--         h, n  the numbers of the first place and of the last; one that was left is not there
--         1 …   a place: "attempt deadline client ttl identity"; a waiter that has not confirmed by its
--               deadline, in server time in ms, is dead
--         w…    by attempt: the number of its place
--         m     the least ttl of the waiters since the queue was empty
--         x     tombstones: "attempt end" of each attempt that was released, joined by spaces, oldest first
--         t     without COUNTER: the last token
--
-- Numbers that may reach 1e14 are written with %.0f: Lua's own conversion turns them into 1e+14. In a reply
-- they are integers, which are exact. A ttl is
-- one ms longer than the lease that the client counts, since times are cut to whole ms here and a lease
-- must not end early.
--
-- A server refuses some writes (it is full, may not write, forbids a command), and keeps what a script has
-- written before. Hence:
--   * Where a script only keeps or ends what is there, it calls must_pass first: a full server looks at its
--     memory until a script has called a command that writes, and does not forbid that one. What makes
--     something new does not, and is refused.
--   * A statement that may be the first to write sets wrote, and end.lua says it in the error.

local LAST_TOKEN_LIFE = 60000 -- without COUNTER: how long the last token outlives its lease, in ms
local MOST_GRAVES = 65536     -- bytes of tombstones; the oldest go first

local wrote = false

if not now_us then
  local t = redis.call('TIME')
  now_us = t[1] * 1000000 + t[2]
end
local now = math.floor(now_us / 1000)

-- The lock that is looked at.
local KEY, kind, raw
local lock               -- nil if nobody has it
local first, last_place  -- h, n
local least, graves      -- m, x
local graves_were        -- x, as it is on the server
local last               -- token
local keeps_last         -- there is a t

-- must_pass has what follows written on a full server, too.
local function must_pass() redis.call('PEXPIRE', KEY, 1, 'GT') end

local function pack_lock(expires)
  return (expires and string.format('%.0f', expires) or '+') .. ' ' .. lock.attempt .. ' ' .. lock.client .. ' '
    .. lock.token .. ' ' .. lock.ttl .. ' ' .. lock.identity
end

local function parse_lock(v, left)
  local expires, attempt, client, token, ttl, identity = string.match(v, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  if not attempt then return nil end
  left = tonumber(expires) and tonumber(expires) - now or left
  return {
    attempt = attempt, client = client, token = token, ttl = tonumber(ttl), identity = identity, left = left,
    over = left <= 0, -- the lease has ended though the key is there
    old = expires ~= '+' and kind == 'string',
  }
end

-- look reads the record of a lock.
local function look(key)
  KEY, kind, raw = key, redis.call('TYPE', key).ok, nil
  lock, first, last_place, least, graves, graves_were, last, keeps_last = nil, 1, 0, nil, nil, nil, 0, false
  if kind == 'string' then
    raw = redis.call('GET', key)
    lock = parse_lock(raw, redis.call('PTTL', key))
    last = tonumber(lock and lock.token)
  elseif kind == 'hash' then
    local f = redis.call('HMGET', key, 'l', 'h', 'n', 'm', 'x', 't')
    lock = f[1] and parse_lock(f[1])
    first, last_place, least, graves = tonumber(f[2]), tonumber(f[3]), tonumber(f[4]), f[5]
    keeps_last = f[6]
    graves_were = graves
    last = first and last_place and tonumber(lock and lock.token or f[6] or 0)
  elseif kind ~= 'none' then
    last = nil
  end
  if not last then error({ err = 'WRONGTYPE the key has a value that is not of a lock' }) end
  if lock and not lock.ttl then error({ err = 'WRONGTYPE the key has a value that is not of a lock' }) end
end

-- clear_graves takes off tombstones that have ended, and the oldest where there are too many. It looks at no
-- others, since there may be thousands: all waiters of a lock may be cancelled at once.
local function clear_graves()
  local from = 1
  while graves do
    local s, e, ends = string.find(graves, '^%S+ (%S+) ?', from)
    if not s then
      graves = nil
    elseif tonumber(ends) > now and #graves - from < MOST_GRAVES then
      break
    else
      from = e + 1
    end
  end
  if graves and from > 1 then graves = string.sub(graves, from) end
end

-- save writes the record. The key lasts for life ms from now, at least; where nobody waits, as long as what is
-- left in it: a waiter that has given up may have had a long ttl.
local function save(life, ...)
  clear_graves()
  if COUNTER and first > last_place and not graves then
    if lock and not lock.over then
      redis.call('SET', KEY, pack_lock(), 'PX', lock.left)
    else
      redis.call('DEL', KEY)
    end
    wrote = true
    return
  end
  local left = 0
  if kind == 'string' then
    left = redis.call('PTTL', KEY)
    if lock and not lock.over then
      -- The clock of Redis 7.0 goes on while a script runs, or is kept from running. So what is left was read
      -- later than now, and counts from a time that was read later still, or the lease would end early.
      local t = redis.call('TIME')
      lock.left = t[1] * 1000 + math.floor(t[2] / 1000) + left - now
    end
  end
  local f = { 'h', first, 'n', last_place, ... }
  local function put(name, value)
    f[#f + 1] = name
    f[#f + 1] = value
  end
  if lock then
    put('l', pack_lock(now + lock.left))
    life = math.max(life, lock.left)
  end
  if not COUNTER then
    put('t', string.format('%.0f', last))
    life = life + LAST_TOKEN_LIFE
  end
  if least then put('m', least) end
  if graves and graves ~= graves_were then put('x', graves) end
  if kind == 'hash' then
    redis.call('HSET', KEY, unpack(f))
    wrote = true
    if not lock then redis.call('HDEL', KEY, 'l') end
    if graves_were and not graves then redis.call('HDEL', KEY, 'x') end
    graves_were = graves
    if first <= last_place then
      redis.call('PEXPIRE', KEY, life, 'GT')
    else
      life = math.max(lock and lock.left or 0, graves and tonumber(string.match(graves, '%d+$')) - now or 0)
      redis.call('PEXPIRE', KEY, math.max(life + (COUNTER and 0 or LAST_TOKEN_LIFE), 1))
    end
    return
  end
  if kind == 'string' then redis.call('DEL', KEY) end
  local made = redis.pcall('HSET', KEY, unpack(f))
  if type(made) == 'table' and made.err then
    if raw then redis.call('SET', KEY, raw, 'PX', math.max(left, 1)) end -- or a holder would lose its lock
    error(made)
  end
  wrote = true
  redis.call('PEXPIRE', KEY, math.max(life, left))
  kind, graves_were = 'hash', graves
end

-- extend gives the lease of a lock that is held ttl from now. It always writes the record: a waiter of a
-- build before this layout puts the time of the lease's end into ours, and that must not stay what it was.
local function extend(ttl)
  must_pass()
  lock.ttl, lock.left, lock.over = ttl, ttl, false
  if kind == 'hash' then
    redis.call('HSET', KEY, 'l', pack_lock(now + ttl))
    redis.call('PEXPIRE', KEY, keeps_last and ttl + LAST_TOKEN_LIFE or ttl, 'GT')
  else
    redis.call('SET', KEY, pack_lock(), 'PX', ttl)
  end
  wrote = true
end

-- next_token is greater than the last one, and never below the clock, so that tokens keep rising when the
-- counter was lost, or set back, with the server's data.
local function next_token()
  if COUNTER then
    local v = redis.call('GET', COUNTER)
    last = tonumber(v or '')
    if not last then error({ err = 'FORMAT ' .. (v or '') }) end
  end
  last = math.max(last + 1, now_us)
  local token = string.format('%.0f', last)
  if COUNTER then
    redis.call('SET', COUNTER, token)
    wrote = true
  end
  return token
end

-- grant gives the lock to an attempt, with a token from next_token, and returns the token.
local function grant(token, attempt, client, ttl, identity)
  lock = { attempt = attempt, client = client, token = token, ttl = ttl, identity = identity, left = ttl }
  save(ttl)
  return token
end

-- first_waiter finds the first living waiter, and takes dead ones before it off the queue.
local function first_waiter()
  local dead = false
  while first <= last_place do
    local v = redis.call('HGET', KEY, first)
    if v then
      local attempt, deadline, client, ttl, identity = string.match(v, '^(%S+) (%S+) (%S+) (%S+) (.*)$')
      if tonumber(deadline) > now then
        if dead then redis.call('HSET', KEY, 'h', first) end -- or the next would look at all those places again
        if deadline - ttl > now then
          -- The server's clock was set back. A waiter that is dead would be in the way for that long.
          must_pass()
          redis.call('HSET', KEY, first, attempt .. ' ' .. string.format('%.0f', now + ttl) .. ' ' .. client .. ' ' .. ttl .. ' ' .. identity)
          wrote = true
        end
        return { attempt = attempt, client = client, ttl = tonumber(ttl), identity = identity }
      end
      redis.call('HDEL', KEY, first, 'w' .. attempt)
      wrote, dead = true, true
    end
    first = first + 1
  end
  least = nil
  return nil
end

-- hand_off grants the lock to the next waiter and notifies its client, or frees the lock.
-- It returns the attempt that has it now and its token, or nil.
local function hand_off()
  if kind == 'hash' then must_pass() end -- else it only deletes
  local w = first_waiter()
  if not w then
    lock = nil
    save(0)
    return nil
  end
  local token = next_token() -- first: without a counter nothing changes
  redis.call('HDEL', KEY, first, 'w' .. w.attempt)
  wrote = true
  first = first + 1
  grant(token, w.attempt, w.client, w.ttl, w.identity)
  redis.call('PUBLISH', w.client, 'granted ' .. w.attempt .. ' ' .. token)
  return w.attempt, token
end

-- buried reports whether an attempt was released. It searches, and does not take the list apart: see clear_graves.
local function buried(attempt)
  local at = 1
  while graves do
    local s, e = string.find(graves, attempt .. ' ', at, true)
    if not s then return false end
    local ends = (s == 1 or string.sub(graves, s - 1, s - 1) == ' ') and tonumber(string.match(graves, '^%d+', e + 1))
    if ends and ends > now then return true end
    at = e
  end
  return false
end

-- What a script does with one lock follows here; end.lua calls it.
