// Package raftlocal is the built-in Raft: it keeps locks with no server to install, since the processes that
// use the locks are the server. An import, also a blank one, makes its URLs known to fencelock.Open:
//
//	import _ "github.com/fencelock/fencelock/backend/raftlocal"
//
// [New] does the same without a URL, and [Admin] looks after a cluster. Where another package is called
// raftlocal, lockraft is the usual name for this one.
//
// There are examples of a whole program, of [Open] for a member and for a client, and of [New],
// [NewAdmin] and [Restore].
//
// # Getting it
//
//	go get github.com/fencelock/fencelock/backend/raftlocal
//
// It is a module of its own, and has the root module's version. It needs Go 1.26.
//
// # Three ways
//
// Processes of one machine share a directory. One of them serves the others on a socket in
// it; when it ends, even by kill -9, another takes over from what is on the disk, well
// within a second:
//
//	raft:///var/lib/app/locks[?namespace=billing]
//
// They run as one user, or as users of a group: then the processes of the directory's owner serve, and
// those of the others are clients. A container that is given the directory is one by its socket:
//
//	raft:///var/lib/app/locks?group=locks
//	raft://unix:/var/lib/app/locks/socket
//
// Application processes on 3 or 5 machines are members of a cluster, each with a directory of
// its own. The death of a minority does no harm:
//
//	raft:///var/lib/app/locks?id=a&cluster=prod&peers=a=h1:7300,b=h2:7300,c=h3:7300&ca=…&cert=…&key=…
//
// Everybody else is a client of such a cluster, which finds the leader and follows it:
//
//	raft://h1,h2,h3?cluster=prod&ca=…&cert=…&key=…
//
// For tests, those who open the same name in one process share locks in memory, for as long as
// somebody has it open. Nothing else differs from a directory:
//
//	raftmem://name
//
// # URLs
//
// These are all parameters; another is an error:
//
//	namespace=billing      what all keys begin with: 1 to 64 letters, digits and . _ : -;
//	                       "fencelock" if absent. Programs that are to exclude each other
//	                       have the same.
//	token_base=…           what fencelock.Open adds to all tokens, after a swap from a
//	                       backend whose tokens are higher; see fencelock.Options.
//
// of a directory that processes share:
//
//	group=locks            the group, by name or number, whose users share it: see Several users.
//
// of a member and of a client:
//
//	cluster=prod           the cluster's name, so that two do not get mixed up. A client may
//	                       leave it out.
//	ca=/path/ca.pem        the authority of the cluster,
//	cert=/path/cert.pem    our certificate of it, for serverAuth and clientAuth, with the
//	                       name by which we are dialled,
//	key=/path/key.pem      and its key. All three are read again for each connection, by who
//	                       listens and by who dials; while one is half written, what it had
//	                       before is used, and the log says so.
//	server_name=raft.prod  the name in the others' certificates, if it is not the host's.
//	insecure=true          instead of these: no TLS. Everybody who reaches a port may do all,
//	                       and Info.Warnings says so.
//
// of a member only:
//
//	id=a                   its name among the peers.
//	peers=a=h1:7300,…      all members that the cluster begins with, the same on each: an
//	                       odd number. An address is host:port, or unix:/path. A member with
//	                       an empty directory asks them whether there is a cluster: where one
//	                       that began alone has grown, list the others, too.
//	listen=:7300           where to listen, if it is not this member's address in peers=.
//	join=true              with an empty directory, it waits to be added to a cluster that
//	                       exists: see [Admin.AddMember]. Then peers= is only where to ask, and
//	                       has this member, too. It says nothing once the directory is in use.
//
// The port of a client's hosts is 7300 unless it is given. A client of a socket has no parameter but
// namespace=.
//
// A new cluster begins when all members in peers= are there: start them side by side. A member
// that waits names those that it waits for, in the log, in GET /healthz, and in the error of New when its context
// ends. Once it has begun, a majority of them is enough, always. A process that is no member waits less than
// 5 s for a leader, whatever its context: see [New].
//
// # Several users
//
// A directory belongs to a user, and only that user's processes serve it. Without group= nobody else may
// come, but for root. With group=, which all give in their URL, the directory has the mode 2750 and that
// group, its socket 0660, and all other files stay 0600, whatever the umask is:
//
//   - Processes of another user in the group are clients. They take locks as all others do, evict, and ask
//     for the status; they read and write no file.
//   - They never serve. When no process of the owner runs, nobody takes over: Open fails after some
//     seconds, a lock that is waited for after a TTL, with an error that says whose process is missing, of kind
//     ErrUnavailable. When one is started, all clients come back, and what they held is theirs still
//     unless its TTL has passed.
//   - Root is no exception: where another user owns the directory it is a client, with group= and without. It
//     leaves no files there that the owner could not open.
//   - Who is not in the group is refused, as is who does not say group=; the errors name the fix.
//
// The first user that opens a directory makes it, and owns it from then on, root too. To be sure, make it
// beforehand, in a directory in which only its owner and root may write:
//
//	install -d -o app -g locks -m 2750 /var/lib/app/locks
//
// Otherwise the owner has to be in the group, or cannot give the directory to it. A directory that exists is
// made the group's, with its mode, by the owner's next process that serves it; not if others may write to it
// (chmod 2750), nor if there are files of something else in it, as in a home. The mode 2710 is left: then users of
// the group cannot list names, and cannot lock the directory itself, which would keep all from serving.
// All processes of the owner say group=: one that serves without it makes a socket that is its user's alone.
//
// To give a directory to another user, end all processes that have it open, and chown -R. One that still
// serves goes on until it ends, or needs a file that it may not make or open any more; nobody serves beside it.
//
// A client of the socket (raft://unix:) makes nothing and never serves. It may be in a container that has the
// directory mounted, also read-only. Mount the directory and not the socket: that is another one after
// each restart.
//
// # Recipe
//
// All members keep one state machine in step by Raft: claims, the queue of each key, and
// sessions that number the commands of a client, so that what is sent again is carried out
// once. The leader writes all commands that come in while the disk is busy as one entry, with
// one fsync on each member. A release grants to the next in the queue in the same step, and a
// message tells it: a hand-off is one entry and one push.
//
// Time stands in the log, too. The leader stamps each entry with a clock that runs only
// while it leads, and no faster than its own; an entry ends what has run out by its stamp.
//
// The token is the index of the entry that granted, or the last token and 1 where one entry
// grants twice, above a base: for a new directory, or a cluster that begins, it is the number of
// microseconds since 1970, so that tokens rise also where a directory was removed; it is raised
// when a cluster is restored from a backup.
//
// A directory has an id that was drawn for it, and the id is what votes. So a member that has lost
// its directory is another one, whatever its name, and its vote is not taken for that of the one
// before. Before the first vote of all, initial members tell each other their ids, and bind themselves to the
// list of them: docs/decisions, 0029 and 0030.
//
// What is acknowledged was synced by a majority. Any error of a write or a sync ends the
// member: nobody knows what is on the disk after it. An incomplete write at the end of the log
// is cut at the next start; damage is refused with a message that says what to do. Where there is no
// room, or no file descriptor, for a new file of the log, nothing is lost: the member waits, and
// another leads meanwhile.
//
// A process that serves a directory looks ten times a second, and before a grant if the last look
// is older than 10 ms, whether the directory is still the one at its path, with its files in it. If not, it tells all holders
// at once and stops serving; then this process or another begins with what is there. A process that takes a directory
// which the process before did not have, such as a new one, waits half a second first.
//
// # What it promises
//
// The level is driver.Linearizable: one holder for each grant, and tokens that rise, through
// kill -9, power failure, the death and the isolation of any minority of the members, and
// restarts of all of them.
//
//   - First come, first served, in the order in which commands stand in the log.
//   - A lease never ends early. What is left of it survives the change of the leader; it does
//     not get its full time again.
//   - The lock of a holder that dies is free after its TTL and a tick of 50 ms, plus the time
//     without a leader if there was any. Waiters that die with it cost those behind them no more than
//     what is left of their own, and not a TTL each.
//   - A holder whose lock was evicted is told at once. An eviction of one attempt ends its grant and no
//     other's: docs/decisions, 0067.
//   - ListHeld and Inspect tell how things stood at a moment of the call: the leader answers them when it has
//     heard from a majority that it still leads. They write nothing to the log. A page of ListHeld looks at some
//     4,000 claims in the order in which they were made, and delays a lock by less than a
//     millisecond: docs/decisions, 0068. Each process that may take a lock may list, too. A leader of an earlier release
//     cannot list or evict one attempt: the error is fencelock.ErrUnsupported, and says to upgrade all members.
//   - A leader that is cut off, that sleeps or whose disk hangs grants, renews and ends nothing,
//     then or when it comes back. Another leads within about a second.
//   - A retry of a command whose answer was lost is answered by what was done the first time.
//   - A directory that is removed, emptied, moved or replaced while it is served: the holder is
//     told before another gets the lock, and tokens rise. A socket that is removed comes back
//     within a tenth of a second, and no lock is lost.
//   - A stranger who reaches a member's port without a certificate cannot end it, keep it from writing, or
//     keep members and clients out: strangers get an eighth of the file descriptors, and the
//     newest of them are kept. What somebody with a certificate sends who is no member changes
//     nothing in a cluster that has a leader.
//   - A member that has ended, or that waits for room on the disk, says so at level Error: see Log.
//     The process goes on as a client of the other members, and its errors name what is wrong with
//     its own.
//   - A rolling restart of the members, each with Close, loses no lock: leadership is
//     transferred before a member ends.
//
// # What it does not promise
//
//   - While less than a majority of the members reach each other, nothing is granted, and
//     time stands still: no lease ends on the cluster. Holders go by their own clock, so
//     they lose theirs when they cannot renew.
//   - A directory is as available as its machine. A process that serves it and is stopped
//     (SIGSTOP, a debugger) but not dead stops all others, until it goes on or is killed.
//   - If the process that serves a directory is stopped while that is removed, or a holder is when
//     it should be told, only the token protects what the lock is for: it is higher in the new
//     directory, as long as the machine's clock was not set back. A directory that is swapped
//     beneath a mount, so that each process still sees the one it had, is noticed by nobody.
//   - A directory must be on a disk of the machine: on a network file system two machines
//     would not see each other's socket, and perhaps not even the lock. Layered file systems, as
//     containers have them, do.
//   - A disk that loses what it has confirmed to be synced loses locks, for a directory; in
//     a cluster, if that happens to a majority.
//   - Members trust each other, and anybody with a certificate of the cluster's authority
//     may take any lock, evict its holder, and change the cluster over HTTP, as an operator may.
//     It does not make its owner a member: a member shows the certificate with which it is
//     dialled, for the host of its address among the members, be that a name, a wildcard or
//     an IP address, or for server_name=. Where that name is in all certificates, or without
//     TLS, anybody may be any member. A member that is cut off from the others, or that waits
//     to be added, has to believe anybody with a certificate.
//   - A cluster that is restored from a backup knows nothing of what was granted since. Its
//     tokens are higher than all of those, as long as no clock was set back by more than has passed
//     since: each cluster begins at the clock.
//
// # Limits
//
// TTLs from 100 ms to 24 h. A claim costs each member some hundred bytes of memory while it is
// there, and a key without claims nothing. An entry is at most 1 MiB, and the state at most 1
// GiB, some million claims. The log in a directory is some 50 MB. A member has as many clients and
// operators at once as half the files that its process may have open, 20,000 at most. A member is
// on Linux, macOS or a BSD; a client is anywhere.
//
// # Operating
//
// Members answer HTTP on their port, with TLS and a client certificate if they have it:
//
//	curl --cacert ca.pem --cert cert.pem --key key.pem https://h1:7300/status
//
// GET /status says as JSON who leads, how far each member is, how long the log and the queues
// are. GET /healthz is 200 where locks are to be had by way of this member, and 503 with one line why
// where not; GET /metrics is for Prometheus. A kubelet, which has no certificate, asks the
// application, which asks fencelock's Client.Health. GET /backup gives what [Restore] takes. [Admin] has these and the rest as methods:
// members are added, removed and replaced, and leadership is moved, while the cluster
// works. For a directory, curl --unix-socket /var/lib/app/locks/socket http://x/status.
//
//   - A member that was restarted, or cut off, catches up by itself.
//   - One that has lost its disk, or whose directory is refused as damaged, does not vote: started
//     again as it was with an empty directory, it ends with an error that says so. Start it with
//     join=true and an empty directory, under its name and at its address or others, and call
//     [Admin.ReplaceMember].
//   - In a StatefulSet, set podManagementPolicy: Parallel, since the first start needs all pods, and
//     publishNotReadyAddresses: true on its headless Service, since a pod is not ready before the
//     others have reached it. When the cluster has begun, set join=true for all pods: it says
//     nothing to those whose volume is in use, and a pod that has lost its volume then waits to be
//     replaced by itself.
//   - If a majority is lost for good, restore a backup into new directories. Or begin again with
//     empty directories on all members, when the longest TTL has passed: tokens rise all the same.
//   - Do not tidy a directory that is served, by age or otherwise. If only some of its files were
//     removed, it is refused, since what is missing may have held locks: remove the rest when no
//     process has it open, and wait until the longest TTL has passed.
//   - When the disk is full, make room: the member goes on within a second.
//   - Never copy a member's directory to run it twice, and never put back an old copy of one:
//     it would vote against what it has promised.
//
// docs/raftlocal.md sets a cluster up, step by step, and has what to watch.
//
// # Log
//
// What an operator should know goes to Options.Logger of fencelock.Open, or raftlocal.Options.Logger of New, or to
// slog.Default: each change once, and not each try; what strangers cause, once a minute for each cause.
//
//   - Info: the cluster has begun, who leads, a member is added, removed or reached again, there is
//     room on the disk again, a client is connected to the leader, or again.
//   - Warn: a member is not reached for a second, a connection is refused, whose certificate is not
//     taken and why, on both sides; there is no leader for 2 s; a client reaches no leader.
//   - Error: a file cannot be made, since the disk is full; the member has ended.
//
// # Sources
//
// The consensus is go.etcd.io/raft, after Ongaro's thesis ("Consensus: Bridging Theory and
// Practice", 2014), with PreVote, CheckQuorum and joint consensus; the sessions are of its
// chapter 6.3, the leader's write beside its followers' of 10.2.1. Time in the log is Burrows'
// ("The Chubby lock service", OSDI 2006) carried further: docs/decisions, 0020; who is dead behind a
// dead holder: 0043. The token and
// the check at the resource are also his.
package raftlocal
