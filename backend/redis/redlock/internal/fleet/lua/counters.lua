-- Reads all counters of a node.
-- ARGV  1 what the names begin with  2 the record that the node must have; "" for whichever
--       3 how many shards there are
-- Returns the counters in the order of the shards, each a string or false; or 0 if the record is another.

local at = ARGV[1]
if ARGV[2] ~= '' and redis.call('GET', at .. 'node') ~= ARGV[2] then return 0 end
local names = {}
for shard = 0, tonumber(ARGV[3]) - 1 do names[#names + 1] = at .. 't:' .. shard end
return redis.call('MGET', unpack(names))
