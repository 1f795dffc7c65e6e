// Package redis keeps locks on one Redis or Valkey server. An import, also a blank
// one, makes its URLs known to fencelock.Open:
//
//	import _ "github.com/fencelock/fencelock/backend/redis"
//
// [New] makes a backend that connects as a *redis.Client does that the application has, of one server or
// by Sentinels; it takes a redis.UniversalClient, and refuses what is for a Cluster or a Ring. Where both
// packages are imported, lockredis is a good name for this one.
//
// There are examples of a whole program, of [Open] with what matters in production, and of [New].
//
// # Getting it
//
//	go get github.com/fencelock/fencelock/backend/redis
//
// It is a module of its own, and has the root module's version. It needs Go 1.25.
//
// # URLs
//
//	redis://[user[:password]@]host[:port][/database][?parameters]
//	rediss://[user[:password]@]host[:port][/database][?parameters]
//	unix://[user[:password]@]/path/of/the/socket[?parameters]
//
// In production, for example:
//
//	rediss://locks@redis.internal:6379?namespace=billing&password_file=/run/secrets/redis&ca=/etc/fencelock/ca.pem
//
// The port is 6379 and the database 0 unless they are given. rediss is TLS, 1.2 or
// later; the server's certificate is always verified. Special characters of user
// and password are percent-encoded. A password alone, of the user "default", has a colon
// before it: redis://:password@host. A user without a password is an error, unless there is
// password_file=. These are all parameters; another is an error:
//
//	namespace=billing      what the names of all keys and channels begin with: 1 to 64
//	                       letters, digits and . _ : -; "fencelock" if absent. Programs
//	                       that are to exclude each other have the same.
//	token_base=…           what fencelock.Open adds to all tokens, after a swap from a
//	                       backend whose tokens are higher; see fencelock.Options.
//	durable=true           Open fails unless the server keeps every grant and token
//	                       through a crash: appendonly yes, appendfsync always,
//	                       no-appendfsync-on-rewrite no, and no key evicted.
//	password_file=/path    the password is what this file has when a connection is made, less
//	                       newlines at its end; the URL has the user at most.
//	db=1                   the database; for unix only.
//	ca=/path/ca.pem        certificates to trust instead of the system's; for rediss, like
//	                       those that follow.
//	cert=/path/cert.pem    a client certificate,
//	key=/path/key.pem      and its key; both or none.
//	server_name=redis.prod the name in the server's certificate, if it is not the host's.
//
// # Connections
//
// A client has a subscription, a connection for renewals, and one for each caller that is
// busy, up to eight; more callers share two. A connection has 5 s to be made. Certificates
// (ca, cert, key) and password_file are read anew for each, so both may be replaced while
// the program runs; a file that cannot be read for a moment changes nothing. Credentials
// that a function must fetch (IAM, Vault) come from a client's CredentialsProviderContext,
// with [New].
//
// A server, a proxy or NAT may close idle connections: those are made anew, and nobody
// notices. A request about a lease has a third of its TTL, 3 s at most, so the TTL must be
// several times the round trip; an error of one that was too late tells it.
//
// # Servers
//
// Redis 7.0 or later, or Valkey, a single one that is a master. Open refuses an older
// one, a replica, a Sentinel, a member of a Cluster, and a proxy such as twemproxy,
// whose commands do not suffice. Its error says what it has met, also where a URL
// with redis leads to a TLS port, or one with rediss to a port without TLS. Sentinel
// and Cluster are not there yet. Redlock is package redlock, below this one.
//
// Info.Warnings says, and the logger gets once, which settings of the server weaken
// the promise: keys evicted when memory is short, no append-only file, or one that is
// synced now and then or of which the server does not tell it, replicas that may be failed
// over to.
//
// # What a server refuses
//
// A server that answers with an error has done nothing, in nearly all cases, and the error
// is of kind fencelock.ErrRefused. Where it passes (OOM, BUSY, LOADING, READONLY,
// NOREPLICAS, MISCONF, TRYAGAIN, too many clients) it is of kind ErrUnavailable as well; where
// it does not (NOPERM, NOAUTH, WRONGPASS, a command that it does not know) it is not, and
// nobody asks again. WRONGPASS passes where the password comes from a file or a function,
// since it may be replaced on the server first. If a command in the middle of a script is refused, the error begins
// with HALFWAY, and is of neither kind.
//
// On a server whose memory is full (maxmemory-policy noeviction) who holds a lock keeps it
// and can give it up, who waits keeps its place and gets the lock, and Evict works. Those
// who come, to take a lock or to wait, are refused. Redis 8.6 refuses subscriptions, too:
// Open says so, and a client that has to subscribe anew hears of its grants when it asks,
// within a third of a TTL.
//
// # miniredis
//
// github.com/alicebob/miniredis/v2 (2.40), a library that acts as a server in unit tests,
// works, with a warning: locks, queues, hand-offs, evictions, tokens. What it does not do:
//
//   - Time passes for it only when the test calls FastForward: until then the lock of a
//     holder that died stays. A goroutine that calls it with the time that has passed makes
//     it behave like a server.
//   - It keeps nothing and has no permissions, and its Lua counts differently: use a real
//     server to test a restart, an ACL, or scripts of your own.
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
// ListHeld walks over the database with SCAN, whose pattern is the namespace and the prefix, and asks
// for the holders by a script, 64 locks at a time. A page looks at 256 names of the database at
// the most, and takes the server a tenth of a millisecond at a time. So a whole listing costs as much
// as the database is large, whatever the prefix is: with ten million keys of other applications it
// takes about 40,000 requests. The SCAN of a server finds each lock that is held all the while.
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
//   - A holder whose lock was evicted is told at once, but the next may have the lock a
//     moment before that. One whose server was restarted
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
//     of a TTL, a lock may be granted while its holder still trusts its lease. If it is
//     set back, there are no two holders, and those that live notice nothing; a holder that
//     has died is in the way for up to its TTL more, from when somebody asks for the lock,
//     or a waiter asks again, which is within a third of its TTL. Clients' clocks do not
//     matter.
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
// The logger of fencelock.Options, or of Options with New, gets a line when the server cannot be
// reached, also by a client that is idle, and when it can again. go-redis has one logger for the
// whole process, which is the application's to set: redis.SetLogger of that package. Nothing that
// is done here makes it write.
//
// # Permissions
//
// This is needed, for the namespace "fencelock", and nothing else:
//
//	ACL SETUSER locks on >password resetkeys ~fencelock:* resetchannels &fencelock:c:*
//	    -@all +ping +info +script|load +evalsha +eval +subscribe +publish +time
//	    +get +mget +set +del +pttl +pexpire
//	    +hset +hget +hdel +hvals +zadd +zrem +zscore +zrange +zrank +zcard +zpopmin
//
// Open asks the server, in one round trip and without running any, whether it allows all
// of these; its error names those that it does not, and those that rename-command has
// taken away. With a database other than 0 add +select. With durable=true add +config|get;
// without it Open warns that it does not know how often the server syncs its file.
//
// To list locks (Client.ListHeld), and for nothing else, add +scan. Open does not ask for it: without
// it a listing gets an error of kind fencelock.ErrRefused that says so. No pattern of an ACL
// limits SCAN: whoever may use it can read the names of all keys of the database, those of
// other applications, too, but not their values.
//
// Not needed are HELLO and AUTH, which are allowed to everybody, CLIENT and UNSUBSCRIBE.
//
// # Sources
//
// The lock with an expiry and a guarded release is the pattern of the Redis
// documentation ("Distributed Locks with Redis"). The token and the check at the
// resource are Burrows' ("The Chubby lock service", OSDI 2006) and Kleppmann's ("How to
// do distributed locking", 2016). The hand-over by the releasing script and the queue
// that is confirmed are our own: docs/decisions, 0004 and 0005.
package redis
