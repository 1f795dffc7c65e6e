// Package zookeeper keeps locks on Apache ZooKeeper. An import, also a blank one, makes
// its URLs known to fencelock.Open:
//
//	import _ "github.com/fencelock/fencelock/backend/zookeeper"
//
// [New] takes servers and options from code instead of a URL. The backend always makes its own
// connections. Programs that import both packages call this one lockzookeeper.
//
// There are examples of a whole program, of [Open] with what matters in production, and of [New].
//
// # Getting it
//
//	go get github.com/fencelock/fencelock/backend/zookeeper
//
// It is a module of its own, and has the root module's version. It needs Go 1.25.
//
// # URLs
//
//	zookeeper://[user:password@]h1[:port],h2,h3[/chroot][?parameters]
//	zookeepers://[user:password@]h1[:port],h2,h3[/chroot][?parameters]
//
// In production, for example:
//
//	zookeepers://locks:PASSWORD@zk-1.internal,zk-2.internal,zk-3.internal/apps?namespace=billing&ca=/etc/fencelock/ca.pem
//
// The hosts are servers of one ensemble; name all of them, so that the death of one does
// not matter. The port is 2181 unless it is given. zookeepers is TLS, 1.2 or later; the
// server's certificate is always verified. User and password are sent by the scheme
// "digest"; special characters in them are percent-encoded. These are all parameters; any
// other is an error:
//
//	namespace=billing      the node under which all locks are, below the chroot: 1 to 64
//	                       letters, digits and . _ : -; "fencelock" if absent. Programs
//	                       that are to exclude each other have the same.
//	token_base=…           what fencelock.Open adds to all tokens, after a swap from a
//	                       backend whose tokens are higher; see fencelock.Options.
//	acl=world:anyone:r     what each new node gets, entries scheme:id:permissions with
//	                       commas between, permissions from cdrwa. If absent: all rights
//	                       for the user of the URL, or for everybody if there is none.
//	ca=/path/ca.pem        certificates to trust instead of the system's; for zookeepers,
//	                       like those that follow. The files are read for each connection
//	                       again, so that they can be replaced while the program runs.
//	cert=/path/cert.pem    a client certificate,
//	key=/path/key.pem      and its key; both or none.
//	server_name=zk.prod    the name in the servers' certificates, if it is not the host's.
//
// The password does not rotate. A digest is not only what a client shows, it is also the name
// of a node's owner: the ACL of each node holds the hash of user and password, so a client with
// another password is somebody else to all nodes that exist. A session can add a digest and
// take none back, and go-zookeeper sends the same one again on each new connection. To change
// the password, have an acl= with both digests for as long as programs with either run.
//
// # Servers
//
// A client connects to the server that answered last time. It tries the next server beside one
// that has not accepted the connection after 0.1 s, and instead of one that has not granted a
// session after 0.3 s, or four times as long as it took to connect; the next time that server has
// twice as much. What a client learns of its servers holds for all of its sessions.
//
// ZooKeeper 3.8 or later is tested. Before 3.5.3 there are no container nodes: there the
// client that releases last deletes the lock's node.
//
// Open asks a server for its longest session, maxSessionTimeout. Unless that is set it is 20
// ticks (tickTime, 2 s by default), so 40 s. It bounds the TTL: Info.MaxTTL is a second less,
// rounded down. All servers of an ensemble should have the same setting.
//
// # Recipe
//
// A lock is a node /chroot/namespace/key, with the key percent-encoded. Each attempt
// makes an ephemeral sequential node in it, its claim: attempt#+number. The first claim holds
// the lock; each other one watches the claim directly before it. The order is that in which the
// server made the nodes. The numbers tell the order up to 2^31-2^20; later claims are ordered by
// the czxids of their nodes: see "The end of the numbers".
//
// A token is the czxid of the holder's node: the number of the transaction that made
// it. It rises in the order of the queue, also when the lock's node is deleted and made
// again, and through the fail-over of a leader, whose term is the upper half of the number.
//
// A holder that releases writes to its node and deletes it, in one transaction. The server tells
// the waiter that watches the node of the first half, "changed", by which the waiter knows that
// it is the first now: a hand-off is one write and one push, however many wait. If a
// waiter gives up, the one behind it is told "deleted", and lists the queue. So is the first waiter
// behind a holder that found the lock free, and releases it within 5 ms: such a holder only deletes
// its node, since hardly anybody can have come.
//
// TTLs of about the same length share a session. A lock that is free costs one request,
// and so does Unlock. The create goes in one transaction with a write to the lock's node. That
// write changes nothing, but its answer tells the token, and whether the claim is the only one;
// if it is not, the queue is listed. When many callers lock and unlock at a time, their creates
// and deletes go together in one transaction, as many as have come while eight others were under
// way. If the server refuses one of them, each is sent by itself. One transaction that changes
// nothing renews all leases of a session, or a batch of them: it proves, by the word of a
// majority, that the session lives, and that this client knows of all deletions that came before.
// A sync would prove neither.
//
// A session lives for as long as its client does. So the backend itself deletes each claim that
// was not renewed within its TTL, and repeats a deletion that failed until the server
// has confirmed it.
//
// ListHeld gets the list of all children of the namespace's node for each page, and then reads
// the queue and the first claim of each lock, up to 32 locks at a time. A page ends after a
// second, in which it has looked at some thousands of locks if the server is near.
// Evict deletes the holder's claim by its name, which has the attempt's ID: it never deletes
// another's.
//
// # What it promises
//
// The level is driver.Linearizable: one holder for each grant, and ordered tokens,
// through crash, partition and fail-over, as far as ZooKeeper keeps its own promises.
//
//   - First come, first served.
//   - The locks of a client that dies, or is cut off, end with its session: a TTL, and about a
//     second and two ticks, after its last contact. So do its positions in queues.
//   - A grant ends when its session does, or when it is released, evicted or not renewed
//     in time; not by a restart of servers, nor by a reconnect.
//   - A holder whose node was deleted, by Evict say, is told at once, but the next waiter may have
//     the lock a moment before that. A holder whose session has expired is told when its client has
//     a connection again, at the latest when its lease ends.
//   - If the answer to a create was lost, the client finds the node again by its name and its
//     session, or knows that it will never be made, before it makes another.
//
// # What it does not promise
//
//   - A session is a second longer than the leases on it, since a server tells the leader of
//     its clients' life signs each half tick. Ticks of more than 2 s are not allowed for.
//   - A leader counts sessions by its own clock's rate, and a new leader gives each
//     session its full time again.
//   - A leader that is heard by the others and hears none of them may be elected again and
//     again, for 13 s in a test with ticks of 200 ms. A lease that is shorter ends; nobody else
//     gets the lock meanwhile.
//   - Inspect and ListHeld sync first, and so are as new as the call. But a leader that has been cut
//     off may answer for a while from what it knew before.
//   - If a data directory is restored from a backup, or lost on a majority of servers,
//     tokens may fall.
//   - Somebody who deletes a holder's node, with or without Evict, frees the lock before the
//     holder is told. Somebody who writes to a holder's node lets the next waiter in beside the
//     holder.
//
// # Limits
//
// TTLs are from 1 s, and up to 24 h if the server's maxSessionTimeout allows it. The
// server's minSessionTimeout, two ticks if it is not set, may lengthen what is granted.
// A session costs a connection and 3 MB of memory, and there is one for each session
// TTL: each second up to 16, then eight for each doubling. All come from one address: see the
// server's maxClientCnxns, 60 by default. A lock that is held takes about 1.7 kB more, which
// includes the watch for its loss.
//
// A lock's node is left when the lock is free, and costs a server some 300 bytes and the key.
// A client deletes those that it has not used for 10 to 20 s, many in one transaction, and
// beside its work; if it remembers more than 16,384 of them, sooner. It makes the node again
// when it wants the lock again, which costs two requests. What a client leaves when it ends
// the server sweeps, 10,000 in a minute if it is not set (znode.container.maxPerMinute).
//
// A server's jute.maxbuffer, 1 MB by default, must be 64 kB at least: the server closes the
// connection of a client that sends more, and with it, for a moment, that of all locks of a
// session. It does not bound what a server sends: a list of 12,000 keys, 1.3 MB, arrives (3.9.3).
// But while the server sends a long list, the other requests of the same session wait. Keys that
// nobody has used for 20 s are not in it. Sessions that are local to a server
// (localSessionsEnabled) make no locks unless localSessionsUpgradingEnabled is set, too.
//
// # What a server refuses
//
// A transaction is carried out as a whole or not at all; so what is refused was not done.
//
//	for good (driver.ErrRefused)      no permission (NoAuth), user and password refused, an
//	                                  unknown ACL, an unknown request, a local session
//	for now (driver.ErrUnavailable    a quota that is used up, if the server enforces it; a
//	  as well)                        server that throttles
//	gone (driver.ErrNotHeld)          the node, or its session
//	unknown (driver.ErrUnavailable)   all else: no answer, a connection that was closed, a
//	                                  session that has moved, an error of the server's own
//
// A node that we are not allowed to delete lives for as long as the session; the client tries
// again each minute.
//
// # The end of the numbers
//
// A server counts the claims of a lock's node with 32 bits, and the count begins again with
// the node. It does not wrap: after 2^31 claims it gives the last number to all that come
// alone, and others to those that overlap. From 2^30 on, the client that empties the node
// deletes it, which costs a look at it with each Unlock. Only a lock that is never free, not for a
// moment, comes to the end, after 25 days at 1,000 claims a second.
//
// There the lock goes on, first come first served and with tokens that rise, but slower: a claim
// reads the nodes of those that wait there, and each hand-off is a list and as many reads. A
// node that keeps builds of before 2026-11-28 out, ~guard#2146435072, is in the lock's node
// until that is deleted. Those builds order claims by numbers that wrap, so while one of them waits
// there neither it nor ours are granted the lock; Lock fails after a TTL, and says why.
// Elsewhere builds of both kinds have one queue. To go back to such a build, delete that
// node, with the one in it, if there is one.
//
// # Permissions
//
// With an ACL that the administrator keeps: read in the node above the namespace's (or
// create, if Open is to make it); create, read, write and delete in the namespace's, and
// in all below, where acl= says what new nodes get. Without write, a lock that is free
// costs a list and a look at the own node more, and hand-offs list the queue. The data of
// a lock's node is not for others: it is set to none.
//
// ListHeld needs read in the namespace's node and in those of all locks with the prefix. It fails
// with driver.ErrRefused, and names the node, if one of them may not be read. Evict needs read, and
// delete in the lock's node.
//
// # Sources
//
// The queue of ephemeral sequential nodes is the lock of the ZooKeeper documentation
// ("ZooKeeper Recipes and Solutions"). Orphans by lost answers: samuel/go-zookeeper#229;
// the session in the check for them: CURATOR-498 and CURATOR-604; numbers that do not rise:
// go-zookeeper PR #65, kazoo#730, ZOOKEEPER-4706; sync: ZOOKEEPER-1675. The hand-off by
// an event, czxid as the token and how it is read, and the order at the end of the numbers
// are our own: docs/decisions, 0013, 0014, 0016 and 0025; who deletes nodes, and which server
// is asked, 0040 and 0041; ListHeld, 0066; why no connection is the application's, 0072.
package zookeeper
