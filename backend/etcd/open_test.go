package etcd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fencelock/fencelock/driver"
)

// TestNotEtcd: a server that speaks etcd's protocol, and refuses what a lock needs, as kine does,
// is refused at Open, with words that say what it is; once, and not again.
func TestNotEtcd(t *testing.T) {
	f := serve(t)
	f.members = []string{"kine"}
	f.meet = func(_ context.Context, method string, _ any) error {
		if method == "Txn" {
			return status.Error(codes.InvalidArgument, "etcdserver: unsupported operations in txn request")
		}
		return nil
	}
	_, err := f.open(t, nil)
	if err == nil || errors.Is(err, driver.ErrUnavailable) {
		t.Fatalf("Open = %v, want a refusal", err)
	}
	for _, word := range []string{`"kine"`, "not etcd", "unsupported operations"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("Open = %v, which does not say %s", err, word)
		}
	}
	if n := f.counted("Txn"); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

// TestProxyIsTold: Open notices a proxy by an answer that no etcd gives.
func TestProxyIsTold(t *testing.T) {
	f := serve(t)
	f.proxy = true
	b, err := f.open(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w := b.Info().Warnings; len(w) != 1 || !strings.Contains(w[0], "proxy") {
		t.Errorf("the warnings are %q", w)
	}
}
