package fencelock_test

import (
	"fmt"

	"github.com/fencelock/fencelock/fencing"
)

// The resource remembers the highest token that it has seen, and refuses a lower one: the
// late write of a holder that was paused.
func Example_fencing() {
	var gate fencing.Gate // in SQL: UPDATE … SET balance = $1, token = $2 WHERE id = $3 AND token <= $2
	write := func(token fencing.Token, balance int) error {
		return gate.Do("accounts/7", token, func() error {
			fmt.Println("balance:", balance)
			return nil
		})
	}
	fmt.Println(write(7, 120)) // the holder
	fmt.Println(write(6, 110)) // the one before it, which was paused: refused
	// Output:
	// balance: 120
	// <nil>
	// fencing: stale token 6 for "accounts/7": 7 has been seen
}
