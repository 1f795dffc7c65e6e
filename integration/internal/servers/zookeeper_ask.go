package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// zooKeeperPing is content with a server that serves: one without a quorum says
// that it does not.
func zooKeeperPing(ctx context.Context, addr string) error {
	_, err := zooKeeperServes(ctx, addr)
	return err
}

func zooKeeperVersion(ctx context.Context, addr string) (string, error) {
	answer, err := zooKeeperAsk(ctx, addr, "srvr")
	if err != nil {
		return "", err
	}
	return parseVersion(answer)
}

// zooKeeperStanding takes the epoch, with which each leader begins, for the term: it is
// the upper half of what the server has last seen.
func zooKeeperStanding(ctx context.Context, addr string) (standing, error) {
	fields, err := zooKeeperServes(ctx, addr)
	if err != nil {
		return standing{}, err
	}
	zxid, err := strconv.ParseUint(fields["Zxid"], 0, 64)
	return standing{leads: fields["Mode"] == "leader", term: zxid >> 32}, err
}

func zooKeeperServes(ctx context.Context, addr string) (map[string]string, error) {
	answer, err := zooKeeperAsk(ctx, addr, "srvr")
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(answer) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	if fields["Mode"] == "" {
		return nil, fmt.Errorf("srvr: %q", strings.TrimSpace(answer))
	}
	return fields, nil
}

func zooKeeperMetrics(ctx context.Context, addr string) (map[string]float64, error) {
	answer, err := zooKeeperAsk(ctx, addr, "mntr")
	return parseNumbers(answer, "\t"), err
}

// zooKeeperAsk sends one of the four-letter words on a connection of its own, which
// the server closes after its answer.
func zooKeeperAsk(ctx context.Context, addr, word string) (string, error) {
	return askServer(ctx, addr, word, func(r *bufio.Reader) (string, error) {
		answer, err := io.ReadAll(r)
		if err == nil && len(answer) == 0 {
			err = errors.New("no answer to " + word)
		}
		return string(answer), err
	})
}
