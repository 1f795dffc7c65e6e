package node

import (
	"context"
	"log/slog"
)

// PasswordFile returns the function for the credentials of a user whose password is in a file, which is read for
// each new connection. Its error is driver.ErrInvalid.
func PasswordFile(user, path string, log *slog.Logger) (func(context.Context) (user, password string, err error), error) {
	f, err := newPasswordFile(user, path, log)
	if err != nil {
		return nil, err
	}
	return f.credentials, nil
}
