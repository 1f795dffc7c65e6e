-- Tells which commands the server would refuse, without running any.
-- ARGV  1 a name in the namespace that nothing has  2 the client's channel
--       3 the database
-- Returns a list: '-' and the name of a command that is not allowed, with these
-- arguments, '?' and the name of one that the server does not know.

if not redis.acl_check_cmd then return {} end -- a library that acts as a server
local k, channel, database = ARGV[1], ARGV[2], ARGV[3]
local needed = {
  { 'EVALSHA', '', '1', k }, { 'EVAL', '', '1', k }, { 'TIME' }, { 'PING' },
  { 'SUBSCRIBE', channel }, { 'PUBLISH', channel, '' },
  { 'GET', k }, { 'MGET', k }, { 'SET', k, '' }, { 'DEL', k }, { 'TYPE', k }, { 'PTTL', k }, { 'PEXPIRE', k, '1' },
  { 'HSET', k, '', '' }, { 'HGET', k, '' }, { 'HMGET', k, '' }, { 'HDEL', k, '' }, { 'HLEN', k },
}
if database ~= '0' then needed[#needed + 1] = { 'SELECT', database } end
local refused = {}
for _, command in ipairs(needed) do
  local known, allowed = pcall(redis.acl_check_cmd, unpack(command))
  if not known then
    refused[#refused + 1] = '?' .. string.lower(command[1])
  elseif not allowed then
    refused[#refused + 1] = '-' .. string.lower(command[1])
  end
end
return refused
