-- Gives a node that is new an identity, once.
-- ARGV  1 what the names begin with  2 the identity
-- Returns the identity that it has now.

redis.call('SET', ARGV[1] .. 'id', ARGV[2], 'NX')
return redis.call('GET', ARGV[1] .. 'id')
