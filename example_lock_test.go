package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
)

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
