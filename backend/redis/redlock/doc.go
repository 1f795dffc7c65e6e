// Package redlock keeps locks on a majority of 3, 5 or 7 Redis or Valkey servers that know nothing of each
// other: the Redlock algorithm, with fencing tokens. An import, also a blank one, makes its
// URLs known to fencelock.Open:
//
//	import _ "github.com/fencelock/fencelock/backend/redis/redlock"
//
// [New] makes a backend of clients that the application has.
//
// There are examples of a whole program, of [Open] with what matters in production, and of [New].
//
// # Getting it
//
//	go get github.com/fencelock/fencelock/backend/redis
//
// It is a part of that module, which has the root module's version. It needs Go 1.25.
//
// # URLs
//
//	redlock://[user[:password]@]h1[:port],h2[:port],h3[:port][/database][?parameters]
//	redlocks://[user[:password]@]h1[:port],h2[:port],h3[:port][/database][?parameters]
//
// In production, for example:
//
//	redlocks://locks@r1.internal,r2.internal,r3.internal?namespace=billing&password_file=/run/secrets/redis&ca=/etc/fencelock/ca.pem
//
// The port is 6379 and the database 0 unless they are given. User, password, database and parameters
// are for all nodes. redlocks is TLS, 1.2 or later; the servers' certificates are always verified.
// Special characters of user and password are percent-encoded. A password alone, of the user "default",
// has a colon before it. These are all parameters; another is an error:
//
//	namespace=billing      what the names of all keys and channels begin with: 1 to 64
//	                       letters, digits and . _ : -; "fencelock" if absent. Programs
//	                       that are to exclude each other have the same.
//	max_ttl=1m             the longest TTL of a lease, 1s to 24h. It is set once, when the
//	                       list of the nodes is made, to 1m if absent; after that it may
//	                       be left out, and another value is an error.
//	token=false            leases have no fencing token, and take one round trip always.
//	token_base=…           what fencelock.Open adds to all tokens, after a swap from a
//	                       backend whose tokens are higher; see fencelock.Options.
//	password_file=/path    the password is what this file has when a connection is made, less
//	                       newlines at its end; the URL has the user at most.
//	ca=/path/ca.pem        certificates to trust instead of the system's; for redlocks, like
//	                       those that follow.
//	cert=/path/cert.pem    a client certificate,
//	key=/path/key.pem      and its key; both or none.
//	server_name=redis.prod the name in the servers' certificates, if it is not the hosts'.
//
// # Servers
//
// Redis 7.0 or later, or Valkey: 3, 5 or 7 masters without a Sentinel, of no Cluster, and of no replica
// that may take over. An even number is refused: a majority of 4 is 3, so that no more may fail than of 3.
// Each is to have a machine and a disk of its own. miniredis does not suffice.
//
// Open names each node that cannot be used, and why. It works as long as a majority can be, and says in
// Info.Warnings and to the logger what is missing. The first time, all must be there. A node that takes no
// part is looked at each second, and takes part when that can be.
//
// # The list
//
// Two clients with different nodes have no common majority. So each node keeps a list: which nodes belong
// together, by identities that they got when the list was made; the longest TTL; the level. The first
// client makes it. A client whose URL names a node of another list, or another number of nodes, is
// refused. Addresses may change, and the order in a URL does not matter; identities are on the servers' disks.
// Only an emptied node of an advisory list is known by its address. So let the URLs of all programs have the same
// addresses, and each address lead to the same server from everywhere.
//
// Each script compares a record first, which certifies one process of the server for one version of the
// list. So a server that was emptied, swapped or restarted answers nothing before a client has
// looked at it.
//
// The level is driver.FencedOrder if all nodes keep what they have answered through a crash when the list is
// made: appendonly yes, appendfsync always, no-appendfsync-on-rewrite no, and nothing evicted.
// Otherwise it is driver.Advisory, and the warning names the nodes and settings. It never changes for a list: a
// weak node that comes back to a fenced list is refused. To raise it, mend the settings in the files of all
// servers, and begin a new list in another namespace; it is another set of locks, so use fencelock.OpenBoth while
// programs with both run.
//
// # Connections
//
// A client has for each node a subscription, a connection for renewals and one to three for all else. A
// connection has 5 s to be made. Certificates (ca, cert, key) and password_file are read anew for each.
//
// A request about a lease has a third of its TTL, 3 s at most. A node that has not answered in that time
// is asked nothing until a look in the background finds it well, so that it costs one request its time, and
// the others nothing.
//
// # Recipe
//
// A lock asks all nodes at the same time: each sets the key, if it is free, and raises a counter. As soon
// as a majority has answered the highest of their counters is the token; nodes where it is lower get it in a
// second round, if the key is still ours there, and only if they answered in the first. Mostly they agree, and there
// is no second round. Each attempt has a number of its own, so that no late packet of one acts for
// another; what a failed one has set is taken back. Nodes that answer late are kept, and renewed with the others.
//
// A renewal extends the lease where it is, and never takes a lock. Where a majority has it, a node that
// lacks it gets it again, and counts from the next renewal on.
//
// Who waits is in a queue on one of the nodes, which tells it when the holder releases; a message is a
// hint to ask. docs/decisions has the reasons, 0054 to 0059.
//
// # What it promises
//
// With driver.FencedOrder:
//
//   - Tokens of a key are unique, and rise from grant to grant, whatever the clocks of servers and clients
//     do, whenever keys vanish, and however long a process is paused; also when a minority of the nodes is
//     dead, cut off, or restarted, and when a node is replaced by the command.
//   - One holder at a time while the clocks of a majority run about as fast as the holder's.
//   - A minority of nodes that is dead, slow or cut off delays nobody after the first time.
//   - A holder that cannot reach a majority is told before another can have the lock.
//
// With driver.Advisory the same holds while nodes keep their data. A node that may have lost them
// abstains, see below, so that one that is restarted now and then does no harm.
//
// Either way a lock that a majority says another holds is ErrHeld. If too few nodes answer or agree it is
// ErrUnavailable, with a [*NoQuorumError] that has a line for each node.
//
// # What it does not promise
//
//   - Redis ends leases by its wall clock. If the clocks of so many nodes are set forward that no
//     majority is without, two holders may overlap; with tokens the resource refuses the first.
//   - A file that is put back from a backup, or a disk that loses what was synced, is noticed only by
//     clients that were there before; with a majority of other nodes at hand the counters are made good.
//   - Waiters get the lock in no order. None starves.
//   - If all nodes of an advisory list lose their data at once, the list is gone, and the next client makes a
//     new one: it does not know of leases that are left from before.
//   - A client that runs does not notice that such a setting is lowered on a node of a fenced list (CONFIG SET);
//     Open and redlock status do. If the server crashes meanwhile, replace the node: its counters may be behind.
//   - With token=false nothing stops a holder that was paused.
//   - A second list for the same nodes, in another namespace, is another set of locks.
//
// # Replacing a node
//
// A node of a fenced list that has lost its data is out for good: its counters would be behind. So is one
// whose server or disk is gone. An operator puts another in its place, on the same address or
// another one, which is empty:
//
//	go run github.com/fencelock/fencelock/backend/redis/cmd/redlock replace URL
//
// The URL names the nodes as they are to be. All of them must answer, and a majority of the old ones be
// among them; several may be replaced at once. The command moves the nodes that stay to a new version
// of the list, waits for the longest TTL, and gives the new node the highest counters of the others,
// and its vote. Locks can be had meanwhile. If it is interrupted, run it again. redlock status URL shows the
// nodes and what is wrong with them. [Replace] and [Status] are the same for programs.
//
// Clients with the old URL go on while a majority of its nodes is in the list, and log that one is
// not; give them the new URL. Never copy the files of one node to another.
//
// # Delayed restart
//
// A node of an advisory list that was restarted or has lost its data abstains for the longest TTL, by the
// clock of a client that runs for so long, from when it first saw it so. Then no lease lives that it has
// forgotten. It gets the counters of the others, and votes. Of a fenced list a restarted node votes at once.
//
// So restart nodes of an advisory list one after the other, and longer than the longest TTL apart:
// quicker than that, no majority votes for a while, and leases are lost. A shorter max_ttl makes it
// shorter. Open works meanwhile, as long as a majority answers.
//
// # Limits
//
// TTLs from 100 ms to max_ttl. In a namespace up to 128 token counters stay behind on each node for good, and
// three keys that say what it is; all else ends with its TTL. Tokens are exact up to 2^53.
// A token is about the clock of a node in microseconds when its counter was made, so that tokens go on
// to rise after a move from redis://, whose tokens are like that, while the clocks are about right.
//
// ListHeld goes through the database of each node with SCAN, up to 256 names in a page, and asks all nodes about
// each key that it finds, up to 64 in a step. So a whole listing costs as much as the databases are large, whatever
// the prefix is. It needs a majority of the nodes. It lists a lock that a majority has. While a node does not answer, it
// also lists a lock that may be on a majority with that node, as Inspect does, since nobody else can get that lock.
// A key is listed once, with these exceptions, where it may be listed once for each node: the listing has more than
// 65,536 keys; another client goes on with it; this client has begun four listings since.
//
// The logger of fencelock.Options, or of Options with New, gets a line when a node cannot be reached or
// takes no part, with the reason, and when it can again.
//
// # Permissions
//
// This is needed on each node, for the namespace "fencelock", and nothing else:
//
//	ACL SETUSER locks on >password resetkeys ~fencelock:redlock:* resetchannels &fencelock:redlock:c:*
//	    -@all +ping +info +config|get +script|load +evalsha +eval +subscribe +publish +time
//	    +get +mget +set +del +exists +pttl +pexpire
//	    +hset +hget +hdel +hvals +zadd +zrem +zscore +zrange
//
// Open asks the server whether it allows all of these; its error names those that it does not. Without
// +config|get the list is advisory. With a database other than 0 add +select.
//
// To list locks (Client.ListHeld), and for nothing else, add +scan. Without it a listing gets an error of kind
// fencelock.ErrRefused that says so. No pattern of an ACL limits SCAN: who may use it can read the names of all
// keys of the database, but not their values.
//
// # Sources
//
// The algorithm is Sanfilippo's ("Distributed Locks with Redis", with its delayed restarts), the doubts about
// it are Kleppmann's ("How to do distributed locking", 2016). The token is a counter in the way of
// Attiya, Bar-Noy and Dolev ("Sharing memory robustly in message-passing systems", 1995), whose write is
// carried out only where the lock is still held. That only a majority of a common list decides, and what an
// identity is for, is from Paxos and its reconfiguration (Lamport, "The part-time parliament", 1998).
package redlock
