-- The head of acquire.lua: takes a lock that is free, without the rest being set
-- up. KEYS, ARGV and the record are explained in lib.lua and acquire.lua.
local v = redis.call('MGET', KEYS[1], KEYS[3])
if v[2] then return nil end
if not v[1] and ARGV[4] ~= 'again' then
  local token = redis.call('INCR', KEYS[2])
  local floor = tonumber(ARGV[6])
  if token <= floor or floor == 0 then
    -- The counter is new, or may be old: not below the clock, nor the floor.
    local t = redis.call('TIME')
    token = math.max(token, t[1] * 1000000 + t[2], floor + 1)
    redis.call('SET', KEYS[2], string.format('%.0f', token))
  end
  token = string.format('%.0f', token)
  redis.call('SET', KEYS[1], '- ' .. ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. token .. ' ' .. ARGV[3] .. ' ' .. ARGV[5], 'PX', ARGV[3])
  return token
end
