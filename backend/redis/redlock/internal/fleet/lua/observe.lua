-- Tells what a node is.
-- ARGV  1 what the names begin with
-- Returns {run_id, identity, list, record}, each "" if there is none.

local v = redis.call('MGET', ARGV[1] .. 'id', ARGV[1] .. 'list', ARGV[1] .. 'node')
return { string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or '', v[1] or '', v[2] or '', v[3] or '' }
