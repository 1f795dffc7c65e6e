// Command steps runs the scripts on a server and the model beside it, step for step: random requests,
// from seeds that it prints, over few keys and owners. Replies, notices and what is kept must be the
// same after each step. It is how the scripts are tested: integration/redlock starts a server
// for it.
//
//	go run ./backend/redis/redlock/internal/script/steps -addr 127.0.0.1:6379
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:6379", "the server")
	seeds := flag.Uint64("seeds", 20, "how many seeds; several are followed by more, if too little has happened in them")
	first := flag.Uint64("first", uint64(time.Now().UnixNano())%1e9, "the first of them") //nolint:gosec // not negative
	steps := flag.Int("steps", 300, "how many steps of each")
	full := flag.Bool("full", false, "fill the server up, now and then (CONFIG SET maxmemory)")
	flag.Parse()

	client := goredis.NewClient(&goredis.Options{Addr: *addr, MaxRetries: -1, DisableIdentity: true})
	began := time.Now()
	var sum tally
	enough := func(n uint64) bool { return n >= *seeds && (*seeds == 1 || n >= 4**seeds || sum.lacking(*full) == nil) }
	seed := *first
	for ; !enough(seed - *first); seed++ {
		if err := run(context.Background(), client, seed, *steps, *full, &sum); err != nil {
			fmt.Printf("seed %d: %v\nagain with: -first %d -seeds 1 -steps %d -full=%v\n", seed, err, seed, *steps, *full)
			os.Exit(1)
		}
	}
	fmt.Printf("seeds %d to %d: %v in %.1fs\n", *first, seed-1, &sum, time.Since(began).Seconds())
	if err := errors.Join(sum.lacking(*full), client.Close()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
