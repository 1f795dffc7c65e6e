-- What the scripts share.
--
-- KEYS  1 NODE   string, what this node is: its list, its position in it and its boot. A script that
--                meets another string, or none, says UNFIT and does nothing: the node has lost
--                its data, or belongs to another list, or was restarted since it was certified.
--       2 LOCK   string, the claim: "attempt try channel token ttl meta". It expires with the lease.
--                The token is what the counter was when the key was taken, until the token
--                of the grant is written back: never more than the counter.
-- Others have names that begin like NODE:
--       COUNTER    string, the last count of this key's shard. It never expires.
--       TOMBSTONE  string, the highest try of an attempt that was ended. It expires when no packet of
--                  such a try can be on its way.
--       QUEUE      sorted set, attempts that wait, by their positions: times in us
--       WAITERS    hash, attempt -> "deadline channel"; a waiter that has not asked again by its
--                  deadline, in server time in ms, is dead
--
-- Nothing about a lock depends on the server's clock, but for how long its key lives. The clock is
-- looked at for two things: waiters, who get hints only, and where a counter that is missing
-- begins.
--
-- Numbers that may reach 1e14 are written with %.0f: Lua's own conversion turns them into 1e+14.
--
-- A server refuses some writes (it is full, may not write, forbids a command), and keeps what a
-- script has written before. Hence:
--   * Where a script only keeps or ends what is there, its first write is one that a full server
--     allows: it looks at its memory until a script has written. What makes something new
--     writes that first, and is refused.
--   * Whoever may write first sets wrote, and tail.lua says it in the error.

local actual = redis.call('GET', KEYS[1])
if actual ~= ARGV[1] then return { err = 'UNFIT ' .. (actual or '') } end

local wrote = false
local OVER = 4
local END = 9007199254740992 -- Lua's numbers count no further

local LOCK = KEYS[2]
local PREFIX = string.sub(KEYS[1], 1, -5)
local KEY = string.sub(LOCK, #PREFIX + 3)
local QUEUE, WAITERS = PREFIX .. 'q:' .. KEY, PREFIX .. 'w:' .. KEY
local COUNTER, TOMBSTONE = KEYS[3], KEYS[4]

local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

local function pack(attempt, try, channel, token, ttl, meta)
  return attempt .. ' ' .. try .. ' ' .. channel .. ' ' .. token .. ' ' .. string.format('%.0f', ttl) .. ' ' .. meta
end

local function parse(v)
  local attempt, try, channel, token, ttl, meta = string.match(v, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  return {
    attempt = attempt, name = try, try = tonumber(try), channel = channel, token = token, ttl = tonumber(ttl), meta = meta,
  }
end

-- next_count is what the counter becomes when a key is taken. One that is missing begins at the
-- clock, so that tokens most likely go on rising when a node has lost its data.
local function next_count()
  local c = redis.call('GET', COUNTER)
  return c and tonumber(c) + 1 or now_us()
end

-- raise makes a counter a token at least. The script has written something before, or makes
-- something new.
local function raise(counter, token)
  local c = redis.call('GET', counter)
  local old = c and tonumber(c) or now_us()
  if not c or tonumber(token) > old then
    redis.call('SET', counter, string.format('%.0f', math.max(tonumber(token), old)))
    wrote = true
  end
end

-- ended reports whether a try was ended.
local function ended(tombstone, try)
  local highest = redis.call('GET', tombstone)
  return highest and tonumber(highest) >= tonumber(try)
end

-- outlive makes a key last for ms from now, at least. It always writes, which a full server allows.
local function outlive(key, ms)
  redis.call('PEXPIRE', key, math.max(ms, redis.call('PTTL', key)))
  wrote = true
end

-- touch writes, and changes nothing, which a full server allows.
local function touch()
  wrote = true
  redis.call('HDEL', WAITERS, '') -- no attempt is ''
end

-- leave takes an attempt out of the queue, unless it waits there for a higher try. It always writes,
-- which a full server allows.
local function leave(attempt, try)
  local w = redis.call('HGET', WAITERS, attempt)
  touch()
  if not w or tonumber(string.match(w, '(%S+)$')) > tonumber(try) then return end
  redis.call('HDEL', WAITERS, attempt)
  redis.call('ZREM', QUEUE, attempt)
end

-- first_waiter is the first that lives; those before it, who have died, leave.
local function first_waiter(now)
  while true do
    local attempt = redis.call('ZRANGE', QUEUE, 0, 0)[1]
    if not attempt then return nil end
    local deadline, channel = string.match(redis.call('HGET', WAITERS, attempt) or '', '^(%S+) (%S+)')
    if deadline and tonumber(deadline) > now then return attempt, channel end
    wrote = true
    redis.call('ZREM', QUEUE, attempt)
    redis.call('HDEL', WAITERS, attempt)
  end
end

-- join puts an attempt in the queue, which a full server refuses; or has it stay there, which it
-- allows. It returns its position, and 1 if nobody waits before it.
local function join(attempt, try, position, channel, ttl)
  local now = now_us()
  local has = redis.call('ZSCORE', QUEUE, attempt)
  if has then
    position = string.format('%.0f', tonumber(has))
  else
    if position == '0' then position = string.format('%.0f', now) end
    redis.call('ZADD', QUEUE, position, attempt)
    wrote = true
  end
  now = math.floor(now / 1000)
  outlive(QUEUE, ttl)
  redis.call('HSET', WAITERS, attempt, string.format('%.0f', now + ttl) .. ' ' .. channel .. ' ' .. try)
  outlive(WAITERS, ttl)
  return position, first_waiter(now) == attempt and 1 or 0
end

-- wake takes the first waiter off the queue and tells it that the key may be free.
local function wake(counter)
  local attempt, channel = first_waiter(math.floor(now_us() / 1000))
  if not attempt then return false end
  redis.call('ZREM', QUEUE, attempt)
  redis.call('HDEL', WAITERS, attempt)
  wrote = true
  redis.call('PUBLISH', channel, 'free ' .. attempt .. ' ' .. (redis.call('GET', counter) or '0'))
  return true
end

-- What a script does follows here; tail.lua ends it.
local ok, reply = pcall(function()
