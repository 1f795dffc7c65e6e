-- The head of acquire.lua: takes a lock that is free, without the rest being set
-- up. KEYS, ARGV and the record are explained in lib.lua and acquire.lua.
local v = redis.call('MGET', KEYS[1], KEYS[2], KEYS[3])
if v[3] then return nil end
if not v[1] and ARGV[4] ~= 'again' then
  local t = redis.call('TIME')
  local token = string.format('%.0f', math.max(tonumber(v[2] or 0) + 1, t[1] * 1000000 + t[2]))
  redis.call('SET', KEYS[2], token)
  redis.call('SET', KEYS[1], '- ' .. ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. token .. ' ' .. ARGV[3] .. ' ' .. ARGV[5], 'PX', ARGV[3])
  return token
end
