package redis_test

// A stand-in with the shape of the layout, until the real scripts are there.
const stubLib = `
local t = redis.call('TIME')
local now_us = t[1] * 1000000 + t[2]
local now = math.floor(now_us / 1000)
local K = KEYS[1]
local kind = redis.call('TYPE', K).ok
local s = { x = {}, q = {} } -- holder, expires, token, ttl; queue of {attempt, deadline, ttl, client}
local function num(n) return string.format('%.0f', n) end
if kind == 'string' then
  local v = redis.call('GET', K)
  if string.sub(v, 1, 2) == '= ' then s.last = tonumber(string.sub(v, 3))
  else
    local a, c, tok, ttl = string.match(v, '^%- (%S+) (%S+) (%S+) (%S+)')
    s.a, s.c, s.last, s.ttl, s.e = a, c, tonumber(tok), tonumber(ttl), now + redis.call('PTTL', K)
  end
elseif kind == 'hash' then
  local d = cmsgpack.unpack(redis.call('HGET', K, 'd'))
  s = d
  for a, e in pairs(s.x) do if e <= now then s.x[a] = nil end end
end
local function save()
  local plain = #s.q == 0 and next(s.x) == nil
  if plain and s.a and s.e <= now then s.a = nil end
  if plain then
    if s.a then redis.call('SET', K, '- ' .. s.a .. ' ' .. s.c .. ' ' .. num(s.last) .. ' ' .. s.ttl .. ' id', 'PX', s.e - now)
    else redis.call('SET', K, '= ' .. num(s.last or now_us), 'PX', 60000) end
    return
  end
  if kind ~= 'hash' then
    redis.call('RESTORE', K, 600000, '\16\11\11\0\0\0\2\0\128\1\128\1\255\10\0\48\93\56\52\105\176\8\113', 'REPLACE')
  end
  redis.call('HSET', K, 'd', cmsgpack.pack(s))
  redis.call('PEXPIRE', K, 600000)
end
local function grant(a, c, ttl)
  s.last = math.max((s.last or 0) + 1, now_us)
  s.a, s.c, s.ttl, s.e = a, c, ttl, now + ttl
end
local function over() return not s.a or s.e <= now end
local function hand_off()
  s.a = nil
  while #s.q > 0 do
    local w = table.remove(s.q, 1)
    if w[2] > now then
      grant(w[1], w[4], w[3])
      redis.call('PUBLISH', w[4], 'granted ' .. w[1] .. ' ' .. num(s.last))
      return
    end
  end
end
`

const stubAcquire = stubLib + `
local a, c, ttl, mode = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
if s.x[a] then return nil end
if s.a == a and not over() then s.e = now + ttl save() return num(s.last) end
local at
for i, w in ipairs(s.q) do if w[1] == a then at = i end end
if over() and #s.q == 0 then grant(a, c, ttl) save() return num(s.last) end
if mode == 'try' then
  if not over() then return { s.e - now, 'id' } end
  for _, w in ipairs(s.q) do if w[2] > now then return 0 end end
  s.q = {} grant(a, c, ttl) save() return num(s.last)
end
if at then s.q[at][2], s.q[at][3] = now + ttl, ttl else s.q[#s.q + 1] = { a, now + ttl, ttl, c } at = #s.q end
if over() then hand_off() end
save()
if s.a == a then return num(s.last) end
local first = s.q[1][1] == a
return { first and 1 or 0, first and s.e - now or ttl, num(math.max(s.last, now_us - 1)) }
`

const stubRelease = stubLib + `
local a, x = ARGV[1], tonumber(ARGV[2] or 0)
if x > 0 and s.x[a] then return 2 end
local did = 0
if x > 0 then s.x[a] = now + x end
if s.a == a then did = over() and 0 or 1 hand_off() end
for i, w in ipairs(s.q) do
  if w[1] == a then
    table.remove(s.q, i)
    if i == 1 and s.q[1] then redis.call('PUBLISH', s.q[1][4], 'ask ' .. s.q[1][1]) end
    break
  end
end
save()
return did
`

const stubRenew = stubLib + `
if s.a ~= ARGV[1] or over() then return { 0 } end
s.ttl = tonumber(ARGV[2]) s.e = now + s.ttl save()
return { 1 }
`
