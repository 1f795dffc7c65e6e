// Package redis keeps locks on one Redis or Valkey server. An import, also a blank
// one, makes its URLs known to fencelock.Open:
//
//	import _ "github.com/fencelock/fencelock/backend/redis"
//
// [New] makes a backend of a *redis.Client that the application has. Where both
// packages are imported, lockredis is a good name for this one.
//
// # URLs
//
//	redis://[user[:password]@]host[:port][/database][?parameters]
//	rediss://[user[:password]@]host[:port][/database][?parameters]
//	unix://[user[:password]@]/path/of/the/socket[?parameters]
//
// The port is 6379 and the database 0 unless they are given. rediss is TLS, 1.2 or
// later; the server's certificate is always verified. Special characters of user
// and password are percent-encoded. These are all parameters; another is an error:
//
//	namespace=billing      what the names of all keys and channels begin with: 1 to 64
//	                       letters, digits and . _ : -; "fencelock" if absent. Programs
//	                       that are to exclude each other have the same.
//	durable=true           Open fails unless the server keeps every grant and token
//	                       through a crash: appendonly yes, appendfsync always,
//	                       no-appendfsync-on-rewrite no, and no key evicted.
//	db=1                   the database; for unix only.
//	ca=/path/ca.pem        certificates to trust instead of the system's; for rediss, like
//	                       those that follow.
//	cert=/path/cert.pem    a client certificate,
//	key=/path/key.pem      and its key; both or none.
//	server_name=redis.prod the name in the server's certificate, if it is not the host's.
//
// # Servers
//
// Redis 7.0 or later, or Valkey, a single one that is a master. Open refuses an older
// one, a replica, and a member of a Cluster. Sentinel, Cluster and Redlock are not
// there yet.
//
// Info.Warnings says, and the logger gets once, which settings of the server weaken
// the promise: keys evicted when memory is short, no append-only file or one that is
// synced now and then, replicas that may be failed over to.
//
// # Recipe
//
// Acquire, Release and Renew (of up to 64 leases) are one script each, in one round
// trip. The lock is a string with an expiry. A token is one more than the last one, and
// never below the server's clock in microseconds, so that tokens rise also when the
// server has lost its data, or has it from an old snapshot.
//
// Who waits has a place in a sorted set, and hears from the server through one channel
// for each client. The script that releases grants the lock to the first waiter that
// lives, and publishes the token to its client: a hand-off is one command and one
// message, however many wait. Waiters confirm their place within each third of their
// TTL, which also finds a grant whose message was lost. The first of them asks when the
// lease in its way ends. A message that is late is told from a new one by its token.
//
// A few callers at a time have a connection each; many share two, and send together
// what has come together. docs/decisions has the reasons.
//
// # What it promises
//
// The level is driver.Advisory: one holder at a time, while the server keeps its data
// and its clock.
//
//   - Tokens of a key rise through release, expiry, eviction, FLUSHALL, and a restart
//     with old data or with none, unless the server's clock is set back at the same
//     time.
//   - First come, first served, by the order in which the server met the waiters.
//   - A holder or a waiter that dies delays the others by its TTL at most; a message
//     that is lost, by a third of the waiter's TTL.
//   - A holder whose lock was evicted is told at once. One whose server was restarted
//     and has lost the lock is told as soon as the connection is back, at the latest
//     when its lease ends.
//   - With durable=true, grants, tokens and places in the queue survive a crash of the
//     server, unless its disk loses what was synced.
//
// # What it does not promise
//
//   - Without durable=true a restart may free locks: two holders may overlap from then
//     until the first is told. Its token is lower than the second one's.
//   - Replication is asynchronous. A fail-over to a replica may lose locks, and if the
//     replica's clock is behind, tokens may fall. durable=true does not change that.
//   - Redis ends leases by its wall clock. If that is set forward by more than a tenth
//     of a TTL, a lock may be granted while its holder still trusts its lease. Clients'
//     clocks do not matter.
//   - If somebody deletes our keys, exclusion is lost until the holder's next renewal,
//     and waiters may lose their order. Tokens keep rising.
//   - A request that arrives more than a minute after it was given up may leave a lock
//     that nobody holds, until its TTL ends. It does not make two holders.
//
// # Limits
//
// TTLs from 100 ms to 24 h. In a namespace up to 128 token counters stay behind for
// good; all else ends with its TTL. A key costs the server about 200 bytes while it is
// locked. Tokens are exact up to 2^53, which the clock reaches in the year 2255.
//
// go-redis writes some of its own errors to standard error; redis.SetLogger of that
// package changes it.
//
// # Permissions
//
// Nothing else needs to be allowed than this, for the namespace "fencelock":
//
//	ACL SETUSER locks on >password resetkeys ~fencelock:* resetchannels &fencelock:c:*
//	    -@all +hello +auth +ping +select +info +script|load
//	    +evalsha +eval +subscribe +unsubscribe +publish +time
//	    +get +mget +set +del +pttl +pexpire
//	    +hset +hget +hdel +hvals +zadd +zrem +zscore +zrange +zrank +zcard +zpopmin
//
// With durable=true also +config|get; without it that only makes warnings more exact.
//
// # Sources
//
// The lock with an expiry and a guarded release is the pattern of the Redis
// documentation ("Distributed Locks with Redis"). The token and the check at the
// resource are Burrows' ("The Chubby lock service", OSDI 2006) and Kleppmann's ("How to
// do distributed locking", 2016). The hand-over by the releasing script and the queue
// that is confirmed are our own: docs/decisions, 0004 and 0005.
package redis
