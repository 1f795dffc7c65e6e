//go:build race

package sim

// raced: with the race detector, all takes many times as long.
const raced = true
