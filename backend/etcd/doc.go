// Package etcd keeps locks on an etcd cluster. An import, also a blank one, makes
// its URLs known to fencelock.Open:
//
//	import _ "github.com/fencelock/fencelock/backend/etcd"
//
// [New] makes a backend of a *clientv3.Client that the application has. Where both
// packages are imported, this one is named locketcd:
//
//	import (
//		clientv3 "go.etcd.io/etcd/client/v3"
//
//		locketcd "github.com/fencelock/fencelock/backend/etcd"
//	)
//
// There are examples of a whole program, of [Open] with what matters in production, and of [New].
//
// # Getting it
//
//	go get github.com/fencelock/fencelock/backend/etcd
//
// It is a module of its own, and has the root module's version. It needs Go 1.25.
//
// # URLs
//
//	etcd://[user[:password]@]host[:port][,host[:port]...][/namespace][?parameters]
//	etcds://[user[:password]@]host[:port][,host[:port]...][/namespace][?parameters]
//
// In production, for example:
//
//	etcds://locks@etcd-1.internal,etcd-2.internal,etcd-3.internal/billing?password_file=/run/secrets/etcd&ca=/etc/fencelock/ca.pem
//
// The hosts are members of one cluster; name all of them, so that the death of one
// does not matter. The port is 2379 unless it is given. etcds is TLS, 1.2 or later;
// the server's certificate is always verified. Special characters of user and
// password are percent-encoded. These are all parameters; another is an error:
//
//	namespace=billing      what all keys begin with, the same as in the path: 1 to 64
//	                       letters, digits and . _ : - /; "fencelock" if absent. Programs
//	                       that are to exclude each other have the same.
//	token_base=…           what fencelock.Open adds to all tokens, after a swap from a
//	                       backend whose tokens are higher; see fencelock.Options.
//	password_file=/path    where the password of the user is, instead of in the URL; a line's end
//	                       after it does not count. It is read for each login.
//	ca=/path/ca.pem        certificates to trust instead of the system's; for etcds, like
//	                       those that follow.
//	cert=/path/cert.pem    a client certificate,
//	key=/path/key.pem      and its key; both or none. All three are read again for each
//	                       connection; while one is half written, what it had before is used,
//	                       and the log says so.
//	server_name=etcd.prod  the name in the servers' certificates, if it is not the host's.
//	proxy=env              go through the proxy that HTTPS_PROXY and NO_PROXY name, as a browser
//	                       does. Without it the environment decides nothing: hosts are connected
//	                       to directly.
//
// A connection that breaks is made again at once, and then once a second, however long the
// servers have been away.
//
// # Servers
//
// etcd 3.5 or later, one member or, so that it survives the loss of one, three. Open sends one
// transaction of the kind that locks are made of, which changes nothing. What speaks etcd's protocol
// and refuses it, as kine does, is refused by Open.
//
// # Users and passwords
//
// To compare a password costs a server about a tenth of a second of its processor, and the client
// of etcd has it compared for each stream that it opens, and for each request that is refused since
// a token has ended, in the time of that request. A backend that is opened by a URL logs in by itself:
// once, and again when a token has ended, for all requests together, however long it takes. So
//
//	                               by a URL             New, with the application's client
//	logins of one that holds       1                    4: its own, and one for each of three
//	                                                    streams, of which two stay open
//	a member restarts              1                    1 for each request that it refuses, and stream
//	tokens of 5 s (JWT)            1 in 3 s, early      1 in 5 s for each stream, and for requests
//	a login is slow                old tokens go on     requests fail, and leases shorter than about
//	                               at other members     ten logins may be lost
//
// A client of the application that has a password gives a warning in Info.
//
// A password that is changed on the servers ends all tokens. With password_file=, write the new one
// there, before or after: logins are refused in between, once a second at most, and what is held is
// kept if that takes less than its TTL. A password in the URL is fixed: what has been opened with it
// loses its leases then.
//
// # Proxies
//
// The addresses are those of members. They may all be those of etcd's own proxy (etcd grpc-proxy),
// which Open notices, and warns of. It keeps leases alive in its own time. So behind one
//
//   - leases are not shorter than 5 s: the lock of a holder that dies is free after that,
//   - the first lock of a TTL may take half a second longer, and a renewal is three requests and not
//     two, since the time that is left has to be asked for, in whole seconds,
//   - Open fails where users have passwords: the proxy keeps leases alive without a token.
//
// All promises hold. If some addresses are proxies and others are members, which is which is not
// noticed.
//
// # Recipe
//
// A claim is a key below the lock's name, made by one transaction, one write of Raft,
// and deleted by another, which is conditional on the revision that made it. The
// claim with the lowest revision holds the lock, and that revision is its token.
// TryLock reads first, so that it writes nothing where it loses.
//
// All claims of a client with about the same TTL share one lease, which is kept
// alive once for all of them, on one stream, and not by Raft. A renewal
// counts after a majority has confirmed that no other leader came in between, and that the
// lease has not been ended. Each renewal also reads every claim, 128 in one request, or as
// many as the server accepts.
//
// A waiter watches the two next older claims and no others, so that a hand-off wakes
// two clients. The one that was second reads, at any member, whether it is next now.
// If it is, the next deletion that its watch reports gives it the lock, without a request
// in between, unless the read was more than half a second ago (a twelfth of the TTL, if
// that is less): then it reads again. And it reads once in a third of its TTL whatever
// happens. The watches begin at the present, and are confirmed before the read: a watch
// from a past revision is served by a loop of the server that runs ten times a
// second.
//
// Of many callers of one client that want a lock, one at a time is in the queue. It need not read
// either, if the answer to the client's own deletion of the claim before it tells enough.
//
// Each lease has a key of its own, the epoch key. Claims are conditional on its revision, so that a
// write to it keeps out the late packets of an attempt that was given up. Evictions are written to it,
// and it ends with the lease: so one watch of it tells a client of both.
//
// # What it promises
//
// The level is driver.Linearizable: one holder for each grant, and tokens that rise,
// through the death of members, of the leader, and through partitions.
//
//   - A minority that is cut off grants nothing, and renews nothing.
//   - First come, first served, by the order in which the cluster met the waiters.
//   - A waiter whose lease has ended is never granted; it asks again.
//   - The lock of a holder that dies is free after its TTL, rounded up to whole
//     seconds, from 16 s on by an eighth at most, and about one second more, in which
//     etcd looks for leases that have ended. Leases are not shorter than one and a half
//     election timeouts of the server, 2 s by default.
//   - A holder whose lock was evicted, or whose lease was revoked, is told at once, but
//     the next may have the lock a moment before that; one whose key was deleted by hand
//     is told with its next renewal.
//   - After an election etcd gives every lease its full TTL again, so that locks of
//     dead holders may last for two TTLs.
//
// # What it does not promise
//
//   - A leader that was paused for longer than a TTL may, as it wakes up, end leases that
//     were kept alive with its successor meanwhile (etcd#15247; seen with 3.7.3). The
//     holder is told at once, but the next may have the lock already. Tokens rise.
//   - The same leader may confirm a renewal before it knows that it leads no more. That is
//     found out, unless it is asked through a second member which learns of the election
//     during that very request; then the renewal is believed for one TTL.
//   - A cluster that is restored from a backup has old revisions, and so old tokens,
//     unless it is restored with --bump-revision.
//   - If somebody deletes our keys, exclusion is lost until the holder's next renewal. So
//     it is if the key was a waiter's, and its turn came within half a second.
//
// # Limits
//
// TTLs from 1 s to 24 h. A renewal takes two requests, one after the other, within a third of the
// TTL: so a TTL is at least seven round trips, and where it is not the error says how long a request
// took. To connect has its own time, 2 s. A claim costs the server about 300 bytes while it is there,
// and the history of two writes until etcd compacts it: set
// --auto-compaction-retention, as for any use of etcd.
//
// # Permissions
//
// Read and write on the prefix of the namespace, "fencelock/" by default:
//
//	etcdctl role grant-permission locks --prefix=true readwrite fencelock/
//
// If they are taken away while locks are held, leases are not renewed any more, and end. A claim that
// the server then refuses to have deleted goes with its lease.
//
// That is also enough for ListHeld, which reads the range of the keys' prefix, and asks for the time
// that is left of each holder's lease, which needs no permission. A user who may read a part of the namespace only
// cannot open a backend, so there is no list of what such a user may see.
//
// A cluster without space (NOSPACE) takes no new claim and evicts nobody. What is held is renewed and
// released.
//
// # Lists
//
// A page of ListHeld is one read of 128 claims at the most, which a quorum confirms, and one question
// for each lease among its holders, eight at a time. It writes nothing. A page may have fewer locks
// than were asked for, where others wait for them. etcd counts, in memory, all names that a read could
// have returned: so each page of a long list also costs the server a walk over the names that are left,
// those that were deleted since the last compaction among them. With 100,000 claims that is about 20 ms,
// in which it carries out no write. The time that is left is told in whole seconds, rounded up.
//
// # Sources
//
// The queue by creation revision is the recipe of etcd's own concurrency package; the
// guarded deletion, the claim by attempt and the check of the waiter's own lease are
// answers to its issues 22082, 9715 and 11456. The token and the check at the resource
// are Burrows' ("The Chubby lock service", OSDI 2006). The epoch key and the renewal that
// is confirmed are our own: docs/decisions, 0011, 0012 and 0027. How a waiter gets the
// lock without asking: 0017. How a client logs in: 0028. What is
// read again: 0042.
package etcd
