-- Makes a namespace ready for this layout: makes the counter, no lower than those of builds before it, and
-- keeps these builds out. They know a lock by a string, and would not see one whose key is a hash; a grant
-- of theirs reads one of the old counters, and fails where that is no number. What they hold stays theirs.
-- KEYS  1 COUNTER  2 … the counters of builds before this layout
-- ARGV  1 what they are to find there: no number
-- Returns 1. An error that begins with FORMAT says that a later build has done the same to this one.

local was = redis.call('GET', KEYS[1])
if tonumber(was or '') then return 1 end
if was then return { err = 'FORMAT ' .. was } end
local t = redis.call('TIME')
local last = t[1] * 1000000 + t[2]
for i, v in ipairs(redis.call('MGET', unpack(KEYS))) do
  last = math.max(last, tonumber(v or '') or 0)
end
for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[1]) end
redis.call('SET', KEYS[1], string.format('%.0f', last))
return 1
