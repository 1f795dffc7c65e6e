-- The head of release.lua: frees locks that nobody waits for, without the rest being set up. KEYS, ARGV
-- and the record are explained in lib.lua and release.lua.
local n = #ARGV - 1
local COUNTER = KEYS[n + 1]
local now_us
local out, rest, free = {}, nil, {}
if COUNTER and ARGV[1] == '' then
  for i, v in ipairs(redis.call('MGET', unpack(KEYS, 1, n))) do
    if v and string.find(v, '+ ' .. ARGV[1 + i] .. ' ', 1, true) == 1 then
      free[#free + 1], out[i] = KEYS[i], 1
    else
      rest = rest or {}
      rest[#rest + 1] = i
    end
  end
  if #free > 0 then redis.call('DEL', unpack(free)) end
  if not rest then return out end
else
  rest = {}
  for i = 1, n do rest[i] = i end
end
