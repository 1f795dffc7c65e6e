package fencing_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/fencelock/fencelock/fencing"
)

func ExampleGate() {
	var gate fencing.Gate
	fmt.Println(gate.Admit("invoices/42", 7)) // the paused holder's successor
	fmt.Println(gate.Admit("invoices/42", 6)) // the paused holder, awake again
	// Output:
	// <nil>
	// fencing: stale token 6 for "invoices/42": 7 has been seen
}

// A service in front of a resource: clients send the token of their lease in a header, and one
// that comes too late is refused.
func ExampleParse() {
	var gate fencing.Gate
	put := func(w http.ResponseWriter, r *http.Request) {
		token, err := fencing.Parse(r.Header.Get("Fencing-Token"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err = gate.Do(r.URL.Path, token, func() error {
			return nil // write, while no other token may pass
		})
		switch {
		case errors.Is(err, fencing.ErrStale):
			http.Error(w, err.Error(), http.StatusPreconditionFailed)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			fmt.Fprintln(w, "written")
		}
	}

	for _, token := range []string{"7", "6", "none"} {
		r := httptest.NewRequest(http.MethodPut, "/files/a", strings.NewReader("…"))
		r.Header.Set("Fencing-Token", token)
		answer := httptest.NewRecorder()
		put(answer, r)
		fmt.Print(answer.Code, " ", answer.Body)
	}
	// Output:
	// 200 written
	// 412 fencing: stale token 6 for "/files/a": 7 has been seen
	// 400 fencing: not a token: want a decimal number from 1 to 9223372036854775807
}
