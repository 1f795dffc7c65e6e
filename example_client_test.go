package fencelock_test

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// A backend that the application has made itself: of a client that it has, or with a
// certificate from elsewhere than a file. New of each backend's package has an example, too.
func ExampleNew() {
	backend := mem.New(mem.NewSpace())
	locker, err := fencelock.New(backend, &fencelock.Options{TTL: 30 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close() // and the backend with it

	lease, err := locker.Lock(context.Background(), "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(context.Background())
	fmt.Println("holds", lease.Key())
	// Output: holds invoices/42
}

// counter counts what happens to locks. expvar.NewMap("locks") instead of new(expvar.Map)
// would show it at /debug/vars.
type counter struct{ expvar.Map }

func (c *counter) Observe(_ context.Context, e fencelock.Event) {
	if e.Kind == fencelock.EventNotAcquired && errors.Is(e.Err, fencelock.ErrHeld) {
		c.Add("busy", 1) // not a fault: another had the lock
		return
	}
	c.Add(e.Kind.String(), 1)
	if e.Kind == fencelock.EventUnlocked {
		c.AddFloat("seconds held", e.Held.Seconds())
	}
}

func ExampleObserver() {
	ctx := context.Background()
	count := new(counter)
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Observer: count})
	if err != nil {
		log.Fatal(err)
	}
	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := locker.TryLock(ctx, "invoices/42"); err == nil {
		log.Fatal("two have it")
	}
	lease.Unlock(ctx)
	locker.Close() // which waits until the observer has got everything

	for _, name := range []string{"acquired", "busy", "unlocked"} {
		fmt.Println(name, count.Get(name))
	}
	// Output:
	// acquired 1
	// busy 1
	// unlocked 1
}

func ExampleClient_Inspect() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Identity: "billing-7f9c"})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)

	status, err := locker.Inspect(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("held:", status.Held(), "by:", status.Holders[0].Identity, "waiting:", status.Waiters)
	// Output: held: true by: billing-7f9c waiting: 0
}

// What an operator's command does about a holder that hangs.
func ExampleClient_Evict() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	if _, err := locker.Lock(ctx, "invoices/42"); err != nil {
		log.Fatal(err)
	}

	for range 2 {
		switch _, err := locker.Evict(ctx, "invoices/42", ""); {
		case errors.Is(err, fencelock.ErrNotHeld):
			fmt.Println("nobody holds it")
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println("free; its holder is told")
		}
	}
	// Output:
	// free; its holder is told
	// nobody holds it
}

func ExampleClient_Health() {
	locker, err := fencelock.New(mem.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	healthz := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, err := locker.Health(r.Context())
		if err = errors.Join(err, h.Failing); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, h.Info.Name, h.Info.Guarantee, "warnings:", len(h.Info.Warnings))
	})

	answer := httptest.NewRecorder()
	healthz.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	fmt.Print(answer.Code, " ", answer.Body)
	// Output: 200 mem linearizable warnings: 0
}
