-- Tells which locks there are: a part of them.
-- KEYS  1 NODE  as in lib.lua
-- ARGV  1 what NODE must be  2 where the part begins; "0" for the first
--       3 the pattern of the locks' names  4 about how many names to look at
-- Returns {where the next part begins, or "0" after the last, what NODE is, name, ...}.

local actual = redis.call('GET', KEYS[1])
if actual ~= ARGV[1] then return { err = 'UNFIT ' .. (actual or '') } end
if redis.acl_check_cmd and not redis.acl_check_cmd('SCAN', '0') then
  return { err = 'NOPERM to list locks needs what the server does not allow to this user: ACL SETUSER … +scan' }
end
local part = redis.call('SCAN', ARGV[2], 'MATCH', ARGV[3], 'COUNT', ARGV[4])
return { part[1], actual, unpack(part[2]) }
