-- Tells which commands the server would refuse, without running any.
-- ARGV  1 a name in the namespace that nothing has  2 the client's channel
--       3 "cluster" on a Cluster, else ""  4 the database
-- Returns a list: '-' and the name of a command that is not allowed, with these
-- arguments, '?' and the name of one that the server does not know; '+' and the name of one
-- that saves work and is there and allowed.

if not redis.acl_check_cmd then return {} end -- a library that acts as a server
local k, channel, cluster, database = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local needed = {
  { 'EVALSHA', '', '1', k }, { 'EVAL', '', '1', k }, { 'TIME' }, { 'PING' },
  { 'SUBSCRIBE', channel }, { 'PUBLISH', channel, '' },
  { 'GET', k }, { 'MGET', k }, { 'SET', k, '' }, { 'DEL', k }, { 'TYPE', k }, { 'PTTL', k }, { 'PEXPIRE', k, '1' },
  { 'HSET', k, '', '' }, { 'HGET', k, '' }, { 'HMGET', k, '' }, { 'HDEL', k, '' }, { 'HLEN', k },
}
if cluster ~= '' then needed[#needed + 1] = { 'ASKING' } end
if database ~= '0' then needed[#needed + 1] = { 'SELECT', database } end
local found = {}
for _, command in ipairs(needed) do
  local known, allowed = pcall(redis.acl_check_cmd, unpack(command))
  if not known then
    found[#found + 1] = '?' .. string.lower(command[1])
  elseif not allowed then
    found[#found + 1] = '-' .. string.lower(command[1])
  end
end
local function useful(command, ...)
  local known, allowed = pcall(redis.acl_check_cmd, command, ...)
  if known and allowed then found[#found + 1] = '+' .. string.lower(command) end
end
useful('DELEX', k, 'IFEQ', '')
useful('DELIFEQ', k, '')
return found
