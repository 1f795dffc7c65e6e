// Command quickstart shows what a lock does, and what it cannot do without a
// fencing token.
//
// Four workers, each a process of its own, pay into one account. Each takes the lock,
// reads the balance, thinks for a while and writes the new balance. One of them is
// suspended between reading and writing, by SIGSTOP, for longer than its lease lasts.
// The others go on without it. When it wakes up it writes what it had in mind, which
// would undo what they have paid. The account refuses that write, because the token that
// comes with it is older than one that it has seen.
//
//	go run ./examples/quickstart
//	FENCELOCK_URL=redis://localhost:6379 go run ./examples/quickstart
//	FENCELOCK_URL=etcd://localhost:2379 go run ./examples/quickstart
//	FENCELOCK_URL=zookeeper://localhost:2181 go run ./examples/quickstart
//
// Without a URL the locks are in a directory that the processes share, raft:///…, and no
// server is needed: the first process serves the others. Read worker.go first: it is what
// an application does. The rest is the stage: account.go is the resource, which checks
// the tokens, and crew.go starts the processes.
//
// It exits with 0 only if the late write was refused, no payment was lost, and no
// two leases were valid at the same time.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	_ "github.com/fencelock/fencelock/backend/etcd"      // etcd://, etcds://
	_ "github.com/fencelock/fencelock/backend/raftlocal" // raft://
	_ "github.com/fencelock/fencelock/backend/redis"     // redis://, rediss://, unix://
	_ "github.com/fencelock/fencelock/backend/zookeeper" // zookeeper://, zookeepers://
)

const (
	key      = "accounts/7"
	ttl      = time.Second            // short, so that the wait for a dead holder is; a server may grant more
	thinking = 150 * time.Millisecond // between reading and writing
	opening  = 100                    // balance
	payment  = 10
)

var names = []string{"ada", "bob", "carol", "dave"}

const suspended = "bob"

func main() {
	var err error
	if name := os.Getenv(nameVariable); name != "" {
		err = work(context.Background(), name)
	} else {
		err = inDirectory(os.Getenv(urlVariable), func(url string) error { return run(context.Background(), url, os.Stdout) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// inDirectory calls f with the URL or, if there is none, with that of a new directory.
func inDirectory(url string, f func(url string) error) error {
	if url != "" {
		return f(url)
	}
	dir, err := os.MkdirTemp("", "fencelock-quickstart-")
	if err != nil {
		return err
	}
	return errors.Join(f("raft://"+dir+"/locks"), os.RemoveAll(dir))
}

// run is the first process: it has the account, and the stage.
func run(ctx context.Context, url string, out io.Writer) error {
	door, err := closeDoor(ctx, url)
	if err != nil {
		return err
	}
	defer door.client.Close()
	s := &scene{account: &account{balance: opening}, ready: make(chan struct{}), diary: newDiary(out), patience: 20*time.Second + 10*door.life}
	s.title(door.client.Info(), door.life)
	ctx, cancel := context.WithTimeout(ctx, s.patience) // it takes about two lives of a lease
	defer cancel()
	bank, err := openBank(s)
	if err != nil {
		return err
	}
	defer bank.close()

	var (
		working sync.WaitGroup
		failed  = make([]error, len(names))
	)
	for i, name := range names {
		p, startErr := s.start(ctx, name, url, bank.url)
		if err = errors.Join(err, startErr); err != nil {
			break
		}
		working.Go(func() { failed[i] = p.perform() })
		err = door.awaitLine(ctx, i+1)
	}
	s.began = time.Now()
	if err == nil {
		err = door.open(ctx)
	}
	if err != nil {
		cancel() // which ends the processes
	}
	working.Wait()
	if err := errors.Join(append(failed, err)...); err != nil {
		return err
	}
	return s.verdict()
}
