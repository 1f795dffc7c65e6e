package fencelock_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// charge stands for work that takes a context and sends the token with its writes.
func charge(ctx context.Context, token fencing.Token) {
	fmt.Println("charging; lock held:", ctx.Err() == nil, "token given:", token > 0)
}

func Example() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://", nil) // on a server: "redis://localhost:6379"
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	lease, err := locker.Lock(ctx, "invoices/42") // ctx bounds the wait, not the lease
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx) // may be called twice, and with a ctx that has ended

	// The context ends before anybody else can get the lock. The token goes along
	// with each write, so that the resource can refuse one that comes too late.
	charge(lease.Context(ctx), lease.Token())
	// Output: charging; lock held: true token given: true
}

func ExampleOpen() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, cmp.Or(os.Getenv("FENCELOCK_URL"), "mem://"), &fencelock.Options{
		TTL:              30 * time.Second,
		RequireGuarantee: driver.Advisory, // Open fails on a backend that promises less
	})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	fmt.Println(locker.Info().Name, "promises:", locker.Info().Guarantee)
	// Output: mem promises: linearizable
}

func ExampleDo() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	err = fencelock.Do(ctx, locker, "reports/2026", func(ctx context.Context, lease *fencelock.Lease) error {
		fmt.Println("writing the report under", lease.Key())
		return nil
	})
	fmt.Println("error:", err)
	// Output:
	// writing the report under reports/2026
	// error: <nil>
}

// A handler that waits for a short time tells a busy lock from a server that is away.
func ExampleClient_Lock() {
	locker, err := fencelock.Open(context.Background(), "mem://", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	charge := func(w http.ResponseWriter, r *http.Request) {
		wait, cancel := context.WithTimeout(r.Context(), 300*time.Millisecond)
		defer cancel()
		lease, err := locker.Lock(wait, "invoices/"+r.FormValue("invoice"))
		switch {
		case errors.Is(err, fencelock.ErrHeld):
			http.Error(w, "another charges it", http.StatusConflict)
			return
		case errors.Is(err, fencelock.ErrUnavailable):
			w.Header().Set("Retry-After", "5")
			http.Error(w, "the lock server is away", http.StatusServiceUnavailable)
			return
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer lease.Unlock(r.Context())
		fmt.Fprintln(w, "charged")
	}

	post := func() {
		answer := httptest.NewRecorder()
		charge(answer, httptest.NewRequest(http.MethodPost, "/charge?invoice=43", nil))
		fmt.Print(answer.Code, " ", answer.Body)
	}
	post()
	other, err := locker.Lock(context.Background(), "invoices/43")
	if err != nil {
		log.Fatal(err)
	}
	defer other.Unlock(context.Background())
	post()
	// Output:
	// 200 charged
	// 409 another charges it
}

// Each replica of a service has the same timer, and one of them does the job.
func ExampleClient_TryLock() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	nightly := func(replica string) {
		lease, err := locker.TryLock(ctx, "jobs/nightly")
		if errors.Is(err, fencelock.ErrHeld) {
			fmt.Println(replica, "leaves it to another")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		defer lease.Unlock(ctx)
		fmt.Println(replica, "works")
	}
	nightly("a")

	lease, err := locker.Lock(ctx, "jobs/nightly")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	nightly("b")
	// Output:
	// a works
	// b leaves it to another
}

// A lock whose holder may be cut off from the server for a minute has a longer TTL than the
// others. The price: if the holder dies, the lock is free only after that.
func ExampleWithTTL() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	lease, err := locker.Lock(ctx, "exports/2026", fencelock.WithTTL(3*time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	fmt.Println("survives an outage of a minute:", time.Until(lease.ValidUntil()) > time.Minute)
	// Output: survives an outage of a minute: true
}
