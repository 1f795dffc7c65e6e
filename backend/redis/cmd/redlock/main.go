// Command redlock shows the nodes of a redlock:// URL, and replaces some.
//
//	go run github.com/fencelock/fencelock/backend/redis/cmd/redlock status URL
//	go run github.com/fencelock/fencelock/backend/redis/cmd/redlock replace URL
//
// The package comment of backend/redis/redlock tells when a node is to be replaced.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock"
	"github.com/fencelock/fencelock/driver"
)

const usage = `redlock shows the nodes of a redlock:// URL, and replaces some.

	redlock status [-timeout 5s] URL
	redlock replace URL

status looks at each node once, and changes nothing.

replace makes the nodes that the URL names the nodes of the list: new, empty ones for those of the list that
the URL does not name, or that have lost their data. It takes as long as the longest TTL of the list. Locks can
be had meanwhile. If it is interrupted, run it again: until it has ended well, the new nodes have no vote.

The URL is that of the programs; give the parameters namespace=, and ca=, cert=, key= for redlocks://, as they do.
It is taken from the environment variable FENCELOCK_URL if it is not given, so that no password has to stand on a
command line.

It ends with 0 if all is well, 1 if a node takes no part or nothing could be replaced, 2 if it was called
in a wrong way, 3 if a replacement has to be run again.
`

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitUnfinished
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Getenv("FENCELOCK_URL"), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program.
func run(ctx context.Context, args []string, url string, out, progress io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(progress, usage)
		return exitUsage
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() { fmt.Fprint(progress, usage) }
	timeout := flags.Duration("timeout", 5*time.Second, "how long status waits for a node")
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(out, usage)
		return exitOK
	case "status", "replace":
	default:
		fmt.Fprintf(progress, "redlock: there is no command %q\n\n%s", args[0], usage)
		return exitUsage
	}
	if err := flags.Parse(args[1:]); err != nil {
		return exitUsage
	}
	switch {
	case flags.NArg() == 1:
		url = flags.Arg(0)
	case flags.NArg() > 1 || url == "":
		fmt.Fprint(progress, usage)
		return exitUsage
	}
	if args[0] == "status" {
		ctx, cancel := context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("no answer within %v", *timeout))
		defer cancel()
		return status(ctx, url, out, progress)
	}
	return replace(ctx, url, progress)
}

func status(ctx context.Context, url string, out, progress io.Writer) int {
	l, err := redlock.Status(ctx, url)
	if err != nil {
		fmt.Fprintln(progress, "redlock:", err)
		return exitUsage
	}
	code := exitOK
	if l.ID == "" {
		fmt.Fprintln(out, "no list")
		code = exitFailed
	} else {
		fmt.Fprintf(out, "list %s, version %d, %v, longest TTL %v\n", l.ID, l.Version, l.Guarantee, l.MaxTTL)
		if l.Reason != "" {
			fmt.Fprintf(out, "advisory for good, since when it was made: %s. Another namespace= begins a new list\n", l.Reason)
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, n := range l.Nodes {
		state := "ok"
		if n.Err != nil {
			state, code = strings.ReplaceAll(n.Err.Error(), "\n", " "), exitFailed
		}
		identity := n.Identity
		if identity == "" {
			identity = "-"
		}
		fmt.Fprintf(table, "%s\t%s\tversion %d\t%s\n", n.Address, identity, n.Version, state)
	}
	_ = table.Flush() // out says no more than that it is closed
	return code
}

func replace(ctx context.Context, url string, progress io.Writer) int {
	begun := false
	err := redlock.Replace(ctx, url, func(text string) {
		begun = true
		fmt.Fprintln(progress, text)
	})
	switch {
	case err == nil:
		fmt.Fprintln(progress, "done")
		return exitOK
	case errors.Is(err, driver.ErrInvalid) && !begun:
		fmt.Fprintln(progress, "redlock:", err)
		return exitUsage
	case begun:
		fmt.Fprintln(progress, "redlock:", err)
		fmt.Fprintln(progress, "it is not finished: run it again")
		return exitUnfinished
	}
	fmt.Fprintln(progress, "redlock:", err)
	return exitFailed
}
