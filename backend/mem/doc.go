// Package mem is a lock server inside the process: for tests, for examples, and
// for programs that run as one copy today.
//
// A [Space] is the server. Each backend that [New] makes on it is a client of
// its own, as independent of the others as if it had a connection to itself:
//
//	space := mem.NewSpace()
//	a, b := mem.New(space), mem.New(space) // two clients, one server
//
// # Getting it
//
//	go get github.com/fencelock/fencelock
//
// It is in the root module, which depends on the standard library only.
//
// # Testing your own code
//
// Code that takes a fencelock.Locker needs no server in its tests, and in a testing/synctest
// bubble no time either. Make space and clients inside of it:
//
//	synctest.Test(t, func(t *testing.T) {
//		space := mem.NewSpace()
//		another, err := fencelock.New(mem.New(space), nil)
//		…
//		defer another.Close()
//		_, err = another.Lock(t.Context(), "invoices/42")
//		…
//		ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // virtual
//		defer cancel()
//		if err := yours.Charge(ctx, "42"); !errors.Is(err, fencelock.ErrHeld) {
//			t.Error(err)
//		}
//	})
//
// docs/testing-your-code.md has whole tests: another has the lock, it is taken away, the
// server is away, and a holder that was paused comes too late. See also the example YourCode.
//
// # Faults
//
// [Space.Inject] makes chosen requests fail as a real server's do, until they are healed or a number of
// times: nobody listens ([Down]), nobody answers ([Silent]), the answer is lost after the request was carried
// out ([LostReply]), the server says no ([Refused], [Busy]), or takes its time ([Late]). A fault hits all
// clients or one, all keys or one, all operations or some:
//
//	heal := space.Inject(mem.Fault{Kind: mem.Silent, Ops: mem.OpRenew, Key: "invoices/42"})
//
// [Space.Forget] makes the space lose a grant. A client's Evict takes a lock away and tells its holder.
//
// # Recipe
//
// Each key that is in use has a holder, a queue and one timer. Release,
// eviction and expiry pass the key to the head of the queue in the same step, so a
// hand-off costs one wake-up whatever the length of the queue. A waiting Acquire
// blocks on a channel. A key that nobody uses has no memory. ListHeld walks over all keys of the space for
// each page, and asks for no rights.
//
// # What it promises
//
// Linearizable inside one process: one holder, tokens of a space rise for ever,
// first come first served, and loss told at once through Request.Lost; after an eviction the
// next may have the lock a moment before the holder has heard. A waiter
// with a call that ended without Release keeps its position for one TTL, as it would on a
// server that cannot see it; if its turn comes then, it costs those behind it at
// most one TTL.
//
// By URL it accepts what all servers accept, so that what was tried here is not refused there:
// see [Open]. [New] accepts TTLs from 1 ms, for tests in virtual time.
//
// # What it does not promise
//
// Nothing survives the process, and nothing is shared with another process. An
// attempt that was released stays out until 8,192 later releases have gone by.
//
// It needs only channels, timers and short critical sections, so that it works
// in a testing/synctest bubble. A Space belongs to the bubble that it was first
// used in.
package mem
