package zkbench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// transactions is the column of the server's transaction number, which each write raises by one: one that fails because the
// node is there already, too.
const transactions = "transactions"

func meter(addr string) *scenario.Meter {
	return &scenario.Meter{Writes: transactions, Read: func(ctx context.Context) (scenario.Load, error) {
		status, err := ask(ctx, addr, "srvr")
		if err != nil {
			return scenario.Load{}, err
		}
		monitor, err := ask(ctx, addr, "mntr")
		if err != nil {
			return scenario.Load{}, err
		}
		return load(status, monitor)
	}}
}

// load finds the two numbers in the answers to srvr and mntr.
func load(status, monitor string) (scenario.Load, error) {
	zxid, err := strconv.ParseUint(strings.TrimPrefix(field(status, "Zxid: "), "0x"), 16, 64)
	if err != nil {
		return scenario.Load{}, fmt.Errorf("the server's transaction number: %w", err)
	}
	count := field(monitor, "zk_watch_count\t")
	if count == "" {
		return scenario.Load{}, errors.New("the server does not answer mntr: permit it in 4lw.commands.whitelist")
	}
	watches, err := strconv.ParseFloat(count, 64)
	if err != nil {
		return scenario.Load{}, fmt.Errorf("the server's number of watches: %w", err)
	}
	return scenario.Load{Writes: float64(zxid), Watches: watches}, nil
}

// field is the rest of the line that begins with prefix.
func field(text, prefix string) string {
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			return value
		}
	}
	return ""
}

// ask sends one of the four-letter commands.
func ask(ctx context.Context, addr, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := io.WriteString(c, command); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}
