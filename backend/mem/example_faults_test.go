package mem_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// A server that refuses one kind of request, then one whose answer is lost. What does the code under test
// make of each? (The client asks again for the answer, which may take a moment.)
func ExampleSpace_Inject() {
	ctx := context.Background()
	space := mem.NewSpace()
	locker, err := fencelock.New(mem.New(space), &fencelock.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	heal := space.Inject(mem.Fault{Kind: mem.Refused, Ops: mem.OpAcquire, Key: "invoices/42"})
	_, err = locker.Lock(ctx, "invoices/42")
	fmt.Println("refused:", errors.Is(err, fencelock.ErrRefused))
	heal()

	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	space.Inject(mem.Fault{Kind: mem.LostReply, Ops: mem.OpRelease, Times: 1})
	fmt.Println("unlocked, though the answer was lost:", lease.Unlock(ctx) == nil)
	// Output:
	// refused: true
	// unlocked, though the answer was lost: true
}

// A server that restarts without its data gives the lock to another, and nobody tells the holder. The
// tokens tell both apart.
func ExampleSpace_Forget() {
	ctx := context.Background()
	space := mem.NewSpace()
	var leases []*fencelock.Lease
	for range 2 { // processes
		locker, err := fencelock.New(mem.New(space), &fencelock.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			log.Fatal(err)
		}
		defer locker.Close()
		lease, err := locker.Lock(ctx, "invoices/42")
		if err != nil {
			log.Fatal(err)
		}
		leases = append(leases, lease)
		space.Forget("invoices/42")
	}
	fmt.Println("the first knows:", leases[0].Err() != nil)
	fmt.Println("the second has the greater token:", leases[1].Token() > leases[0].Token())
	// Output:
	// the first knows: false
	// the second has the greater token: true
}
