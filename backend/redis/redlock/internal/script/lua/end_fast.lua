-- The head of end.lua: frees a key that nobody waits for, without the rest being set up. KEYS and
-- ARGV are explained in end.lua, the record in lib.lua.
if ARGV[4] == '0' and (ARGV[5] == 'release' or ARGV[5] == 'failed') then
  local v = redis.call('MGET', KEYS[1], KEYS[2])
  if v[1] ~= ARGV[1] then return { err = 'UNFIT ' .. (v[1] or '') } end
  local id = ARGV[2] .. ' ' .. ARGV[3] .. ' '
  if v[2] and string.sub(v[2], 1, #id) == id then
    local prefix = string.sub(KEYS[1], 1, -5)
    if ARGV[5] == 'failed' or redis.call('EXISTS', prefix .. 'q:' .. string.sub(KEYS[2], #prefix + 3)) == 0 then
      redis.call('DEL', KEYS[2])
      return 1
    end
  end
end
