-- The head of release.lua: frees a lock that nobody waits for, without the rest
-- being set up. KEYS, ARGV and the record are explained in lib.lua and release.lua.
local v = redis.call('GET', KEYS[1])
if v and not ARGV[2] and string.find(v, '- ' .. ARGV[1] .. ' ', 1, true) == 1 then
  redis.call('DEL', KEYS[1])
  return 1
end
