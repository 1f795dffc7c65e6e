// Package redlock keeps locks on a majority of 3, 5 or 7 independent Redis or Valkey servers: the Redlock
// algorithm, with fencing tokens. Importing it, blank or not, registers its URLs with fencelock.Open:
//
//	import _ "github.com/fencelock/fencelock/backend/redis/redlock"
//
// [New] makes a backend from clients that the application has. A program that imports the client package, too,
// names this one lockredlock:
//
//	import lockredlock "github.com/fencelock/fencelock/backend/redis/redlock"
//
// The examples show a whole program, [Open] with the settings for production, and [New].
//
// # Getting it
//
//	go get github.com/fencelock/fencelock/backend/redis
//
// It is part of that module, which has the version of the root module. It needs Go 1.25.
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
// The default port is 6379, the default database 0. User, password, database and parameters apply to all
// nodes. redlocks is TLS, 1.2 or later; the servers' certificates are always verified. Percent-encode special
// characters of user and password. A password alone, for the user "default", has a colon before it. These
// are all parameters; any other is an error:
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
// Give each a machine and a disk of its own. miniredis does not suffice.
//
// Open needs a majority of the nodes. Its error names each node that cannot be used, and why; if it succeeds,
// Info.Warnings and the logger say which nodes are missing. The first Open for a list needs all nodes. The client
// checks a node that takes no part every second, and uses it again as soon as it can.
//
// # The list
//
// Two clients with different nodes have no common majority. So each node stores a list: the identities of the
// nodes that belong together, the longest TTL, and the level. The first client makes the list and the identities.
// Open refuses a URL that names a node of another list, or another number of nodes. Addresses may change, and
// the order in a URL does not matter, since identities are on the servers' disks. Only an emptied node of an
// advisory list is known by its address. So use the same addresses in the URLs of all programs, and let each
// address lead to the same server from everywhere.
//
// Each script first compares a record that certifies one process of the server for one version of the list. So a
// server that was emptied, swapped or restarted answers nothing until a client has checked it.
//
// The level is driver.FencedOrder if, when the list is made, every node keeps through a crash what it has
// answered: appendonly yes, appendfsync always, no-appendfsync-on-rewrite no, and no eviction. Otherwise the
// level is driver.Advisory, and a warning names the nodes and settings. The level of a list never changes: a
// fenced list refuses a node that comes back with weaker settings. To raise the level, correct the settings in the
// files of all servers, and begin a new list in another namespace. That is another set of locks, so use
// fencelock.OpenBoth while programs with the old and the new namespace run.
//
// # Connections
//
// For each node a client has a subscription, a connection for renewals, and one to three connections for all
// else. Connecting times out after 5 s. Certificates (ca, cert, key) and password_file are read again for each
// connection.
//
// A request about a lease times out after a third of the TTL, 3 s at most. A node that has not answered in that time
// gets no more requests until a check in the background succeeds. So a dead node delays one request only.
//
// # Recipe
//
// Lock asks all nodes at the same time. Each node sets the key, if it is free, and increments a counter. When a
// majority has set the key, the highest of their counters is the token. Nodes with a lower counter get the token
// in a second round, which takes effect only where the key is still ours. Mostly the counters agree, and there is no
// second round. Each try has a number of its own, so that no late packet of one acts for another. The client
// takes back what a failed try has set. Nodes that answer late keep the key, and are renewed with the others.
//
// A renewal extends the lease where the key is set, and never takes a lock. When a majority has renewed, a node that
// lacks the key gets it again, and counts from the next renewal on.
//
// A waiter is in a queue on one of the nodes. That node notifies it when the holder releases; a notification is a
// hint to ask. For the reasons see docs/decisions, 0054 to 0059, and 0064 for ListHeld.
//
// # What it promises
//
// With driver.FencedOrder:
//
//   - Tokens of a key are unique and rise from grant to grant. This holds whatever the clocks of servers and
//     clients do, whenever keys vanish, and however long a process is paused; also when a minority of the nodes is
//     dead, cut off, or restarted, and when the command replaces a node.
//   - There is one holder at a time while the clocks of a majority run about as fast as the holder's.
//   - A minority of nodes that is dead, slow or cut off delays one request of each client, and no more.
//   - A holder that cannot reach a majority is told before another can get the lock.
//
// With driver.Advisory the same holds while nodes keep their data. A node that may have lost its data
// abstains, see below, so that an occasional restart does no harm.
//
// With either level, ErrHeld means that a majority says that another holds the lock. If too few nodes answer or
// agree, the error is ErrUnavailable, with a [*NoQuorumError] that has a line for each node.
//
// # What it does not promise
//
//   - Redis ends leases by its wall clock. If the clocks of so many nodes are set forward that the others are no
//     majority, two holders may overlap; with tokens the resource refuses the first.
//   - Only clients that ran before notice that a file was restored from a backup, or that a disk lost what was
//     synced. They correct the counters if a majority of other nodes answers.
//   - Waiters get the lock in no order. None starves.
//   - If all nodes of an advisory list lose their data at once, the list is gone. The next client makes a new
//     list, and does not know of leases from before.
//   - A running client does not notice that CONFIG SET weakens a setting on a node of a fenced list; Open and
//     redlock status do. If the server crashes meanwhile, replace the node: its counters may be behind.
//   - With token=false nothing stops a holder that was paused.
//   - A second list for the same nodes, in another namespace, is another set of locks.
//
// # Replacing a node
//
// A node of a fenced list that has lost its data never takes part again: its counters would be behind. An operator
// replaces it, or a node that has lost its server or disk, by an empty one, with the same address or another:
//
//	go run github.com/fencelock/fencelock/backend/redis/cmd/redlock replace URL
//
// The URL names the nodes as they should be. All of them must answer, and they must include a majority of the old
// ones; several may be replaced at once. The command moves the nodes that stay to a new version of the list,
// waits for the longest TTL, and gives the new node the highest counters of the others, and its vote. Clients
// lock and unlock meanwhile. If the command is interrupted, run it again. The command redlock status URL shows the
// nodes and what is wrong with them. [Replace] and [Status] are the same for programs.
//
// Clients with the old URL go on while a majority of its nodes is in the list, and log which node is not. Give
// them the new URL. Never copy the files of one node to another.
//
// # Delayed restart
//
// A node of an advisory list abstains after a restart or a loss of its data, for the longest TTL: a client that runs
// for so long measures it by its own clock, from when it first saw the restart. Then every lease that the node may
// have forgotten has ended. The node gets the counters of the others, and votes. In a fenced list a restarted
// node votes at once.
//
// So restart the nodes of an advisory list one after the other, and longer than the longest TTL apart. Otherwise
// no majority votes for a while, and leases are lost. A smaller max_ttl makes the wait shorter. Open works
// meanwhile, as long as a majority answers.
//
// # Limits
//
// TTLs are from 100 ms to max_ttl. On each node a namespace keeps up to 128 token counters for ever, and three keys
// that say what the node is; all other keys expire. Tokens are exact up to 2^53. A new counter begins at the
// node's clock in microseconds. redis:// does the same, so tokens go on rising after a move from there, while the
// clocks are about right.
//
// ListHeld goes through the database of each node with SCAN, up to 256 names in a page, and asks all nodes about
// each key that it finds, up to 64 in a step. So a whole listing costs as much as the databases are large, whatever
// the prefix is. It needs a majority of the nodes. It lists a lock that a majority has. While a node does not answer, it
// also lists a lock that may be on a majority with that node, as Inspect does, since nobody else can get that lock.
// A key is listed once, with these exceptions, where it may be listed once for each node: the listing has more than
// 65,536 keys; another client goes on with it; this client has begun four listings since.
//
// The logger of fencelock.Options, or of Options with New, gets a line when a node cannot be reached or takes no
// part, with the reason, and another when the node takes part again.
//
// # Permissions
//
// For the namespace "fencelock" a client needs this on each node, and nothing else:
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
