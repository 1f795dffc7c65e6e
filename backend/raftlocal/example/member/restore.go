package main

import (
	"log"
	"net/url"
	"os"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal"
)

// restore makes the directory of this member of a backup. It must be empty. When all members of the new
// cluster have done so, of the same backup, they are started.
func restore(file string) {
	if os.Getenv("LOCKS_URL") == "" {
		log.Fatal("LOCKS_URL is not set: it must be the URL with which this member is started")
	}
	u, err := url.Parse(os.Getenv("LOCKS_URL"))
	if err != nil {
		log.Fatal("LOCKS_URL cannot be parsed")
	}
	c, err := raftlocal.ParseURL(u)
	if err != nil {
		log.Fatal(err)
	}
	backup, err := os.Open(file)
	if err != nil {
		log.Fatal(err)
	}
	if err := raftlocal.Restore(c, backup, time.Now()); err != nil {
		log.Fatal(err)
	}
}
