-- Gives a node the key of a grant that it lacks, and raises the counter to its token.
-- KEYS  1 NODE  2 LOCK  3 COUNTER  4 TOMBSTONE
-- ARGV  1 what NODE must be  2 attempt  3 try  4 ttl in ms  5 token  6 channel  7 meta
-- Returns 1 if the try has the key now,
--         3 if another attempt has it,
--         OVER if the try was ended, or a higher one of its attempt has the key.

local attempt, try, ttl, token = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local life = ttl
if ended(TOMBSTONE, try) then return OVER end
local v = redis.call('GET', LOCK)
if v then
  local lock = parse(v)
  if lock.attempt ~= attempt then return 3 end
  if lock.try > tonumber(try) then return OVER end
  if lock.try == tonumber(try) then -- it has it, maybe for longer
    life = math.max(ttl, redis.call('PTTL', LOCK))
    ttl = math.max(ttl, lock.ttl)
    life = math.min(life, ttl)
  end
end
if token ~= '0' then raise(COUNTER, token) end
redis.call('SET', LOCK, pack(attempt, try, ARGV[6], token, ttl, ARGV[7]), 'PX', life)
wrote = true
return 1
