-- The head of renew.lua: extends leases of locks that nobody waits for, without the rest being set up.
local COUNTER, now_us
local out, rest, ttls, ttl = {}, nil, {}, nil
for i, v in ipairs(redis.call('MGET', unpack(KEYS))) do
  if ARGV[2 * i] ~= '' then ttl = ARGV[2 * i] end
  local attempt, was
  if v then attempt, was = string.match(v, '^%+ (%S+) %S+ %S+ (%S+) ') end
  if attempt == ARGV[2 * i - 1] and was == ttl then
    local set = redis.pcall('PEXPIRE', KEYS[i], ttl)
    out[i] = type(set) == 'table' and set.err or set
  else
    ttls[i] = tonumber(ttl)
    rest = rest or {}
    rest[#rest + 1] = i
  end
end
if not rest then return out end
