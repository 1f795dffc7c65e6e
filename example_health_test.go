package fencelock_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

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
