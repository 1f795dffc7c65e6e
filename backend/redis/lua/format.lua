-- Makes a namespace ready for this layout: makes the counter, no lower than those of builds before it, and
-- keeps these builds out. They know a lock by a string, and would not see one whose key is a hash; a grant
-- of theirs reads one of the old counters, and fails where that is no number. What they hold stays theirs.
-- KEYS  1 COUNTER  2 … the counters of builds before this layout
-- ARGV  1 what they are to find there: no number
-- Returns 1. It writes only what is not as it should be. An error that begins with FORMAT says that a later
-- build has done the same to this one.

local was = redis.call('GET', KEYS[1])
if was and not tonumber(was) then return { err = 'FORMAT ' .. was } end
local t = redis.call('TIME')
local last, ready = tonumber(was or '') or t[1] * 1000000 + t[2], was
for i, v in ipairs(redis.call('MGET', unpack(KEYS, 2))) do
  if v ~= ARGV[1] then -- it was not there yet, or somebody has deleted it, or the server has
    last, ready = math.max(last, tonumber(v or '') or 0), false
  end
end
if ready then return 1 end
for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[1]) end
redis.call('SET', KEYS[1], string.format('%.0f', last))
return 1
