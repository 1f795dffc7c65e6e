// Package member is one member of a cluster: the log, the state machine and the consensus of
// go.etcd.io/raft between them. It starts no goroutine, reads no clock and speaks to no
// network: whoever runs it hands in messages, ticks and commands, and calls Flush, which does
// all that is due and tells the Outside. So a simulation runs the very code that serves.
//
// # Order
//
// Flush takes one Ready of raft after another. Of each, in this order:
//
//  1. appends of a leader are sent: its followers write beside it (Raft thesis, 10.2.1); its
//     own copy counts for nothing before it is synced, because raft hears of it in Advance;
//  2. committed entries that the log holds already are applied and answered, so that no answer
//     waits for a sync that it does not need;
//  3. a snapshot that came in, entries, term and vote are written and synced;
//  4. all other messages are sent: votes and acknowledgements speak of what is on the disk;
//  5. the other committed entries are applied and answered.
//
// What was answered was committed, so a majority has synced it. An error of the disk ends the
// member: Flush returns it, and so does everything after, because what is on the disk is not
// known any more and nothing may be built on it.
//
// # A disk that hangs
//
// There is one thread. While a sync hangs, no tick is counted, no heartbeat goes out and no
// message is taken, so the others miss this leader and elect another after an election timeout:
// a leader that cannot write does not keep the place of one that can. Nobody's deadline suffers,
// for the clock of the cluster has stopped with its entries.
//
// When the disk comes back, the member still thinks that it leads. It can do no harm:
//
//   - What it appended needs a majority that accepts its term. The others are in a later one,
//     refuse it, and their refusal, or the first message of the new leader, ends its leadership.
//     An entry that a majority had taken in before is in the log of every later leader; to
//     answer it late is to say what is true.
//   - A read is answered after a round of heartbeats that began after the read came in, and that
//     a majority has acknowledged in this leader's term. There is no such majority any more.
//   - The time of the hang is one look at the clock, and one look counts for 100 ms at most. So no
//     lease ends because its leader slept, not even if nobody else was elected.
//   - If no word of the others arrives, CheckQuorum ends its leadership after an election timeout.
//
// # Who is answered
//
// Only a leader takes commands, and only when it has applied an entry of its own term: before,
// it does not know all that its predecessors have committed. Whoever is connected to a member
// that does not lead, or leads no more, is dismissed and goes to the leader.
//
// A session belongs to one connection, the one accepted last of those that named it. What comes
// from another is dropped, and so is what came from another and was not proposed yet: the client
// resends on the new one all that has no answer. So at most one copy of a command is outside the
// log, and a read need only wait for this leader's own proposals to know the fate of the others.
package member
