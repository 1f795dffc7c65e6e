// Package latewrite shows what a lock does, and what it cannot do without a fencing token.
//
// Four workers, each a process of its own, pay into one account. Each takes the lock,
// reads the balance, thinks for a while and writes the new balance. One of them is
// suspended between reading and writing, by SIGSTOP, for longer than its lease lasts.
// The others go on without it. When it wakes up it writes what it had in mind, which
// would undo what they have paid. The account refuses that write, because the token that
// comes with it is older than one that it has seen.
//
// Read worker.go first: it is what an application does. The rest is the stage: account.go
// is the resource, which checks the tokens, and crew.go starts the processes.
//
// It ends well only if the late write was refused, no payment was lost, and no two leases
// were valid at the same time.
package latewrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	key      = "accounts/7"
	ttl      = time.Second            // short, so that the wait for a dead holder is; a server may grant more
	thinking = 150 * time.Millisecond // between reading and writing
	opening  = 100                    // balance
	payment  = 10
)

var names = []string{"ada", "bob", "carol", "dave"}

// suspended says which of those that get the lock is suspended: the second to get it. Not every server
// hands a lock over in the order in which the workers came, and who comes last is in nobody's way.
const suspended = 2

// Main is the whole of a program that shows it on the server at the URL, or without one
// in a directory of its own. The program runs itself again as each of the workers.
func Main(url string) {
	var err error
	if name := os.Getenv(nameVariable); name != "" {
		err = work(context.Background(), name)
	} else {
		err = inDirectory(url, func(url string) error { return run(context.Background(), url, os.Stdout) })
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
}

// inDirectory calls f with the URL or, if there is none, with that of a new directory.
func inDirectory(url string, f func(url string) error) error {
	if url != "" {
		return f(url)
	}
	dir, err := os.MkdirTemp("", "fencelock-latewrite-")
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
	s := &scene{account: &account{balance: opening}, ready: make(map[string]chan struct{}), diary: newDiary(out), patience: 20*time.Second + 10*door.life}
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
		first   sync.Once
		failed  error // of the first one that failed; the others are killed then
	)
	for _, name := range names {
		s.ready[name] = make(chan struct{})
	}
	for i, name := range names {
		p, startErr := s.start(ctx, name, url, bank.url)
		if err = errors.Join(err, startErr); err != nil {
			break
		}
		working.Go(func() {
			if err := p.perform(ctx); err != nil {
				first.Do(func() { failed = err })
				cancel() // the others would wait for it
			}
		})
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
	if failed != nil && errors.Is(err, context.Canceled) {
		err = nil // it comes of the other
	}
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	return s.verdict()
}
