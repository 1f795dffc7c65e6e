// Package redis keeps locks on Redis or Valkey: on one server, on the master that Sentinels name, or on a
// Cluster. An import, also a blank one, makes its URLs known to fencelock.Open:
//
//	import _ "github.com/fencelock/fencelock/backend/redis"
//
// [New] makes a backend that connects as an application's own client does, a *redis.Client of one server or
// a *redis.ClusterClient. [NewFailover] takes the options of a client that asks Sentinels, since such a client does not
// tell them. Where the client's package is imported, too, import this one as lockredis:
//
//	import lockredis "github.com/fencelock/fencelock/backend/redis"
//
// There are examples of a whole program, of [Open] with what matters in production, of [New] and of [NewFailover].
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
//	redis+sentinel://[user[:password]@]s1[:port],s2,s3/master-name[/database][?parameters]
//	redis+cluster://[user[:password]@]h1[:port],h2,h3[?parameters]
//	unix://[user[:password]@]/path/of/the/socket[?parameters]
//
// rediss, rediss+sentinel and rediss+cluster are the same with TLS. Examples for production:
//
//	rediss://locks@redis.internal:6379?namespace=billing&password_file=/run/secrets/redis&ca=/etc/fencelock/ca.pem
//	rediss+sentinel://locks@s1.internal,s2.internal,s3.internal/mymaster?namespace=billing&password_file=/run/secrets/redis&sentinel_password_file=/run/secrets/sentinel&ca=/etc/fencelock/ca.pem
//	rediss+cluster://locks@r1.internal,r2.internal,r3.internal?namespace=billing&password_file=/run/secrets/redis&ca=/etc/fencelock/ca.pem
//
// The port is 6379, that of a Sentinel 26379, and the database 0, unless they are given; a Cluster has no other database.
// The name of the master is what stands after "sentinel monitor" in the configuration of the Sentinels. The hosts are
// Sentinels, or nodes of a Cluster, to begin with: one that answers is enough, since it tells of the others. They tell the
// addresses of servers, too, which the client must be able to reach as they are.
//
// TLS is 1.2 or later; the server's certificate is always verified, for the host that is dialled. Special characters of user
// and password are percent-encoded. A password alone, of the user "default", has a colon
// before it: redis://:password@host. A user without a password is an error, unless there is
// password_file=. Both are those of the servers; Sentinels have logins of their own. These are all the parameters; any
// other is an error:
//
//	namespace=billing      what the names of all keys and channels begin with: 1 to 64
//	                       letters, digits and . _ : -; "fencelock" if absent. Programs
//	                       that exclude each other have the same namespace.
//	token_base=…           what fencelock.Open adds to all tokens, after a swap from a
//	                       backend whose tokens are higher; see fencelock.Options.
//	durable=true           Open fails unless the server keeps every grant and token
//	                       through a crash: appendonly yes, appendfsync always,
//	                       no-appendfsync-on-rewrite no, and no key evicted.
//	wait=1                 so many replicas must have a lock before Lock returns (WAIT): a
//	                       fail-over then loses fewer. 0 if absent.
//	password_file=/path    a file with the password, read whenever a connection is made;
//	                       newlines at its end are cut off. The URL has no password then.
//	db=1                   the database; for unix only.
//	ca=/path/ca.pem        certificates to trust instead of the system's; with TLS only, like
//	                       those that follow.
//	cert=/path/cert.pem    a client certificate,
//	key=/path/key.pem      and its key; both or none.
//	server_name=redis.prod the name in the certificates of all servers, Sentinels too, if
//	                       it is not the host's.
//
//	sentinel_password_file=/path    a file with the Sentinels' password, read likewise;
//	sentinel_password=…             or the password itself, which then shows wherever the URL does;
//	sentinel_user=locks             and the user; "default" if absent. For redis+sentinel only.
//
// # Connections
//
// A client has a subscription, connections for renewals, and one connection for each caller that is
// busy, up to eight; further callers share two. On a Cluster it has these for each master that it uses, and one subscription
// in all. It has two connections to each Sentinel. Making a connection may take 5 s. Certificates
// (ca, cert, key) and password_file are read for each new connection, so they may be replaced while
// the program runs; if a file cannot be read, the last good one is used. Credentials
// that a function must fetch (IAM, Vault) come from a client's CredentialsProviderContext,
// with [New].
//
// Where a server, a proxy or NAT closes an idle connection, the client makes a new one, and callers do
// not notice. A request about a lease may take a third of its TTL, 3 s at most. So the TTL must be
// several times the round trip; the error of a request that was too late names the round trip.
//
// # Servers
//
// Servers are Redis 7.0 or later, or Valkey. Open refuses an older server, a replica, and a proxy such as twemproxy,
// which lacks commands. Where a URL leads to another kind of server than its scheme says (one server, a Sentinel, a
// node of a Cluster, a TLS port, a port without TLS) the error says which scheme to write. Redlock is
// package redlock, in the directory below this one.
//
// Open also fails if no majority of the Sentinels names a master, and says what each has said; if they watch no
// master of that name, with the names that they do watch; if slots of a Cluster have no master, or one that does not
// answer the others. While a fail-over is under way it asks again, within its 5 s.
//
// Info.Warnings names the settings that weaken the promise, and the logger gets them
// once: keys evicted when memory is short; no append-only file; one that is not synced with each
// write, or whose settings the server does not tell; replicas, to which a fail-over may happen. By Sentinels and on a Cluster
// also: min-replicas-to-write is not set; clocks of servers that are more than a second apart (servers that do not answer
// within half a second are passed over); and fewer than three Sentinels, one that does not answer, a quorum that they cannot reach.
//
// # What a server refuses
//
// A server that answers with an error has done nothing, in nearly all cases; the error
// then matches fencelock.ErrRefused. If the refusal is temporary (OOM, BUSY, LOADING, READONLY,
// NOREPLICAS, MISCONF, TRYAGAIN, too many clients) the error matches ErrUnavailable as well. If it is
// not (NOPERM, NOAUTH, WRONGPASS, an unknown command) it does not, and the client does not ask
// again. WRONGPASS counts as temporary where the password comes from a file or a function,
// since it may be replaced on the server first. If a command in the middle of a script is refused,
// the error begins with HALFWAY, and matches neither.
//
// On a server whose memory is full (maxmemory-policy noeviction) holders keep their locks
// and can release them, waiters keep their positions and get the lock, and Evict works. New
// attempts, to take a lock or to wait, are refused. Redis 8.6 refuses subscriptions, too:
// Open then fails and says so. A client that must subscribe again learns of its grants when it asks,
// within a third of a TTL.
//
// # miniredis
//
// github.com/alicebob/miniredis/v2 (2.40), a library that acts as a server in unit tests,
// works, with a warning: locks, queues, hand-offs, evictions, tokens, listings. It differs from a server:
//
//   - Its time passes only when the test calls FastForward: until then the lock of a
//     holder that died stays. A goroutine that calls it with the time that has passed makes
//     it behave like a server.
//   - It keeps nothing, has no permissions, and its Lua computes numbers differently: use a real
//     server to test a restart, an ACL, or scripts of your own.
//
// # Recipe
//
// On one server, and behind Sentinels, all that is known of a lock is in one key. While nobody waits it is a string with an expiry, the lease's:
// SET NX takes it, and DEL, or the server's own compare-and-delete, frees it. The first waiter turns it into a
// hash: the holder, a numbered position for each waiter, and tombstones. A token is one more than the last one
// of the namespace, and never below the server's clock in microseconds, so that tokens rise even if the
// server has lost its data, or has restored an old snapshot.
//
// Acquire, Release and Renew (of up to 64 leases) are one script each, in one round trip. What callers ask
// while a request is under way goes together in the next: one call to acquire and one to release, of up to
// 64 locks, in one write. Each lock of a call succeeds or fails by itself. Where the round trip is longer
// than 0.3 ms, as Open has measured it, eight requests go side by side. Renewals have connections of their own.
//
// A waiter's client has one channel for notifications. The script that releases a lock grants it to the first
// waiter that lives, and publishes the token to its client: a hand-off is one command and one
// message, however many wait. On a Cluster the message comes by whichever node the client listens to, since each passes it on to all
// (PUBLISH, not SPUBLISH). It does not tell whether its sender is still the master, so a waiter asks then: a round trip more. Waiters confirm their position within each third of their
// TTL, which also finds a grant whose notification was lost. The first waiter also asks when the
// holder's lease ends. The token tells a late notification from a new one. docs/decisions has the reasons.
//
// On a Cluster the name of a lock's key is NAMESPACE:{KEY}:l, so locks are spread over all slots. It is a hash from the
// beginning, and lives a minute longer than the lease, for the lock's last token. Each script names this one key, and no other:
// so it runs to its end, or not at all, while the slot moves. Callers share connections, and no calls: keys of several slots cannot be in one.
//
// ListHeld walks over the database with SCAN, and asks for the holders by a script, 64 locks at a
// time. A page looks at about 256 names of the database at the most, and no request keeps the server
// busy for longer than about a tenth of a millisecond. A whole listing therefore costs as much as the
// database is large, whatever the prefix is: with ten million keys of other applications it
// takes about 40,000 requests. SCAN finds each lock that is held throughout, unless the server is
// restarted or fails over during the listing: then list again from the first page. On a Cluster it walks over one master
// after the other; if slots have moved meanwhile, it says so (ErrUnavailable), and must begin again.
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
//   - A holder or a waiter that dies delays the others by its TTL at most; a notification
//     that is lost, by a third of the waiter's TTL.
//   - A holder whose lock was evicted is told at once, but the next holder may have the lock a
//     moment earlier. A holder whose lock a restart has freed is told as soon as the connection is
//     back, at the latest when its lease ends.
//   - With durable=true, grants, tokens and positions in the queue survive a crash of the
//     server, unless its disk loses what was synced.
//
// # What it does not promise
//
//   - Without durable=true a restart may free locks: two holders may overlap from then
//     until the first is told. Its token is lower than the second one's.
//   - Replication is asynchronous. A fail-over to a replica may lose locks, and if the
//     replica's clock is behind, tokens may fall. durable=true does not change that. See below.
//   - Redis ends leases by its wall clock. If that is set forward by more than a tenth
//     of a TTL, a lock may be granted while its holder still trusts its lease. If it is
//     set back, there are never two holders, and live holders notice nothing; a dead holder
//     blocks the lock for up to its TTL more, counted from when somebody asks for the lock,
//     or a waiter asks again, which is within a third of its TTL. Clients' clocks do not
//     matter.
//   - If somebody deletes the keys of a namespace, exclusion is lost until the holder's next renewal,
//     and waiters may lose their order. Tokens keep rising.
//   - A request that arrives more than a minute after it was given up may leave a lock
//     that nobody holds, until its TTL ends. It does not make two holders.
//
// # Fail-over
//
// Behind Sentinels and on a Cluster a replica may become the master, since the old one has failed or since somebody
// wants it so. What the client does then:
//
//   - It goes to the server that a majority of the Sentinels names, or that the nodes of the Cluster name. Meanwhile renewals are
//     repeated, and Lock asks again, for one TTL at the most. A fail-over of half a TTL loses neither leases nor waiters.
//     Where a request was lost, its outcome is unknown; where a server has refused it, it is sent again.
//   - The subscription goes there, too. Each waiter and each holder is asked about at once, so a holder is
//     told within a second of the new master's first answer if its lock is not there. Waiters keep the positions that
//     the replica had, and the others enter the queue again. What was released in the last seconds is released again.
//   - An answer counts only if its server was the master when it gave it. A master that slept (a stopped process, a
//     paused virtual machine) answers OK on waking to all that is in its sockets, though another has taken its place. So what it
//     says after a silence of half of down-after-milliseconds, or of cluster-node-timeout, counts once those who decide,
//     asked after the answer came, say that it is the master: a majority of the Sentinels, or so many of the other masters that no
//     election can have passed them by. If they cannot be asked, there is no lock, and the outcome is unknown.
//   - By Sentinels: when no majority of them has been heard for down-after-milliseconds (three seconds at the least), each answer of the
//     master needs that check, so no lock is granted or renewed until a majority is heard again, though the master may be well.
//     The logger gets a line. A client that is cut off together with an old master would go on there otherwise.
//   - By Sentinels, a request waits for a connection while the master cannot be reached, and goes to the next one the moment it
//     is named. So TryLock may take two of its requests' time-outs until it says ErrUnavailable.
//
// What a fail-over may lose all the same:
//
//   - What replication had not carried over. A grant: then two may hold the lock until the first is told. A position
//     in the queue. A release of a client that has ended meanwhile: then the lock stays taken until its TTL ends.
//   - The moment between the check and the return of Lock.
//   - A master that others have replaced and a client still reaches, since only the network between the servers has failed.
//     The client learns it from the Sentinels, or from the nodes, mostly within a second; a Cluster's master also stops by
//     itself after cluster-node-timeout. min-replicas-to-write bounds what such a master grants. Set it to 1 where each master has two
//     replicas: with one alone, a master that has just been promoted would take no writes until the old one is back. It does not make a
//     replica have what was granted.
//   - What people order: SENTINEL FAILOVER (not COORDINATED of Valkey 9), CLUSTER FAILOVER FORCE or TAKEOVER and
//     REPLICAOF do not wait for the old master, which goes on until it hears of it, about a second under Sentinels. Sentinels that have
//     lost their files, or were reset, may name an old master until they hear of another.
//   - Clocks. The end of a lease is a time of the server. If the clock of the new master is ahead, leases end early by as
//     much; if it is behind, tokens may fall. Open warns from a second on.
//
// The token catches each of these at a resource that compares it, but for a clock that is behind.
//
// With wait=N, Lock returns when N replicas have said that they have the lock, for which they get half of the request's time (a sixth of the TTL, 1.5 s at the most). If
// they are fewer, the lock is not handed out, and the attempt asks again; in the end the error (ErrUnavailable) says how many
// had it. Each lock then takes a round trip to the replicas more, and the notification of a hand-off is a reason to ask. Renewals and
// releases do not wait. That loses fewer locks, not none: the replica that becomes the master may be one that had not
// answered, or may have lost what it had. So the level stays Advisory. Open fails where the server does not
// allow WAIT, as some services do, and warns if fewer replicas than N are connected.
//
// # Slots that move
//
// A slot may move to another master of the Cluster, key by key (SETSLOT) or as a whole (Redis 8.4, Valkey 9),
// while its locks are held and waited for. Nothing is lost: leases, positions and tokens go along. Servers keep
// writes waiting for a moment, at the worst for cluster-slot-migration-write-pause-timeout of Redis (10 s unless set), or
// twice cluster-manual-failover-timeout of Valkey (5 s unless set): a lease that is shorter may be lost then, and the logger gets a line at the first
// such lock.
//
// # Limits
//
// TTLs are from 100 ms to 24 h. A namespace keeps its token counter, and 128 small keys that keep older builds
// out, for good (nothing on a Cluster); all else ends with its TTL, or a minute after. A key costs the server about 200 bytes while it
// is locked. Tokens are exact up to 2^53, which the clock reaches in the year 2255.
//
// # Builds before one-key locks
//
// Builds of fencelock before 2026-11-28 have a lock's waiters in other keys, and take no Cluster. They and this build never hold a
// lock together. The first client of this build that opens a namespace keeps them out: they are granted no lock
// there any more, while the server keeps its data. What they hold stays theirs.
//
//   - Who holds a lock can renew it for as long as it likes. After its Unlock a new client that waits gets the
//     lock within a third of its TTL; such waiters have no order.
//   - TryLock and Lock of a free lock, and of one for which a new client waits, fail with the server's error
//     "attempt to perform arithmetic on a nil value", or "bad argument #1 to 'max'". Neither matches ErrUnavailable.
//   - TryLock of a lock that a new client holds is ErrHeld, as always.
//   - Unlock, while another of its builds waits, is ErrUnknown, or nil at a later try; the lock is free when the
//     lease ends, at the latest.
//
// So start new processes, and let old ones finish what they hold; or give new ones a namespace of their own. To go
// back: stop all new clients, wait for the longest TTL, delete the keys NAMESPACE:t and NAMESPACE:{0}:t to
// NAMESPACE:{127}:t, and start old ones; tokens go on rising by the clock. Otherwise never delete these keys, and
// do not let the server evict them (any maxmemory-policy allkeys-…): an old build might be granted a lock that a
// new client holds. After FLUSHALL, or a restart without data, old builds are kept out from the next grant
// of a new client on. A namespace of a later build is ErrRefused, with the cure.
//
// The logger of fencelock.Options, or of Options with New, gets a line when the server cannot be
// reached, also by a client that is idle, and when it can again. go-redis has one logger for the
// whole process, which the application sets with redis.SetLogger of that package. This package
// never makes it write.
//
// # Permissions
//
// Locks need these permissions, here for the namespace "fencelock", and no others:
//
//	ACL SETUSER locks on >password resetkeys ~fencelock:* resetchannels &fencelock:c:*
//	    -@all +ping +info +script|load +evalsha +eval +subscribe +publish +time
//	    +get +mget +set +del +type +pttl +pexpire
//	    +hset +hget +hmget +hdel +hlen
//
// Open asks the server, in one round trip and without running any of these commands, whether it allows
// them all. Its error names those that it does not allow, and those that rename-command has
// taken away. With a database other than 0 add +select. With durable=true add +config|get;
// without it Open warns that it does not know how often the server syncs its file. With wait=N add +wait. Replicas need the
// same user.
//
// A Cluster needs these as well, on all nodes:
//
//	+cluster|nodes +cluster|slots +asking
//
// With +config|get the client learns the node timeout, and how long a slot that moves may keep writes waiting; without it,
// the timeout is taken for one second.
//
// The user of Sentinels that have users of their own:
//
//	ACL SETUSER locks on >password resetchannels &+switch-master -@all +ping +subscribe
//	    +sentinel|get-master-addr-by-name +sentinel|master +sentinel|sentinels +sentinel|myid
//
// Where the server has a compare-and-delete of its own (DELEX in Redis 8.4, DELIFEQ in Valkey 9.0), +delex or
// +delifeq halves what an Unlock costs it; without it a script does the same.
//
// To list locks (Client.ListHeld), and for nothing else, add +scan. Open does not ask for it: without
// it a listing gets an error of kind fencelock.ErrRefused that says so. No pattern of an ACL
// limits SCAN: a user who may use it can read the names of all keys of the database, those of
// other applications, too, but not their values.
//
// HELLO and AUTH are allowed to everybody; CLIENT and UNSUBSCRIBE are not used.
//
// # Sources
//
// The lock with an expiry and a guarded release is the pattern of the Redis
// documentation ("Distributed Locks with Redis"). The token and the check at the
// resource are Burrows' ("The Chubby lock service", OSDI 2006) and Kleppmann's ("How to
// do distributed locking", 2016). The hand-off by the releasing script and the queue
// that is confirmed are this project's own: docs/decisions, 0004, 0005 and 0074.
package redis
