-- The head of acquire.lua: takes locks that are free, without the rest being set up. KEYS, ARGV and the
-- record are explained in lib.lua and acquire.lua. A key that is there, of whatever type, is left to the rest.
--
-- The clock is mostly ahead of the counter, and a script takes longer than a microsecond. So the clock is
-- taken for the token first, and one command writes the counter and tells what it was. Who gets nothing
-- writes nothing. Without COUNTER there is no string, and all is left to the rest.
local n = #ARGV - 4
local COUNTER = KEYS[n + 1]
local client, ttl, mode, identity = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local t = redis.call('TIME')
local now_us = t[1] * 1000000 + t[2]
local out, rest, taken = {}, nil, 0
for i = 1, n do
  local token = string.format('%.0f', now_us + taken)
  local set = COUNTER and redis.pcall('SET', KEYS[i], '+ ' .. ARGV[4 + i] .. ' ' .. client .. ' ' .. token .. ' ' .. ttl .. ' ' .. identity, 'NX', 'PX', ttl)
  if not set or set.err then -- also a full server may keep a position, or tell who holds the lock
    rest = rest or {}
    rest[#rest + 1] = i
  else
    out[i], taken = now_us + taken, taken + 1
  end
end
if taken > 0 then
  local was = redis.pcall('SET', COUNTER, string.format('%.0f', now_us + taken - 1), 'GET')
  local last = type(was) == 'string' and tonumber(was)
  if not last or last >= now_us then
    -- The counter is not there, is not ours, or is ahead of the clock.
    local failed, token
    if last then
      failed = redis.pcall('SET', COUNTER, string.format('%.0f', last + taken))
      failed = failed.err
    elseif type(was) == 'table' then
      failed = was.err
    else
      if was then redis.call('SET', COUNTER, was) else redis.call('DEL', COUNTER) end
      failed = 'FORMAT ' .. (was or '')
    end
    for i = 1, n do
      if type(out[i]) == 'number' then
        if failed then
          redis.call('DEL', KEYS[i])
          out[i] = failed
        else
          last = last + 1
          out[i], token = last, string.format('%.0f', last)
          redis.call('SET', KEYS[i], '+ ' .. ARGV[4 + i] .. ' ' .. client .. ' ' .. token .. ' ' .. ttl .. ' ' .. identity, 'PX', ttl)
        end
      end
    end
  end
end
if not rest then return out end
