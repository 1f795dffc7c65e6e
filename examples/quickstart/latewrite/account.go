package latewrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock/fencing"
)

// account is the resource. It is the one that checks the token: in the same step as
// the write, so that nothing comes between them. In a database this is a column and
// a condition, see package fencing.
type account struct {
	gate fencing.Gate

	mu       sync.Mutex
	balance  int
	refusals int
}

func (a *account) read() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.balance
}

// write sets the balance, unless a newer token than this has written already.
func (a *account) write(balance int, token fencing.Token) error {
	err := a.gate.Do(key, token, func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.balance = balance
		return nil
	})
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.refusals++
	}
	return err
}

func (a *account) refused() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refusals
}

func (a *account) lastToken() fencing.Token { return a.gate.Highest(key) }

// tokenHeader is how the token goes along with a write.
const tokenHeader = "Fencing-Token"

// What the first process has on a port of this machine.
const (
	balancePath = "/balance"
	reportPath  = "/report"
)

// bank is that port.
type bank struct {
	url    string
	server *http.Server
	ended  chan struct{}
}

func openBank(s *scene) (*bank, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	paths := http.NewServeMux()
	paths.Handle(balancePath, s.account)
	paths.Handle(reportPath, s)
	b := &bank{"http://" + l.Addr().String(), &http.Server{Handler: paths, ReadHeaderTimeout: time.Second}, make(chan struct{})}
	go func() {
		defer close(b.ended)
		_ = b.server.Serve(l) // ends with ErrServerClosed
	}()
	return b, nil
}

func (b *bank) close() {
	_ = b.server.Close()
	<-b.ended
}

// ServeHTTP reads and writes the balance.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		fmt.Fprint(w, a.read())
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 32))
	balance, bad := strconv.Atoi(string(body))
	token, wrong := fencing.Parse(r.Header.Get(tokenHeader))
	if err := errors.Join(err, bad, wrong); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := a.write(balance, token); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// bankClient is the account as a worker sees it.
type bankClient struct{ url string }

func (b bankClient) read(ctx context.Context) (int, error) {
	text, err := b.send(ctx, http.MethodGet, "", 0)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// write returns an error that matches fencing.ErrStale if the token is too old.
func (b bankClient) write(ctx context.Context, balance int, token fencing.Token) error {
	_, err := b.send(ctx, http.MethodPut, strconv.Itoa(balance), token)
	return err
}

func (b bankClient) send(ctx context.Context, method, body string, token fencing.Token) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, b.url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set(tokenHeader, token.String())
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	text := strings.TrimSpace(string(raw))
	switch {
	case err != nil:
		return "", err
	case answer.StatusCode == http.StatusConflict:
		return "", refusal(text)
	case answer.StatusCode != http.StatusOK:
		return "", errors.New(text)
	}
	return text, nil
}

// refusal is fencing.ErrStale as the bank has said it.
type refusal string

func (r refusal) Error() string        { return string(r) }
func (r refusal) Is(target error) bool { return target == fencing.ErrStale }
