// Package driver is the contract between fencelock and a lock server. An
// application does not need it, except for the few values it shares with package
// fencelock ([Info], [Status], [Guarantee], [Features]).
//
// # How to write a backend
//
// A backend outside of this repository needs steps 1 to 5 and 9 only.
//
//  1. Read the contract at [Backend], then package backend/mem, which is a whole backend without a network.
//     Decide how the server will tell one attempt (Request.AttemptID) from another, where a token comes from
//     that always rises, and what happens to both when the server restarts or fails over. That decides the
//     [Guarantee]. Write it down as a decision, in docs/decisions.
//
//  2. Read acquire.go, renew.go and release.go of backend/redis with their scripts, and leave its
//     internal/node for later. Make a package with the files that every backend has: doc.go (URL, recipe,
//     guarantees, limits, permissions), backend.go, open.go, acquire.go, renew.go, release.go, inspect.go,
//     registry.go (the attempts of this client), errors.go (in the package that sees the server's errors),
//     example_test.go; and list.go, keys.go, url.go where there is something for them. New takes (ctx, what
//     to connect to, *Options) and returns a [Backend]. A networked backend is a Go module of its own, so
//     that nobody downloads a client that they do not use. Its go.mod requires the root and has a replace for
//     it.
//
//  3. Write Acquire for a free lock, Release and Renew, each in one round trip, each naming the attempt. Read
//     the clock before sending. Then write waiting, Inspect, ListHeld (page by page, without a request that
//     delays others) and Evict (of exactly one attempt, decided on the server). Package driver/attempts keeps
//     account of a client's attempts: its comment says what is called, in which order. And package
//     driver/batch sends many callers' requests in one.
//
//     Make a table of the server's errors in errors.go: which say that nothing was done ([ErrRefused]), and
//     which of those may pass ([ErrUnavailable] as well). An error that leaves open whether the request was
//     carried out wraps neither, or ErrUnavailable alone. A time-out of your own says what it is ("no answer
//     within 3s"), and wraps no context's error; [RequestTimeout] is how long it is. Call Request.Waiting for
//     each answer that says that the attempt waits, and for nothing else.
//
//  4. Register the URL scheme with fencelock.Register in an init function. Package
//     driver/address has what all URLs need. Refuse
//     unknown query parameters by name. Never put the URL in an error: it has a
//     password. What is wrong in the URL is [ErrInvalid], a
//     server that does not suffice [ErrUnsupported]. On a server that is away Open fails within 5 s, whatever
//     its context, with the reason: wrap address.NewWatch around it. What an operator should know and
//     no call returns goes to the logger of [OpenOptions], once for each change.
//
//  5. Run the suite, which is most of the work and all of the proof: a test that calls drivertest.Run, with a
//     drivertest.Harness that says how to reach the server, what the backend must be able to do, and how to
//     hurt the server. Package drivertest shows it.
//
//  6. Enter the backend in each place of the repository that names the backends: CONTRIBUTING.md has the
//     table, under "It is known", and a test of the root reads it.
//
//  7. Run the suite on real servers, in integration/NAME, again with each reply of the server lost once, and
//     with the server killed and restarted. The files have the same names for the same behaviour over all
//     backends: conformance_test.go, lost_replies_test.go, restart_test.go, list_test.go and so on. The
//     server is a Kind of integration/internal/servers, with an image in integration/images if no public one
//     serves; its protocol is in integration/internal/proxy. make conformance BACKEND=NAME runs them.
//
//  8. Add a target to integration/process, in target_test.go: real processes are paused, killed and cut off
//     there, and the histories checked. Add a package to bench, beside raw commands of the same client.
//
//  9. Write down in doc.go what is not promised.
package driver
