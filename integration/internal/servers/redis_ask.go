package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// askRedis sends a command on a connection of its own, after the password if there is one. The answer is a string,
// a []any of answers, or nil; a number is a string, too.
func (s *Server) askRedis(ctx context.Context, command string) (answer any, err error) {
	request := command + "\r\n"
	if s.password != "" {
		request = "AUTH " + s.password + "\r\n" + request
	}
	_, err = askServer(ctx, s.addr, request, func(r *bufio.Reader) (string, error) {
		if s.password != "" {
			if _, err := readRedis(r); err != nil {
				return "", err
			}
		}
		answer, err = readRedis(r)
		return "", err
	})
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", command, s.addr, err)
	}
	return answer, nil
}

// askText is askRedis for an answer that is a text.
func (s *Server) askText(ctx context.Context, command string) (string, error) {
	answer, err := s.askRedis(ctx, command)
	text, ok := answer.(string)
	if err == nil && !ok {
		err = fmt.Errorf("%s at %s: %v", command, s.addr, answer)
	}
	return text, err
}

// readRedis reads an answer in RESP2.
func readRedis(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return nil, errors.New("an empty line")
	}
	rest := line[1:]
	switch line[0] {
	case '+', ':':
		return rest, nil
	case '-':
		return nil, errors.New(rest)
	case '$', '*':
	default:
		return nil, errors.New(line)
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 {
		return nil, err
	}
	if line[0] == '$' {
		body := make([]byte, n+2)
		_, err := io.ReadFull(r, body)
		return string(body[:n]), err
	}
	list := make([]any, n)
	for i := range list {
		if list[i], err = readRedis(r); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// fields are those of a list of names and values, such as Sentinel answers.
func fields(list any) map[string]string {
	all, _ := list.([]any)
	m := make(map[string]string, len(all)/2)
	for i := 1; i < len(all); i += 2 {
		name, _ := all[i-1].(string)
		m[name], _ = all[i].(string)
	}
	return m
}

// infoFields are those of INFO and CLUSTER INFO: lines of a name, a colon and a value.
func infoFields(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		m[name] = value
	}
	return m
}

// poll asks until there is no error, and returns the last one when the time is over.
func poll(ctx context.Context, ask func(context.Context) error) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

// awaitFor fails the test if ask has an error for longer than the limit.
func awaitFor(t T, limit time.Duration, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := poll(ctx, ask); err != nil {
		t.Fatalf("servers: %s: %s, after %v: %v", t.Name(), what, limit, err)
	}
}
