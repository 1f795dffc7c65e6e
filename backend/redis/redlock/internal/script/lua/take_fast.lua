-- The head of take.lua: takes a key that is free, and refuses one that another has, without the
-- rest being set up. KEYS and ARGV are explained in take.lua, the record in lib.lua.
local v = redis.call('MGET', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
if v[1] ~= ARGV[1] then return { err = 'UNFIT ' .. (v[1] or '') } end
if not v[4] and ARGV[8] == '0' then
  if not v[2] then
    local token
    if ARGV[5] == '-' then
      token = v[3] or '0'
    elseif v[3] then
      local count = math.max(tonumber(v[3]) + 1, tonumber(ARGV[5]))
      if count < 9007199254740992 then
        token = string.format('%.0f', count)
        redis.call('SET', KEYS[3], token)
      end
    end
    if token then
      redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[6] .. ' ' .. token .. ' ' .. ARGV[4] .. ' ' .. ARGV[9],
        'PX', ARGV[4])
      return token
    end
  elseif ARGV[7] == '0' and string.sub(v[2], 1, #ARGV[2] + 1) ~= ARGV[2] .. ' ' then
    local left = redis.call('PTTL', KEYS[2])
    if left >= 0 and left <= tonumber(string.match(v[2], '^%S+ %S+ %S+ %S+ (%S+)')) then
      return { v[2], left, v[3] or '0', '0', 0 }
    end
  end
end
