-- Extends leases, where the keys have their tries; never takes a key.
-- KEYS  1 NODE  then the locks, each once
-- ARGV  1 what NODE must be  then of each lease: "attempt try ", ttl in ms, token, shard
-- Returns for each 1, or 2 if nobody has the key, or 3 if another.

local out = {}
for i, v in ipairs(redis.call('MGET', unpack(KEYS))) do
  if i > 1 then
    local at = 4 * i - 6
    local id = ARGV[at]
    if not v then
      out[i - 1] = 2
    elseif string.sub(v, 1, #id) ~= id then
      out[i - 1] = 3
    else
      local key, ttl, token = KEYS[i], ARGV[at + 1], ARGV[at + 2]
      redis.call('PEXPIRE', key, ttl) -- first, since a full server lets the next pass
      wrote = true
      local channel, has, had, meta = string.match(v, '^(%S+) (%S+) (%S+) (.*)$', #id + 1)
      if has ~= token or had ~= ttl then
        if has ~= token and token ~= '0' then raise(PREFIX .. 't:' .. ARGV[at + 3], token) end
        redis.call('SET', key, id .. channel .. ' ' .. token .. ' ' .. ttl .. ' ' .. meta, 'KEEPTTL')
      end
      out[i - 1] = 1
    end
  end
end
return out
