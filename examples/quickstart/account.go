package main

import (
	"sync"

	"github.com/fencelock/fencelock/fencing"
)

// account is the resource. It is the one that checks the token: in the same step as
// the write, so that nothing comes between them. In a database this is a column and
// a condition, see package fencing.
type account struct {
	gate fencing.Gate

	mu      sync.Mutex
	balance int
}

func (a *account) read() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.balance
}

// write sets the balance, unless a newer token than this has written already.
func (a *account) write(balance int, token fencing.Token) error {
	return a.gate.Do(key, token, func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.balance = balance
		return nil
	})
}

func (a *account) lastToken() fencing.Token { return a.gate.Highest(key) }
