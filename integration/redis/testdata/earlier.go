// The program of an earlier build: it locks and unlocks keys when it is told to. It is built with that
// build's source, see oldbuild_test.go.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/redis"
)

var kinds = []struct {
	is   error
	name string
}{
	{fencelock.ErrHeld, "held"},
	{fencelock.ErrLost, "lost"},
	{fencelock.ErrUnavailable, "unavailable"},
	{fencelock.ErrUnknown, "unknown"},
}

func main() {
	ttl, err := time.ParseDuration(os.Args[2])
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	c, err := fencelock.Open(ctx, os.Args[1], &fencelock.Options{TTL: ttl, Namespace: os.Args[3]})
	if err != nil {
		panic(err)
	}
	fmt.Println("open")
	leases := make(map[string]*fencelock.Lease)
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		order, key, _ := strings.Cut(orders.Text(), " ")
		answer, err := obey(ctx, c, leases, order, key)
		if err != nil {
			kind := "other"
			for _, k := range kinds {
				if errors.Is(err, k.is) {
					kind = k.name
					break
				}
			}
			answer = fmt.Sprintf("error %s %q", kind, err)
		}
		fmt.Println(answer)
	}
}

func obey(ctx context.Context, c *fencelock.Client, leases map[string]*fencelock.Lease, order, key string) (string, error) {
	switch order {
	case "lock", "try":
		take := c.Lock
		if order == "try" {
			take = c.TryLock
		}
		l, err := take(ctx, key)
		if err != nil {
			return "", err
		}
		leases[key] = l
		return fmt.Sprintf("held %d", uint64(l.Token())), nil
	case "unlock":
		within, cancel := context.WithTimeout(ctx, 10*time.Millisecond) // one request, and no second
		defer cancel()
		return "free", leases[key].Unlock(within)
	case "state":
		return "held", leases[key].Err()
	case "inspect":
		s, err := c.Inspect(ctx, key)
		return fmt.Sprintf("%+v", s), err
	case "evict":
		// Its arguments and results were not always the same.
		evict := reflect.ValueOf(c.Evict)
		args := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(key)}
		for i := len(args); i < evict.Type().NumIn(); i++ {
			args = append(args, reflect.Zero(evict.Type().In(i)))
		}
		results := evict.Call(args)
		err, _ := results[len(results)-1].Interface().(error)
		return "evicted", err
	}
	panic(order)
}
