//go:build race

package bootstrap

// raced is that the race detector is on, which is slow, and has little to find in one goroutine.
const raced = true
