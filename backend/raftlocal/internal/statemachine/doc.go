// Package statemachine is the state machine of the locks: it takes the entries of the log one
// after the other, and says what each command is answered and who is told what. It is pure: no
// clock, no randomness, no goroutine, and nothing that depends on the order of a map. So all
// members that have applied the same entries are in the same state, and Snapshot gives the same
// bytes at all of them, also at those that began from a snapshot.
//
// # Claims
//
// A claim is what one attempt to lock, a key and an owner, has at a key: it holds it, or waits.
// The claims of a key are a queue in the order in which they came, and the first holds. Whenever
// it ends, the next has the lock within the same entry, and its session is told.
//
// Every claim has a deadline: its TTL from when it was made, last renewed, or granted after
// waiting. At each entry the clock moves to the entry's stamp, or stays if that is
// older; then all claims end whose deadline has come, before the entry's own commands. So a
// command never finds a claim that is overdue, and nothing brings back one that has ended.
//
// # Tokens
//
// Each grant, of whatever key, has a token above all before it: about the index of the entry
// that made it. RaiseTokens keeps it so when the log begins anew from a backup.
//
// # Sessions
//
// A command belongs to a session and has a number in it. The machine carries out each number
// once: it keeps the reply until Lowest of a later command says that it has arrived. The
// replies are part of the state. A session ends when it is closed, or when no command has come
// for its TTL; its claims stay, and end by themselves.
//
// # Memory
//
// A key without claims takes no memory. A session keeps command.MaxOutstanding replies at
// most, and these the standings of maxStandings claims.
package statemachine
