// Package sim runs whole clusters of the built-in Raft in virtual time, from a seed: members,
// clients, disks, clocks and networks, and all that goes wrong with them. Members, state
// machine, log, snapshots and sessions are the very code that serves; here is only what they
// speak to. There is no goroutine and no clock, and chance comes from the seed alone, so a
// seed is one run, whatever machine it runs on: the hash of all its events says so.
//
//	go test ./backend/raftlocal/internal/sim -run TestSim -seeds 5000
//	go test ./backend/raftlocal/internal/sim -run TestSim -seed 17 -v     # one, with a trace
//	go test ./backend/raftlocal/internal/sim -run TestSim -fault ring     # one kind of fault
//
// # A world
//
// 1, 3 or 5 members, each with a disk that loses what was not synced (disk.Memory) and a clock
// of its own rate; up to 5 join later. They found the cluster by package bootstrap, and one disk at a
// time may be lost, before, while and after that: then its member comes with an empty one, and is
// replaced (found.go, lost.go). 4 to 6 clients, whose workers take locks, renew, release,
// cancel, forget, oversleep and die, over connections that are late, stall and break. plan.go
// says what a seed may choose, faults.go what may happen. In the end all is mended, and then
// everybody who wants a lock must get one, and nothing may stay in memory.
//
// # What is checked
//
// All along, and a run ends with the first thing that is wrong:
//
//   - promises.go: what clients were told can be true. No two are promised a key at a moment,
//     tokens are unique and rise with each grant of a key that was asked for after another was
//     known, no lease is lost before the time that was promised, and no write of a
//     holder comes too late for a store that looks at tokens.
//   - truth.go: one log. Whatever entry a member applies, all apply, with one outcome and one
//     state after it, whatever crashes in between. Reads tell how a key stood at some moment
//     after they were asked for.
//   - referee.go: each answer and each push is the right one, by the rules said once more in
//     the simplest way: so commands run once, in order, and nothing expires early or late.
//   - world.go: one leader in a term; the clock of the cluster never goes further than its
//     leader was awake, and no claim ends earlier than its TTL after it was asked for, by the
//     fastest of clocks; what was certainly refused or released is never granted.
//   - found.go: no two records are begun with; a directory keeps its id; only one that was lost
//     is told that the cluster has begun without it.
//   - calm.go: every worker is served, sessions and claims end, members are equal, and an idle
//     cluster writes nothing.
//
// That the checks see what they are to see is itself tested: TestMutants.
package sim
