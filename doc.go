// Package fencelock is a client for distributed locks: one interface over several
// lock servers, a fencing token on every lock, and a report of each loss before
// another can get the lock, unless an operator evicts the holder or the server loses its data.
//
//	locker, err := fencelock.Open(ctx, "redis://localhost:6379", nil)
//	lease, err := locker.Lock(ctx, "invoices/42") // ctx bounds the wait only
//	defer lease.Unlock(ctx)
//	work(lease.Context(ctx), lease.Token())
//
// [Open] connects to the server that a URL names; the scheme chooses the backend,
// whose package is imported for that. [Client.Lock] waits for a lock,
// [Client.TryLock] does not, and [Do] and [DoValue] run a function under one. The [Lease]
// that they return is renewed by itself until [Lease.Unlock]. Options of one lock say who holds
// it and what for ([WithIdentity], [WithMeta]), for how long it lives without its holder
// ([WithTTL]), and the shortest and the longest time it is held ([WithMinHold], [WithMaxHold]).
//
// Locks are not reentrant: a goroutine that locks a key twice waits for itself.
// Keys are any UTF-8 of 1 to 1,024 bytes, and are never interpreted.
//
// # Errors
//
// A program branches on values that it matches with [errors.Is]. Each means one thing on every
// backend. An error matches one of these only, with the exceptions that are listed above
// [ErrHeld] among the variables:
//
//   - [ErrHeld]: another holds the lock. From TryLock a [HeldError] in it says who, where the
//     server tells; after Lock ask [Client.Inspect].
//   - [ErrLost]: the lease ended before Unlock.
//   - [ErrMaxHold]: the time of [WithMaxHold] is over. It comes with ErrLost.
//   - [ErrUnlocked]: the lease ended by Unlock or Close.
//   - [ErrUnavailable]: the server could not be asked, or did not answer, and nothing is held.
//   - [ErrRefused]: the server has said no, and done nothing.
//   - [ErrUnknown]: a request to unlock or evict was sent, and no answer came.
//   - [ErrNotHeld]: there was nobody to evict.
//
// A request without an answer is never reported as a loss, nor as a lock that another holds. All
// errors of [Client] and [Lease] are an [*Error], which names the operation, the backend and the
// key. The context's error and the server's own are reachable through it. [Do] and [DoValue]
// return the function's own error as it is. No error shows a password.
//
// A Lock whose context ends matches the context's error and one more, so that a handler
// can tell a busy lock from an outage:
//
//	lease, err := locker.Lock(ctx, "invoices/42") // ctx ends after 2 s
//	switch {
//	case errors.Is(err, fencelock.ErrHeld): // 409: the server said until lately that another has it
//	case errors.Is(err, fencelock.ErrUnavailable): // 503: the server was silent, or in trouble
//	}
//
// "Until lately" means within three quarters of a TTL, and before any request that got no
// answer. An error matches context.Canceled or context.DeadlineExceeded only if a context
// of the caller's has ended: not a loss, for one, whatever the network said.
//
// # Loss
//
// A lease lives for a TTL on the server ([Options.TTL], 15 seconds by default) and is
// renewed every third of it. It ends here, for certain, nine tenths of a TTL after
// the last request was sent that the server confirmed, by the monotonic clock of this
// process. That is before the server lets another in. Nothing can delay this deadline, not even
// a hung request. The lease ends sooner where the backend learns that the grant is gone: it was
// evicted, or a server that was restarted does not know it. In these two cases the server has
// freed the lock already. The next holder may have it, with a higher token, for a moment before
// this one is told, or, where the backend cannot tell, until the next renewal.
//
// When the lease ends, [Lease.Done] is closed, [Lease.Err] matches [ErrLost], and every
// context that [Lease.Context] made is cancelled, with the reason as its
// [context.Cause]. Give that context to the work. A lease that is lost stays lost.
//
// A server that cannot be reached does not end the lease before that time. So an outage of up to
// half a TTL loses nothing. It may begin just before a renewal, a third of a TTL after the last;
// nine tenths less a third leave 0.56 of a TTL, and some of that goes by until the next request.
// Where requests are lost in silence, they must time out before the next is sent: then the lease
// survives a quarter of a TTL. A TTL must be at least four round trips long, or no renewal is
// ever in time. A lease that is lost by that says so, and so does a Lock whose grants come too
// late.
//
// The context that was given to Lock bounds the wait, and nothing after it. [FromContext] finds
// the lease in a context that [Lease.Context] or [NewContext] made.
//
// # Pauses
//
// After a wait ask Err, the lease's or its context's, and not Done. They look at the
// clock, and so are right at the first look after a pause (SIGSTOP, a frozen container,
// a machine that is too busy). Done is closed by a timer, and when a process goes on, the
// runtime may let a goroutine whose data has come run before timers that were due long
// ago. A context that package context derives from a lease's is as late as Done.
//
// Go's monotonic clock stands still on Linux while the machine is suspended, to RAM or
// to disk. That time is taken off every lease, by a clock of the kernel's that counts it,
// and 2 s more, since the kernel counts whole seconds. A lease that has nothing left is
// lost; the others are renewed at once. So a lease with a TTL of two seconds survives no
// suspend. Leases on backend/mem do: their server sleeps, too. A suspend of less than a
// second that the kernel counts as less than 10 ms costs nothing, and all is renewed at
// once.
//
// On Windows the clock goes on, and Err is right by itself. On macOS it stands still, as
// on Linux, and nothing is taken off; of other systems we do not know. There a lease does
// not survive a suspend on the server, and nobody here is told before the next renewal.
//
// No clock that a program may read shows that a hypervisor has stopped its virtual
// machine, moved it to another host, or gone back to a snapshot of it. There only the
// token helps.
//
// # Fencing
//
// A process that is paused (SIGSTOP, a virtual machine that is moved, a long garbage
// collection) can wake up after its lease has ended and write before it looks, or
// right after it has looked. No lock with a lease can prevent that. [Lease.Token] can:
// the tokens of a key rise from grant to grant, for ever. Send it with each write, and
// have the resource refuse a token lower than the highest it has seen, in the same step
// as the write.
// Package fencing has such a check, and the rule for your own.
//
// # Choosing a backend
//
//   - backend/mem (mem://) is inside the process: for tests (docs/testing-your-code.md),
//     examples, and programs that run as one copy.
//   - backend/raftlocal (raft://) is the built-in Raft: a lock server inside the processes that
//     use it, in a directory that they share or as a cluster of 3 or 5 machines. Nothing has to
//     be installed.
//   - backend/redis is Redis or Valkey: one server (redis://), by Sentinels (redis+sentinel://) or a
//     Cluster (redis+cluster://). It is fast and fair, and the server wakes the waiters. It keeps
//     exclusion while the server keeps its data; a fail-over may lose some.
//   - backend/redis/redlock (redlock://) is a majority of 3, 5 or 7 Redis or Valkey nodes that
//     know nothing of each other. Its tokens stay in order whatever their clocks do. It is for
//     those who have such servers and must live through the loss of one.
//   - backend/etcd (etcd://) and backend/zookeeper (zookeeper://) keep exclusion through the death
//     of servers and through partitions, while a majority lives. A lock costs a write that the
//     majority has on disk.
//
// To swap one for another, change the URL, and look after two things. Two servers are two
// sets of locks: while programs with the old URL run beside those with the new one, use
// [OpenBoth]. And the tokens of another backend may be lower: then a resource that compares
// them refuses every write. Set [Options.TokenBase], or token_base= in the URL, against that.
// docs/coming-from explains both, and how to come from other libraries.
//
// [Options.RequireGuarantee] makes Open fail on a backend that promises less than the program
// needs, and [Options.RequireFeatures] on one that lacks a feature. The package comment of
// each backend says what it promises, and what it does not.
//
// # Observability
//
// [Options.Observer] is told of every lock that is waited for, granted or not, renewed,
// unlocked or lost, with the time that it took and the time that it was held. [Options.Logger]
// gets what an operator should read: a lease that was lost, the beginning and the end of an
// outage, a setting of the server that weakens the promise. Neither delays a lock, however long
// it takes; what it does not take in time is dropped, and counted.
//
// [Client.Inspect] tells who holds a key, and [Client.ListHeld] which keys are held.
// [Client.Evict] takes a lock away from its holder. [Client.Health] is for a readiness check.
//
// # What is not promised
//
//   - That work stops when its lease ends. The context says so; the work must look.
//   - That a write of a paused holder is refused where nobody checks the token. That a
//     holder notices a pause of its virtual machine, or, but for Linux and Windows, of
//     its machine.
//   - That something is done exactly once. A lock keeps two from doing it at the same
//     time; whether it has been done is for the resource to say.
//   - That waiters are served in order, or that a fail-over keeps a lock, beyond what
//     the backend says of itself in [Client.Info].
//   - That clocks may run at any rate. The tenth of the TTL that is left unused covers
//     clocks whose rates differ by a few per cent; what a clock shows does not matter
//     on the client, and on the server only where its backend says so.
package fencelock
