-- Tells who has each of a few keys.
-- KEYS  1 NODE  as in lib.lua  then the locks
-- ARGV  1 what NODE must be
-- Returns for each lock its record or "", and the ms left.

local values = redis.call('MGET', unpack(KEYS))
if values[1] ~= ARGV[1] then return { err = 'UNFIT ' .. (values[1] or '') } end
local out = {}
for i = 2, #KEYS do
  local v, left = values[i] or '', 0
  local ttl = tonumber(string.match(v, '^%S+ %S+ %S+ %S+ (%S+) ') or '')
  if ttl then
    left = redis.call('PTTL', KEYS[i])
    if left < 0 or left > ttl then left = ttl end
  else
    v = '' -- nothing, or somebody else's data
  end
  out[#out + 1] = v
  out[#out + 1] = left
end
return out
