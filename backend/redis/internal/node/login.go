package node

import (
	"context"
	"log/slog"
	"net/url"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver/address"
)

// ParseLogin puts user and password of a URL into options: what stands before the @, or what the file
// has that the parameter password_file names; it is read anew for each connection. Errors are
// driver.ErrInvalid and show no password.
func ParseLogin(u *url.URL, q url.Values, conf *goredis.Options, log *slog.Logger) error {
	if u.User != nil {
		conf.Username = u.User.Username()
		conf.Password, _ = u.User.Password()
	}
	if !q.Has("password_file") {
		if conf.Username != "" && conf.Password == "" {
			// go-redis does not log in at all without a password, so that the server would take us for the
			// user "default". The name is not shown: it may be a password.
			full, alone := loginForms(u.Scheme)
			return address.Invalid("there is a user before the @ and no password. If it is the password, write a colon before it, %s; "+
				"if it is the user, %s or password_file= (for a user of nopass any password does)", alone, full)
		}
		return nil
	}
	if conf.Password != "" {
		return address.Invalid("password_file= and a password in the URL: give one of them")
	}
	f, err := newPasswordFile(conf.Username, q.Get("password_file"), log)
	if err == nil {
		conf.CredentialsProviderContext = f.credentials
	}
	return err
}

// loginForms are URLs with user and password, and with the password of the user "default".
func loginForms(scheme string) (full, alone string) {
	at := "@host"
	if scheme == "unix" {
		at = "@/path/of/the/socket"
	}
	return scheme + "://user:password" + at, scheme + "://:password" + at
}

// passwordFile is a password in a file, which somebody replaces while the program runs.
type passwordFile struct {
	user, path string
	log        *slog.Logger

	mu   sync.Mutex
	good string // the last that could be read
	told string // the last fault that was logged; "" if there is none now
}

func newPasswordFile(user, path string, log *slog.Logger) (*passwordFile, error) {
	f := &passwordFile{user: user, path: path, log: log}
	var err error
	if f.good, err = address.Password(f.path); err != nil {
		return nil, address.Invalid("%w", err)
	}
	return f, nil
}

// credentials returns what the file has now. If it cannot be read, or is empty since it
// is just being written, the last good password is used, and the log says so once.
func (f *passwordFile) credentials(context.Context) (user, password string, err error) {
	now, err := address.Password(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.good, f.told = now, ""
	case err.Error() != f.told:
		f.told = err.Error()
		// Nobody waits for it: a log that blocks would keep every connection from coming about.
		go f.log.Warn("fencelock: the password cannot be read; the last good one is used until it can", "err", err)
	}
	return f.user, f.good, nil
}

// CheckNamespace says what is wrong with a namespace, or nothing. It is a part of the names of keys.
func CheckNamespace(ns string) string { return address.Namespace(ns, "._:-") }
