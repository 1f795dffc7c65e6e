// Package bootstrap is how the first members of a cluster agree on what it begins with, before
// any of them votes.
//
// A directory has an id that was drawn for it, and the id is what votes: a member that has lost its
// directory has another, so nobody takes its vote for that of the one before. So the members of a
// cluster cannot be computed from their names; the first of them have to tell each other their
// ids, and must not end up with two lists of which each has a majority.
//
// # The protocol
//
// A [Founder] is one directory that is to begin. It does no I/O and knows no time: whoever runs it
// exchanges a [Standing] with each other founder, again and again, and calls Hear with what comes,
// asked for or not.
//
//  1. When it has heard the id of every other founder, it binds itself to the [Record] of all
//     these ids: durably, before it tells anybody, and for good. It begins with that record or never.
//  2. When it has heard of every other founder that it is bound to the same record, or of one that
//     it has begun with it, it begins: it writes the record as the start of its log. Only then is
//     there a raft node that may vote.
//
// So all founders have to be there once. From then on a majority is enough: whoever was bound and
// has not begun yet need hear of one that has.
//
// # Why there is one cluster
//
// Two different records can both be begun only if every directory of one of them has been lost
// before any of the other was bound:
//
//   - Whoever begins with a record knows that all directories in it were bound to it, by step 2. A
//     directory is bound to one record in its life. So two records that were begun have no directory
//     in common: under each name there are two, of which one was lost and the other made later.
//   - If both are begun by a majority, some name is in both majorities. Let x be its older
//     directory, of the record R, and x' its younger, of R'. x began with R, and then it was lost:
//     so all directories of R had been made by then. R' contains x', so nobody was bound to R' before
//     x' was made, which was later. So under each name the directory of R' was alive later than that
//     of R was made: it is the younger one, and that of R is lost.
//
// The weaker rules that come to mind are wrong, and each is a mutant that the tests must catch. To
// begin with a majority: a and c begin, a is lost, c is down, b was never started, and a and b
// begin again. To begin as soon as all ids are known, without being bound: b answers, begins with the
// directory of a, and a takes that over and is lost; c still has b's answer, asks a's new directory,
// and begins with that; b grants with the old one, c with the new. One disk was lost.
//
// # What it costs
//
// A founder that loses its directory between step 1 and the beginning of all leaves the others
// bound to a record that nobody can begin with: they say so, and are begun again with empty
// directories. Nothing was granted by then. One that is lost before step 1 is just replaced by what its
// new directory says.
package bootstrap
