// Package driver is the contract between fencelock and a lock server. An
// application does not need it, except for the few values it shares with package
// fencelock ([Info], [Status], [Guarantee], [Features]).
//
// # How to write a backend
//
//  1. Read the contract at [Backend]. Decide how the server will tell one
//     attempt (Request.AttemptID) from another, where a token comes from that rises
//     for ever, and what happens to both when the server restarts or fails over.
//     That decides the [Guarantee].
//
//  2. Read backend/mem, which does all of it without a network, and then acquire.go,
//     renew.go and release.go of backend/redis with their scripts. Make a package with the
//     files that every backend has: doc.go (URLs, recipe, promises, limits), backend.go, open.go,
//     url.go, acquire.go, renew.go, release.go, inspect.go, errors.go, keys.go,
//     example_test.go. A networked backend is a Go module of its own, so that nobody
//     downloads a client that they do not use.
//
//  3. Write Acquire for a free lock, Release and Renew, each in one round trip, each
//     naming the attempt. Read the clock before sending. Then the queue, Inspect,
//     ListHeld and Evict.
//
//     Make a table of the server's errors: which say that nothing was done
//     ([ErrRefused]), and which of those may pass ([ErrUnavailable] as well). Only what
//     leaves it open wraps neither or ErrUnavailable alone. A time-out of your own says
//     what it is ("no answer within 3s"), and wraps no context's error. Call
//     Request.Waiting for each answer that says that the attempt waits, and for nothing else.
//
//  4. Register the URL scheme with fencelock.Register in an init function. Refuse
//     unknown query parameters by name. Never put the URL in an error: it has a
//     password. On a server that is away Open fails within 5 s, whatever its context,
//     with the reason: wrap address.NewWatch around it. What is wrong in the URL is [ErrInvalid], a
//     server that does not suffice [ErrUnsupported]. What an operator should know and
//     no call returns goes to the logger of [OpenOptions], once for each change. Package
//     driver/address has what all URLs need, and package driver/claims what most backends
//     need to keep account of their claims.
//
//  5. Run the suite, which is most of the work and all of the proof:
//
//     func TestConformance(t *testing.T) {
//     drivertest.Run(t, drivertest.Harness{
//     New:  func(t drivertest.T) driver.Backend { … },
//     Want: driver.Info{Name: "mylocks", Guarantee: driver.Advisory, …},
//     })
//     }
//
//  6. Run it again with each reply of the server lost once, and with the server
//     killed and restarted, as package integration does for our own.
//
//  7. Write down in doc.go what is not promised. In this repository CONTRIBUTING.md lists
//     the files that name the backends.
package driver
