package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver/address"
)

// TestLogHidesPasswords: a server that does not know AUTH quotes its arguments, and a closed
// client tells nothing.
func TestLogHidesPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		closing, end := context.WithCancel(t.Context())
		s := newPool(closing, goredis.Options{})
		s.contact = address.NewContact(slog.New(slog.NewTextHandler(&log, nil)))
		s.contact.Reached()
		s.report(Replied("ERR unknown command 'AUTH', with args beginning with: 's3cret'"))
		synctest.Wait()
		if text := log.String(); strings.Contains(text, "s3cret") || !strings.Contains(text, "unknown command 'AUTH'") {
			t.Errorf("the log: %q", text)
		}
		log.Reset()
		s.contact = address.NewContact(slog.New(slog.NewTextHandler(&log, nil)))
		s.contact.Reached()
		end()
		synctest.Wait()
		s.report(errors.New("closed"))
		synctest.Wait()
		if text := log.String(); text != "" {
			t.Errorf("the log of a closed client: %q", text)
		}
	})
}
