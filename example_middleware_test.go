package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// Middleware of HTTP: each request runs under the lock of its path. Its context ends with the
// lease, and carries it, so that a handler finds the token for its writes.
func ExampleLease_Context_middleware() {
	locker, err := fencelock.New(mem.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	locked := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			lease, err := locker.TryLock(r.Context(), r.URL.Path)
			switch {
			case errors.Is(err, fencelock.ErrHeld):
				http.Error(w, "another request is working on it", http.StatusConflict)
				return
			case err != nil:
				http.Error(w, "no lock to be had", http.StatusServiceUnavailable)
				return
			}
			defer lease.Unlock(r.Context())
			next.ServeHTTP(w, r.WithContext(lease.Context(r.Context())))
		})
	}
	handler := locked(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lease, ok := fencelock.FromContext(r.Context())
		fmt.Fprintln(w, "working on", lease.Key(), "with a token:", ok && lease.Token() > 0)
	}))

	post := func() {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/invoices/42", http.NoBody))
		fmt.Print(answer.Code, " ", answer.Body)
	}
	post()
	if _, err := locker.Lock(context.Background(), "/invoices/42"); err != nil { // another request
		log.Fatal(err)
	}
	post()
	// Output:
	// 200 working on /invoices/42 with a token: true
	// 409 another request is working on it
}
