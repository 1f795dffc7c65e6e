// Package sim looks for orders of events in which redlock breaks a promise. There is nothing to import: it
// is tests.
//
//   - Exploration (explore_*_test.go) goes through every order for two clients on three nodes: the real rules
//     of package vote, over the real steps of package model.
//   - Simulation (world_*_test.go) runs the real recipe, whole, over nodes of package model, in virtual time, from
//     seeds: more clients, keys and nodes, and everything that can go wrong with them.
//   - Mutants (mutants_test.go) are ways to be wrong, each of which one of the two must notice.
package sim
