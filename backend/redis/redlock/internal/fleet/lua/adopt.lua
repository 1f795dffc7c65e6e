-- Makes a node one of a list, or certifies a process of it, if it is what the client has seen.
-- ARGV  1 what the names begin with
--       2 run_id  3 identity  4 list  5 record   as the client has seen them, each "" if there was none
--       6 identity  7 list  8 record   as they are to be
--       9 … pairs: a shard, and the count that its counter becomes at least
-- Returns 1, or 0 if the node is not what the client has seen.

local at = ARGV[1]
local v = redis.call('MGET', at .. 'id', at .. 'list', at .. 'node')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
if run ~= ARGV[2] or (v[1] or '') ~= ARGV[3] or (v[2] or '') ~= ARGV[4] or (v[3] or '') ~= ARGV[5] then return 0 end

-- The counters come first, and the record last: a script that is refused halfway (the server is full)
-- has certified nothing.
-- One that is missing begins at the clock, as everywhere, if that is more.
local time = redis.call('TIME')
local clock = time[1] * 1000000 + time[2]
for i = 9, #ARGV, 2 do
  local counter = at .. 't:' .. ARGV[i]
  local old = redis.call('GET', counter)
  local new = math.max(tonumber(ARGV[i + 1]), tonumber(old or clock))
  if new ~= tonumber(old) then redis.call('SET', counter, string.format('%.0f', new)) end
end
if ARGV[6] ~= ARGV[3] then redis.call('SET', at .. 'id', ARGV[6]) end
if ARGV[7] ~= ARGV[4] then redis.call('SET', at .. 'list', ARGV[7]) end
redis.call('SET', at .. 'node', ARGV[8])
return 1
