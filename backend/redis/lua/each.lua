-- The head of scripts that look at each of their keys, which are locks.
local COUNTER, now_us
local out, rest = {}, {}
for i = 1, #KEYS do rest[i] = i end
