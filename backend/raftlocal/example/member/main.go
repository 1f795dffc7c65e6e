// Command member is one member of a cluster of locks, and a client of it. An application does the
// same: it opens a member's URL, and uses the locks. LOCKS_URL says which member this is; READY,
// where it answers health checks. "member restore FILE" makes its directory of a backup.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/raftlocal"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "restore" {
		restore(os.Args[2])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	locks, err := fencelock.Open(ctx, os.Getenv("LOCKS_URL"), nil)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := locks.Health(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	go func() { log.Fatal(http.ListenAndServe(os.Getenv("READY"), nil)) }()
	<-ctx.Done()
	if err := locks.Close(); err != nil { // hands leadership over first
		log.Print(err)
	}
}
