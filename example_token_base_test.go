package fencelock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/fencing"
)

// After a move to a server whose numbers are lower, a base keeps tokens rising: else the
// resource would refuse every write from then on.
func ExampleOptions_tokenBase() {
	ctx := context.Background()
	var gate fencing.Gate // in front of the resource
	onRedis := fencing.Token(1_795_847_220_673_677)
	if err := gate.Admit("invoices/42", onRedis); err != nil { // before the move
		log.Fatal(err)
	}

	for _, base := range []fencing.Token{0, 2_000_000_000_000_000} {
		locker, err := fencelock.Open(ctx, "mem://moved", &fencelock.Options{TokenBase: base}) // or ?token_base=
		if err != nil {
			log.Fatal(err)
		}
		lease, err := locker.Lock(ctx, "invoices/42")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("base", base, "written:", gate.Admit(lease.Key(), lease.Token()) == nil)
		locker.Close()
	}
	// Output:
	// base 0 written: false
	// base 2000000000000000 written: true
}
